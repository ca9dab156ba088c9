"""Times of layers of exact sizes, measured once a machine and kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from study.errors import UsageError
from study.pruning.latency.backends import Backend, ready
from study.pruning.latency.job import Job
from study.pruning.latency.layers import LayerCall
from study.pruning.latency.machine import Machine, cache_folder, this_machine
from study.pruning.latency.measuring import REPEATS, WARM_UP
from study.pruning.latency.quiet import alone
from study.pruning.latency.turns import take_turns
from study.storage import Folder
from study.tasks.forward import call

EMPTY = "empty call"
"""What a call costs that does nothing: it is taken from each layer's time, and once in each
network's."""


EVERY_S = 15.0
"""Seconds between two words on how far a measurement is."""

Tell = Callable[[str], None]
"""Takes a line for the user."""

IN_TURNS = 100
"""Layers that are measured side by side; of more, those that come first are kept before."""


class LayerTime(BaseModel):
    """What a layer of one size adds to a network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    median_ms: float = Field(ge=0, description="above what an empty call takes")
    spread_ms: float = Field(ge=0, description="interquartile range")
    repeats: int = Field(ge=1)


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(default=1, ge=1, le=1)
    machine: Machine
    layers: dict[str, LayerTime]


class LayerTable:
    """Times of layers on this machine, in a file that grows as layers are measured.

    Only layers of exactly the same size are looked up: between two sizes, times do not lie on a
    line, but jump where a width stops filling the processor's vectors.

    Parameters
    ----------
    backend, threads
        As in :func:`~study.pruning.latency.measuring.measure_latency`.
    folder
        Where the file is; unset: ``layers`` in ``PRUNE_STUDY_CACHE``, else in
        ``~/.cache/prune-study``. The file is named after the processor, the backend, its version
        and the threads.
    repeats
        Samples of each layer that is measured.
    tell
        Told what is measured, and now and then how far it is: it may take minutes.

    Raises
    ------
    UsageError
        If there is no such backend here, or the file cannot be read. It is never replaced by a new
        one unasked.
    """

    def __init__(
        self,
        backend: Backend = "eager",
        threads: int = 1,
        *,
        folder: str | Path | None = None,
        repeats: int = REPEATS,
        tell: Tell | None = None,
    ) -> None:
        self._tell = tell
        self.machine = this_machine(backend, threads)
        self.repeats = repeats
        self.path = Path(folder or cache_folder() / "layers") / self.machine.file_name
        self.times = self._read()

    def measure(
        self, calls: Iterable[LayerCall], networks: Mapping[str, Job] | None = None
    ) -> None:
        """Measure what the table lacks, in turns, and write it to the file.

        Parameters
        ----------
        calls
            Layers, which are known by their sizes.
        networks
            Further ones, by names under which they are kept.
        """
        jobs = {each.size: Job(_AsOne(each), _given(each), _run) for each in calls}
        jobs |= networks or {}
        lacking = [name for name in jobs if name not in self.times]
        for first in range(0, len(lacking), IN_TURNS):
            progress = None if self._tell is None else _progress(self._tell, first, len(lacking))
            if progress is not None:
                progress(0)
            own = {name: jobs[name] for name in lacking[first : first + IN_TURNS]}
            self._measure(own, progress)

    def _measure(self, jobs: Mapping[str, Job], progress: Callable[[int], None] | None) -> None:
        backend, threads = self.machine.backend, self.machine.threads
        every = {**jobs, EMPTY: Job(nn.Identity(), torch.zeros(1, 1), call)}
        runs = ready(every, backend=backend, threads=threads, exported_at_once=True)
        with runs as (timed, _), alone():
            samples = take_turns(
                timed, repeats=self.repeats, warm_up=WARM_UP, seed=0, after_pass=progress
            )
        empty_ms = float(np.median(samples[EMPTY]))
        found = {name: _time(samples[name], empty_ms) for name in jobs}
        found[EMPTY] = _time(samples[EMPTY], 0.0)
        # Another process may have written since, and what is known does not change under anyone.
        self.times = {**found, **self.times, **self._read()}
        file = _File(machine=self.machine, layers=dict(sorted(self.times.items())))
        Folder(self.path.parent).write(file.model_dump_json(indent=1) + "\n", self.path.name)

    def _read(self) -> dict[str, LayerTime]:
        if not self.path.exists():
            return {}
        try:
            file = _File.model_validate_json(self.path.read_bytes())
        except (OSError, ValidationError) as error:
            reason = str(error).replace("\n", " ")
            raise UsageError(
                f"layer table {self.path}: cannot be read: {reason}. Mend it, or delete it to have "
                "its layers measured again."
            ) from error
        if file.machine != self.machine:
            raise UsageError(
                f"layer table {self.path}: is of another machine: {file.machine}. Delete it to "
                f"have its layers measured on this one: {self.machine}."
            )
        return dict(file.layers)


def _progress(tell: Tell, known: int, every: int) -> Callable[[int], None]:
    """Tells of the first pass, and of a later one where some time has gone by."""
    told_s = -EVERY_S

    def passed(number: int) -> None:
        nonlocal told_s
        if number and time.monotonic() - told_s < EVERY_S:
            return
        told_s = time.monotonic()
        more = f", pass {number}" if number else ""
        tell(f"timing {every} sizes of layers, once a machine: {known} of {every} known{more}")

    return passed


class _AsOne(nn.Module):
    """The modules of a call, one after the other."""

    def __init__(self, call: LayerCall) -> None:
        super().__init__()
        self.parts = nn.ModuleList(call.modules)

    def forward(self, args: Any, kwargs: Any) -> Any:
        first, *others = self.parts
        out = first(*args, **kwargs)
        for part in others:
            out = part(out)
        return out


def _given(call: LayerCall) -> tuple[Any, Any]:
    return list(call.args), call.kwargs


def _run(network: nn.Module, inputs: Any) -> Any:
    return network(*inputs)


def _time(samples_ms: list[float], empty_ms: float) -> LayerTime:
    low, median, high = np.quantile(samples_ms, (0.25, 0.5, 0.75))
    return LayerTime(
        median_ms=max(0.0, float(median) - empty_ms),
        spread_ms=float(high - low),
        repeats=len(samples_ms),
    )
