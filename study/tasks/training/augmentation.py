"""Random crops and flips of a batch of images, on the device and without a loop."""

from __future__ import annotations

import torch
from torch import Tensor

from study.errors import UsageError
from study.tasks.training.recipe import Recipe


def augment(inputs: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Change each image of a batch at random, as the recipe says.

    Parameters
    ----------
    inputs
        Shape (n, channels, height, width); returned as it is where the recipe asks for nothing.
    recipe
        Its ``augmentation`` and ``crop_padding``.
    generator
        Of the randomness, on the device of the inputs.

    Raises
    ------
    UsageError
        If there is something to do and the inputs are no images.
    """
    if recipe.augmentation and inputs.dim() != 4:
        raise UsageError(
            f"task.augmentation: {', '.join(recipe.augmentation)} needs images (channels, height, "
            f"width); these examples are {tuple(inputs.shape[1:])}."
        )
    if "crop" in recipe.augmentation:
        inputs = crop(inputs, recipe.crop_padding, generator)
    if "flip" in recipe.augmentation:
        inputs = flip(inputs, generator)
    return inputs


def crop(inputs: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Pad with zeros and cut a window of the old size, at another place for each image."""
    n, _, height, width = inputs.shape
    padded = torch.nn.functional.pad(inputs, (padding,) * 4)
    shifts = torch.randint(2 * padding + 1, (2, n, 1), generator=generator, device=inputs.device)
    rows = shifts[0] + torch.arange(height, device=inputs.device)
    columns = shifts[1] + torch.arange(width, device=inputs.device)
    image = torch.arange(n, device=inputs.device)[:, None, None]
    windows = padded[image, :, rows[:, :, None], columns[:, None, :]]
    return windows.permute(0, 3, 1, 2).contiguous()


def flip(inputs: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image left to right with probability one half."""
    mirrored = torch.rand(len(inputs), generator=generator, device=inputs.device) < 0.5
    return torch.where(mirrored[:, None, None, None], inputs.flip(3), inputs)
