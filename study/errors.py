"""The errors that are the user's to mend: one clear message, exit code 2, no traceback.

Also where in a user's own code an error came from, for such messages.
"""

from __future__ import annotations

import os
import re
import sysconfig
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from traceback import walk_tb


class UsageError(ValueError):
    """Bad input: the message names the field, the value, and what is allowed."""


class NothingToReportError(RuntimeError):
    """A study folder holds no finished round yet (exit code 4)."""


class StudyFailedError(RuntimeError):
    """A study as a whole failed; what it had finished is on disk (exit code 1)."""


def shortened(value: object, most: int = 200) -> str:
    """A value as a message repeats it: no longer than anybody reads.

    Parameters
    ----------
    value
        What the user, or a file, has.
    most
        Letters of it that are shown.
    """
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


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


_OURS = Path(__file__).parent
_NOT_OWN = tuple(
    f"{path}{os.sep}"
    for path in (
        *(
            Path(sysconfig.get_path(kind))
            for kind in ("stdlib", "platstdlib", "purelib", "platlib")
        ),
        _OURS,
        _OURS.parent / "search_spaces",
    )
)


def line_of_own_code(error: BaseException) -> str:
    """The line of a user's own file that an error came from, as the end of a sentence's part.

    Parameters
    ----------
    error
        As it was caught.

    Returns
    -------
    str
        Such as ``", in line 7 of /home/me/my_task.py"``: the innermost line that is neither of
        Python or an installed package nor of this project; of a syntax error the line that cannot
        be read. Empty where no line is the user's own.
    """
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f", in line {error.lineno} of {error.filename}"
    cause: BaseException | None = error
    while cause is not None:
        found = ""
        for frame, number in walk_tb(cause.__traceback__):
            name = frame.f_code.co_filename
            if not name.startswith(("<frozen", *_NOT_OWN)):
                found = f", in line {number} of {name}"
        if found:
            return found
        cause = cause.__cause__  # such as that of "generator raised StopIteration"
    return ""


def told(error: BaseException) -> str:
    """An error as the end of a sentence: the line of own code, its kind, and what it says."""
    return f"{line_of_own_code(error)}: {type(error).__name__}: {what_it_says(error)}"


def what_it_says(error: BaseException) -> str:
    """The text of an error; its place apart, which a syntax error has in its text."""
    try:
        what = error.msg if isinstance(error, SyntaxError) else str(error)
    except Exception:  # an exception of the user's own, which cannot even be shown
        what = ""
    return what.strip() or "no message"


def what_was_raised(traceback: str) -> str:
    """The line of a traceback that names the exception; texts of several lines go on after it."""
    lines = traceback.strip().splitlines()
    frames = [place for place, line in enumerate(lines) if line.startswith("  File ")]
    after = lines[frames[-1] + 1 :] if frames else lines
    return next((line for line in after if re.match(r"[A-Za-z_][\w.]*(: |$)", line)), lines[-1])
