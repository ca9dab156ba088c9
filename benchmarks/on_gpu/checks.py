"""The checks by name, and how a check ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Literal

import torch

from benchmarks.measuring import Figure
from benchmarks.on_gpu.setting import Found, Setting

Outcome = Literal["passed", "failed", "not available"]


@dataclass(frozen=True)
class Check:
    """A module of this package with a function ``check(setting) -> Found``.

    Parameters
    ----------
    module
        Its import string.
    what
        What it shows.
    limit_s
        Seconds after which its process is ended. All of them together are under ten minutes.
    environment
        Variables that its process needs from its start.
    """

    module: str
    what: str
    limit_s: float
    environment: Mapping[str, str] = field(default_factory=dict)


CHECKS = {
    "amp": Check("benchmarks.on_gpu.amp", "bfloat16 and float16 against float32", 75),
    "packed_race": Check("benchmarks.on_gpu.packed_race", "descents as one program", 150),
    "compiled": Check("benchmarks.on_gpu.compiled", "compile = true", 100),
    "graphs": Check("benchmarks.on_gpu.graphs", "steps as CUDA graphs", 45),
    "two_of_four": Check("benchmarks.on_gpu.two_of_four", "kernels for 2:4", 45),
    "events": Check("benchmarks.on_gpu.events", "latency by events and by a clock", 45),
    "determinism": Check(
        "benchmarks.on_gpu.determinism",
        "the same plan twice",
        70,
        {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"},
    ),
    "memory": Check("benchmarks.on_gpu.memory", "peaks, and what trials leave behind", 50),
}


@dataclass(frozen=True)
class Result:
    """How a check has ended.

    Parameters
    ----------
    name, device
        Which check, and where.
    wall_s
        Seconds, with the start of its process.
    found
        None where it broke off.
    error
        Why it did.
    """

    name: str
    device: str
    wall_s: float
    found: Found | None
    error: str = ""

    @property
    def missed(self) -> list[Figure]:
        """Figures that miss their goals."""
        figures = () if self.found is None else self.found.figures
        return [figure for figure in figures if figure.meets_goal is False]

    @property
    def outcome(self) -> Outcome:
        """Failed if it broke off or missed a goal, else passed if all of it is available here."""
        if self.found is None or self.missed:
            return "failed"
        return "not available" if self.found.skipped else "passed"


def perform(name: str, device: str) -> Found:
    """Run a check in this process."""
    found: Found = import_module(CHECKS[name].module).check(Setting(torch.device(device)))
    return found
