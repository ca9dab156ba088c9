"""What an example must look like for a network that takes images."""

from study.errors import UsageError


def image_shape(model: str, input_shape: tuple[int, ...], least: int = 1) -> tuple[int, int, int]:
    """Check that examples are images of a least size: (channels, height, width).

    Raises
    ------
    UsageError
        If they are not.
    """
    if len(input_shape) != 3 or min(input_shape[1:]) < least:
        raise UsageError(
            f"task.model: {model} takes images (channels, height, width) of at least "
            f"{least} x {least} pixels; these examples are {input_shape}."
        )
    channels, height, width = input_shape
    return channels, height, width
