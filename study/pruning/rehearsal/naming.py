"""Whatever goes wrong in a user's part, as one message that names it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from study.errors import UsageError


@contextmanager
def naming(part: str) -> Iterator[None]:
    """Turn whatever goes wrong in a part of a user's into one message that names it."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        told = str(error).strip() or "no message"
        raise UsageError(f"task: {part} raised {type(error).__name__}: {told}") from error
