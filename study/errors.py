"""The errors that are the user's to mend: one clear message, exit code 2, no traceback."""

from collections.abc import Iterable
from difflib import get_close_matches


class UsageError(ValueError):
    """Bad input: the message names the field, the value, and what is allowed."""


class NothingToReportError(RuntimeError):
    """A study folder holds no finished round yet (exit code 4)."""


class StudyFailedError(RuntimeError):
    """A study as a whole failed; what it had finished is on disk (exit code 1)."""


def shortened(value: object) -> str:
    """A value as a message repeats it: no longer than anybody reads."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def unknown_name(field: str, value: str, allowed: Iterable[str]) -> UsageError:
    """Say that ``value`` is none of ``allowed``, with the nearest right spelling.

    Parameters
    ----------
    field
        What was being named, for example ``"allocation"``.
    value
        What the user wrote.
    allowed
        Every name that would have been understood.
    """
    names = sorted(allowed)
    nearest = get_close_matches(value[:200], names, n=1, cutoff=0.5)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return UsageError(
        f"{field}: unknown name {shortened(value)}.{hint} Allowed: {', '.join(names)}."
    )
