"""What the checks came to: a table for ``docs/speed.md``, and JSON."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch

from benchmarks.measuring import Figure
from benchmarks.on_gpu.checks import CHECKS, Result


def machine(device: str) -> dict[str, Any]:
    """What the figures are of."""
    facts: dict[str, Any] = {"torch": torch.__version__, "python": platform.python_version()}
    if device == "cpu":
        return {"device": "CPU, tiny sizes: no figure is a measurement", **facts}
    sparse = torch.backends.cusparselt
    major, minor = torch.cuda.get_device_capability()
    return {
        "device": torch.cuda.get_device_name(),
        "compute_capability": f"{major}.{minor}",
        **facts,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "cusparselt": sparse.version() if sparse.is_available() else None,
    }


def as_json(results: Sequence[Result], device: str) -> dict[str, Any]:
    """All of it."""
    return {
        "machine": machine(device),
        "checks": {
            result.name: {**asdict(result), "outcome": result.outcome} for result in results
        },
    }


def markdown(results: Sequence[Result], device: str) -> str:
    """A table with a line for each figure, under one with the outcome of each check."""
    facts = ", ".join(f"{key} {value}" for key, value in machine(device).items() if value)
    lines = [
        f"{facts}. Medians (quartiles); ratios are made within a run, from turns.",
        "",
        "| check | outcome | figure | goal |",
        "|---|---|---|---|",
    ]
    notes: list[str] = []
    for result in results:
        lines.append(f"| **{CHECKS[result.name].what}** | {_outcome(result)} | | |")
        if result.found is not None:
            lines += [_line(figure) for figure in result.found.figures]
            notes += result.found.notes
    return "\n".join([*lines, *(["", *notes] if notes else [])]) + "\n"


def _outcome(result: Result) -> str:
    if result.error:
        return f"failed: {_in_a_cell(result.error)}"
    if result.found is not None and result.found.skipped:
        return f"{result.outcome}: without {', '.join(result.found.skipped)}"
    return result.outcome


def _line(figure: Figure) -> str:
    said = {None: "", True: "met", False: "missed"}[figure.meets_goal]
    spread = f" ({figure.low:.3g} to {figure.high:.3g})" if figure.repeats > 1 else ""
    value = f"{figure.median:.3g}{spread} {figure.unit}"
    return f"| {_in_a_cell(figure.case)} | {said} | {value} | {figure.goal} |"


def _in_a_cell(text: str) -> str:
    return text.replace("|", "/")
