"""What narrowing one layer of a network saves: multiply-adds, parameters, time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from study.pruning.latency.measuring import measure_latency
from study.pruning.latency.prediction import predict_latencies, scale_of
from study.pruning.latency.table import LayerTable
from study.pruning.masking.masks import MaskedLayers
from study.pruning.shrinking.deployed import plain_copy
from study.pruning.structure.sizes import Sizes, units_left
from study.pruning.structure.slicing import places_left, slice_model
from study.pruning.structure.units import Alive, Structure
from study.pruning.timing import Timing
from study.pruning.training.model_state import copy_of
from study.tasks.data.structures import to_device
from study.tasks.forward import working_dtype
from study.tasks.task import Task

Level = tuple[str, int]
"""A structure and how many of its units are left."""


@dataclass(frozen=True)
class Saving:
    """What a network costs before a cut and what the cut saves; times None where not told."""

    macs: float
    macs_saved: float
    parameters: int
    parameters_saved: int
    predicted_latency_ms: float | None
    predicted_saved_ms: float | None

    @property
    def columns(self) -> dict[str, Any]:
        """The fields of a record."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Clock:
    """Predicts what networks take by the times of their layers, scaled to the dense network's.

    Parameters
    ----------
    inputs
        A batch.
    table
        Of layers' times on this machine.
    scale
        What the dense network was measured to take, over the sum of its layers.
    """

    inputs: Any
    table: LayerTable
    scale: float


def clock_for(task: Task, masked: MaskedLayers, timing: Timing) -> Clock:
    """Measure a dense network once, and its layers where the table lacks them."""
    device = torch.device("cuda" if timing.backend == "cuda" else "cpu")
    dense = plain_copy(masked).to(device)
    batch = task.data.train.take(torch.arange(timing.batch_size))
    inputs = to_device(task.prepared(batch.inputs, working_dtype(dense)), device)
    found = measure_latency(
        {"dense": dense}, inputs, backend=timing.backend, threads=timing.threads,
        repeats=timing.repeats, run=task.forward,
    )  # fmt: skip
    table = LayerTable(timing.backend, timing.threads, repeats=timing.repeats)
    scale = scale_of(dense, found["dense"].median_ms, inputs, table, run=task.forward)
    return Clock(inputs, table, scale)


def savings(
    task: Task,
    masked: MaskedLayers,
    structures: Sequence[Structure],
    macs: Sizes,
    other_macs: float,
    cuts: Mapping[Level, Alive],
    before: Alive,
    clock: Clock | None,
) -> dict[Level, Saving]:
    """What each cut saves.

    Parameters
    ----------
    task
        How networks are called.
    masked
        The network; it is not changed.
    structures
        All its units.
    macs, other_macs
        Multiply-adds by the units that are left, and those that stay whatever is left.
    cuts
        What is left of every structure after each.
    before
        What is left of them now.
    clock
        Predicts times; None: they are not told.
    """
    plain = plain_copy(masked)
    whole = _narrowed(plain, structures, before)
    parameters = {level: _parameters(_narrowed(plain, structures, c)) for level, c in cuts.items()}
    here, all_macs = _parameters(whole), macs.total(units_left(before))
    times: dict[Level | None, float] = {}
    if clock is not None:
        device = torch.device("cuda" if clock.table.machine.backend == "cuda" else "cpu")

        def networks() -> Iterator[tuple[Level | None, nn.Module]]:
            yield None, whole.to(device)
            for level, left in cuts.items():
                yield level, _narrowed(plain, structures, left).to(device)

        times = predict_latencies(
            networks(), clock.inputs, clock.table, scale=clock.scale, run=task.forward
        )
    return {
        level: Saving(
            macs=all_macs + other_macs,
            macs_saved=all_macs - macs.total(units_left(left)),
            parameters=here,
            parameters_saved=here - parameters[level],
            predicted_latency_ms=times[None] if clock else None,
            predicted_saved_ms=times[None] - times[level] if clock else None,
        )
        for level, left in cuts.items()
    }


def _narrowed(plain: nn.Module, structures: Sequence[Structure], left: Alive) -> nn.Module:
    small = copy_of(plain)
    slice_model(small, places_left(structures, left))
    return small


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
