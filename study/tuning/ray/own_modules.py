"""The user's own modules on nodes that do not see the folder they are in."""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

from study.tuning.ray.packing import MOST_MB, files_in, is_left_out, refuse_large
from study.tuning.ray.reaching import cluster_address

_OURS = ("study", "search_spaces", "analysis", "benchmarks", "tests")


def runtime_env() -> dict[str, Any] | None:
    """What Ray is told when a cluster is joined, so that workers can import what we imported.

    Nothing is sent within a job, which has its own folder with it, nor by a Ray without the
    packages that sending takes (the extra ``cluster``): where workers then miss a module, the
    rehearsal says so.

    Raises
    ------
    UsageError
        If there is more in a package than code, or RAY_ADDRESS is no address.
    """
    if cluster_address() is None or "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ:
        return None
    if importlib.util.find_spec("aiohttp") is None:
        return None
    found = imported_modules()
    return {"py_modules": [str(path) for path in found]} if found else None


def imported_modules() -> list[Path]:
    """The user's modules and packages that this process has imported: those not installed.

    Returns
    -------
    list[Path]
        A file or folder for each, sorted.

    Raises
    ------
    UsageError
        If one is too large to be sent.
    """
    places = _own_places()
    files = {
        Path(file).resolve()
        for name, module in list(sys.modules.items())
        # Some modules say a name that is no place, such as torch's own _ops.py.
        if (file := getattr(module, "__file__", None)) is not None
        and Path(file).is_absolute()
        and Path(file).is_file()
        and name.partition(".")[0] not in (*_OURS, "__main__")
    }
    found = {entry for file in files if (entry := _entry(file, places)) is not None}
    for entry in found:
        _refuse_large(entry)
    return sorted(found)


def _own_places() -> list[Path]:
    """Where this process looks for modules that no package manager put there."""
    kinds = ("stdlib", "platstdlib", "purelib", "platlib", "scripts")
    installed = [Path(sysconfig.get_path(kind)).resolve() for kind in kinds]
    places = [Path(place).resolve() for place in sys.path]
    return [
        place
        for place in dict.fromkeys(places)
        if place.is_dir() and not any(place.is_relative_to(each) for each in installed)
    ]


def _entry(file: Path, places: list[Path]) -> Path | None:
    """The module, or outermost package, that a file belongs to; None: to an environment."""
    for place in places:
        if file.is_relative_to(place):
            parts = file.relative_to(place).parts
            folders = [place.joinpath(*parts[:depth]) for depth in range(1, len(parts))]
            return None if any(map(is_left_out, folders)) else place / parts[0]
    return None


def _refuse_large(entry: Path) -> None:
    own = files_in(entry) if entry.is_dir() else [Path(entry.name)]
    root = entry if entry.is_dir() else entry.parent
    refuse_large(root, own, MOST_MB * 1_000_000, "Keep data out of the package.")
