"""Whether a smaller network gives what the original gives, for several inputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from study.pruning.structure.tracing import Run
from study.tasks.data.structures import leaves

TOLERANCE = 1e-5
"""Largest difference of an output, relative to its largest value, in float32."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One input, and what the original gives for it.

    Parameters
    ----------
    run
        Runs a model on it.
    whole
        Its outputs.
    """

    run: Run
    whole: list[Tensor]


def tried(model: nn.Module, runs: Iterable[Run]) -> list[Trial]:
    """The inputs that a model takes, with what it gives for them."""
    found = []
    for run in runs:
        try:
            found.append(Trial(run, outputs_of(model, run)))
        except Exception:  # whatever a model says of a length, or a value, that it does not take
            continue
    return found


@torch.no_grad()
def outputs_of(model: nn.Module, run: Run) -> list[Tensor]:
    """The tensors that a model gives."""
    return [leaf.clone() for leaf in leaves(run(model)) if isinstance(leaf, Tensor)]


def difference_of(smaller: nn.Module, trials: Sequence[Trial]) -> str | None:
    """How what a smaller network gives differs from what the original gave, where it does.

    Parameters
    ----------
    smaller
        The network.
    trials
        Of the original; the first is of the example.
    """
    for trial in trials:
        where = "" if trial is trials[0] else "for other inputs than the example, "
        try:
            outputs = outputs_of(smaller, trial.run)
        except Exception as error:  # whatever the model's own code says of another width
            return f"{where}the model does not run ({error})"
        difference = _difference(trial.whole, outputs)
        if difference is not None:
            return where + difference
    return None


def _difference(whole: list[Tensor], smaller: list[Tensor]) -> str | None:
    """The first output that differs, and by how much."""
    if len(whole) != len(smaller):
        return f"there are {len(smaller)} outputs instead of {len(whole)}"
    for place, (a, b) in enumerate(zip(whole, smaller, strict=True)):
        if a.shape != b.shape:
            return f"output {place} has the shape {tuple(b.shape)} instead of {tuple(a.shape)}"
        if not a.numel():
            continue
        wide = torch.complex128 if a.is_complex() else torch.float64
        a, b = a.to(wide), b.to(wide)
        scale = float(a.abs().nan_to_num().max())
        limit = TOLERANCE * scale * _coarseness(whole[place].dtype)
        if not torch.allclose(a, b, rtol=0.0, atol=limit, equal_nan=True):
            most = float((a - b).abs().max())
            return f"output {place} differs by {most:.2g} where the largest value is {scale:.2g}"
    return None


def _coarseness(dtype: torch.dtype) -> float:
    """How much coarser than float32 a type is."""
    if not (dtype.is_floating_point or dtype.is_complex):
        return 1.0
    return max(1.0, torch.finfo(dtype).eps / torch.finfo(torch.float32).eps)
