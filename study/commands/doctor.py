"""Is this environment fit to run a study? What is wrong, and how is it mended?"""

from __future__ import annotations

import logging
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

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
        _ray_address,
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


def _ray_address() -> Finding:
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        return Finding("ray cluster", "none set (RAY_ADDRESS); a study starts Ray on this machine")
    import ray

    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        return Finding("ray cluster", f"{address} with {ray.cluster_resources()}")
    except (ConnectionError, RuntimeError, ValueError) as error:
        remedy = "Start it (ray start --head), correct RAY_ADDRESS, or unset it."
        return Finding("ray cluster", f"{address} does not answer: {error}", False, remedy)
    finally:
        ray.shutdown()


def _storage(storage_path: str) -> Finding:
    probe = ".prune-study-doctor"
    folder = Folder(storage_path)
    existed = folder.exists()
    try:
        folder.write(b"ok", probe)
        folder.remove(probe)
        if not existed:
            folder.remove()
    except OSError as error:
        remedy = "Choose another --storage-path, or make this one writable."
        return Finding("storage", f"{folder.location} cannot be written: {error}", False, remedy)
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
