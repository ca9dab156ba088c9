"""What a network takes with so many units, by a table of its layers' times."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import nn

from study.pruning.latency.backends import in_evaluation
from study.pruning.latency.job import Job
from study.pruning.latency.layers import LayerCall, layer_calls
from study.pruning.latency.table import EMPTY, LayerTable
from study.pruning.structure.slicing import places_left, slice_model
from study.pruning.structure.units import Structure
from study.pruning.training.model_state import copy_of

MOST_AHEAD = 2_000
"""Sizes of layers that are measured all at once before any is asked for; a network that has more
of them is measured as its cuts go."""

FAR_ENOUGH = 0.9
"""The narrow network's layers take no more of the dense one's, or the line goes through the dense
network and an empty call: two points that are so near each other are mostly noise apart."""

ERROR = 0.1
"""Share by which predictions are wrong at times: docs/latency.md has medians of 3 to 9 %."""

Left = Mapping[str, int]
"""Units that are left, by structure."""


class LatencySizes:
    """Milliseconds that a network is predicted to take, given how many of its units are left.

    Layers have the times that the table says, each of its exact size; which units are left is of no
    account, only how many. What lies between layers is not in their sum, and a layer alone has its
    data in the caches: so the sum is put on the straight line through two networks that are
    measured whole and kept in the table too, the dense one and one of about a quarter of the units.

    Parameters
    ----------
    network
        The dense network, plain, on the device of the backend.
    structures
        Its units.
    inputs
        A batch.
    run
        ``(model, inputs) -> outputs``.
    table
        Of this machine. What it lacks is measured on the spot and kept.
    widths
        Units that each structure may be left with. Where given, the first size that the table lacks
        makes it measure all that these widths can lead to, in turns, up to :data:`MOST_AHEAD`.
    """

    def __init__(
        self,
        network: nn.Module,
        structures: Sequence[Structure],
        inputs: Any,
        run: Callable[[nn.Module, Any], Any],
        table: LayerTable,
        widths: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        self.table = table
        self._network, self._inputs, self._run = network, inputs, run
        self._structures = list(structures)
        self._widths = widths
        self._fused = table.machine.backend == "onnxruntime"
        self._whole = {structure.name: structure.units for structure in structures}
        self._sizes: dict[tuple[int, tuple[int, ...]], str] = {}
        dense = self._calls(self._whole)
        self._depends = self._found_dependences(dense)
        self._note(self._whole, dense)
        self._line: tuple[float, float] | None = None

    error: ClassVar[float] = ERROR

    def total(self, left: Left) -> float:
        """Milliseconds of a call."""
        layers_ms = self._sum(left)
        if self._line is None:
            self._line = self._measured_line()
        offset_ms, slope = self._line
        return offset_ms + slope * layers_ms

    def saved(self, left: Left, structure: str, units: int) -> float:
        """Milliseconds less with so many units less; negative where narrower layers are slower."""
        return self.total(left) - self.total({**left, structure: left[structure] - units})

    def _sum(self, left: Left) -> float:
        keys = self._keys(left)
        if any(key not in self._sizes or self._sizes[key] not in self.table.times for key in keys):
            self._measure(left)
        return sum(self.table.times[self._sizes[key]].median_ms for key in keys)

    def _measure(self, left: Left) -> None:
        """See to it that the table has what a network needs, and what others will need."""
        calls = self._calls(left)
        self._note(left, calls)
        lacking = [call for call in calls if call.size not in self.table.times]
        if not lacking:
            return
        if self._widths is not None and self._combinations(self._widths) <= MOST_AHEAD:
            lacking += self._reachable(self._widths)
            self._widths = None
        self.table.measure(lacking)

    def _measured_line(self) -> tuple[float, float]:
        """Milliseconds of a network without layers, and those for each of its layers' sum."""
        sums, wholes = [], []
        jobs: dict[str, Job] = {}
        for left in (self._whole, {n: _narrow(units) for n, units in self._whole.items()}):
            network = self._network_of(left)
            sums.append(self._sum(left))
            sizes = "\n".join(call.size for call in self._calls(left))
            name = f"network of {hashlib.sha256(sizes.encode()).hexdigest()[:16]}"
            jobs[name] = Job(network, self._inputs, self._run)
            wholes.append(name)
        self.table.measure((), jobs)
        dense_ms, narrow_ms = (self.table.times[name].median_ms for name in wholes)
        empty_ms = self.table.times[EMPTY].median_ms
        if sums[1] >= FAR_ENOUGH * sums[0] or narrow_ms >= dense_ms:
            return empty_ms, dense_ms / sums[0]
        slope = (dense_ms - narrow_ms) / (sums[0] - sums[1])
        return empty_ms + dense_ms - slope * sums[0], slope

    def _found_dependences(self, dense: Sequence[LayerCall]) -> list[tuple[str, ...]]:
        """Of each layer, the structures that its size depends on: seen by leaving one unit less."""
        depends: list[list[str]] = [[] for _ in dense]
        for structure in self._structures:
            if structure.units == 1:
                continue
            fewer = self._calls({**self._whole, structure.name: 1})
            for names, before, after in zip(depends, dense, fewer, strict=True):
                if before.size != after.size:
                    names.append(structure.name)
        return [tuple(names) for names in depends]

    def _keys(self, left: Left) -> list[tuple[int, tuple[int, ...]]]:
        """Of each layer, its place and the widths that decide its size."""
        return [
            (place, tuple(left[name] for name in names))
            for place, names in enumerate(self._depends)
        ]

    def _note(self, left: Left, calls: Sequence[LayerCall]) -> None:
        keys = self._keys(left)
        self._sizes.update((key, call.size) for key, call in zip(keys, calls, strict=True))

    def _combinations(self, widths: Mapping[str, Sequence[int]]) -> int:
        """Sizes that the layers may have between them, layers that are alike counted apart."""
        found = 0
        for names in self._depends:
            own = 1
            for name in names:
                own *= len(widths[name])
            found += own
        return found

    def _reachable(self, widths: Mapping[str, Sequence[int]]) -> list[LayerCall]:
        """One call of each size that widths can lead to and the table lacks."""
        found: dict[str, LayerCall] = {}
        for left in self._networks_of(widths):
            calls = self._calls(left)
            self._note(left, calls)
            found.update((call.size, call) for call in calls if call.size not in self.table.times)
        return list(found.values())

    def _networks_of(self, widths: Mapping[str, Sequence[int]]) -> Iterator[Left]:
        """Networks that between them have every size of every layer."""
        open_ = {
            (names, own)
            for names in self._depends
            for own in itertools.product(*(widths[name] for name in names))
        }
        while open_:
            left: dict[str, int] = {}
            for names, own in sorted(open_):
                wanted = dict(zip(names, own, strict=True))
                if all(left.get(name, units) == units for name, units in wanted.items()):
                    left.update(wanted)
                    open_.discard((names, own))
            yield {**self._whole, **left}

    def _calls(self, left: Left) -> list[LayerCall]:
        """The layers of the network with so many units, as it runs them."""
        network = self._network_of(left)
        with in_evaluation([network]):
            return layer_calls(network, self._inputs, self._run, fused=self._fused)

    def _network_of(self, left: Left) -> nn.Module:
        alive = {
            structure.name: torch.arange(structure.units) < left[structure.name]
            for structure in self._structures
        }
        places = places_left(self._structures, alive)
        if not places:
            return self._network
        network = copy_of(self._network)
        slice_model(network, places)
        return network


def _narrow(units: int) -> int:
    """About a quarter, in a multiple of 8 where there are more than 8."""
    return max(units // 32, 1) * 8 if units > 8 else max(units // 4, 1)
