"""Where and with what a study runs."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from study.files.locations import hide_secrets
from study.records import Provenance, utc_now
from study.tasks.task import Task

PACKAGES = ("prune-study", "ray", "torch", "optuna", "numpy", "pandas", "scikit-learn")


def package_versions() -> dict[str, str]:
    """Versions of the packages that have a say in the results."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def collect(study: str, task: Task, notes: Sequence[str] = ()) -> Provenance:
    """Describe this process, machine, working copy and data, and what was decided."""
    return Provenance(
        study=study,
        command=[Path(sys.argv[0]).name, *map(hide_secrets, sys.argv[1:])],
        started_at=utc_now(),
        python=platform.python_version(),
        platform=platform.platform(),
        machine=platform.machine(),
        cpus=os.cpu_count() or 1,
        gpus=[torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        packages=package_versions(),
        git_commit=_git_commit(),
        examples={
            "train": len(task.data.train),
            "validation": len(task.data.validation),
            "confirmation": len(task.data.confirms),
        },
        notes=list(notes),
    )


def _git_commit() -> str | None:
    """Commit of the folder that the study is started from, if it is a working copy."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None
