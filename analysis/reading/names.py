"""Short names for several studies."""

from __future__ import annotations

from collections.abc import Sequence

from study.errors import UsageError


def distinct_names(locations: Sequence[str]) -> list[str]:
    """The ends of the paths, as long as it takes to tell them apart.

    Raises
    ------
    UsageError
        If two are the same folder.

    Examples
    --------
    >>> distinct_names(["/data/monday/digits", "/data/tuesday/digits"])
    ['monday/digits', 'tuesday/digits']
    """
    paths = [location.rstrip("/").split("/") for location in locations]
    for length in range(1, max(map(len, paths)) + 1):
        ends = ["/".join(path[-length:]) for path in paths]
        if len(set(ends)) == len(ends):
            return ends
    raise UsageError(f"a study is given twice: {', '.join(locations)}")
