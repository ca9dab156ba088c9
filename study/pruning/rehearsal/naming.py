"""Whatever goes wrong in a user's part, as one message that names it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from study.errors import UsageError, line_of_own_code, what_it_says


@contextmanager
def naming(part: str) -> Iterator[None]:
    """Turn whatever goes wrong in a part of a user's into one message that names it and its line.

    Also what is no ``Exception``, such as a metric that calls ``sys.exit``: nobody asked the study
    to end. Only an interrupt is one.
    """
    try:
        yield
    except (UsageError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raised = f"{type(error).__name__}{line_of_own_code(error)}"
        raise UsageError(f"task: {part} raised {raised}: {what_it_says(error)}") from error
