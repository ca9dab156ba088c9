"""What a cut of units is asked to do, and that it cannot be done."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from study.errors import UsageError
from study.pruning.selection.ranking import pruned_count
from study.pruning.structure.sizes import Measure
from study.pruning.structure.units import Structure


@dataclass(frozen=True, eq=False)
class UnitRequest:
    """What a cut of units is asked to do.

    Parameters
    ----------
    structures
        The units that may go.
    alive
        Those left: bool, (units,), by structure.
    scores
        Saliency of each unit, (units,), finite, by structure.
    sizes
        What the network costs, in the measure of which ``sparsity`` is a share.
    sparsity
        Share of the dense cost to be gone; or, by structure (names or patterns), shares of units.
    cost
        The measure by which scores are divided.
    cost_exponent
        Scores are divided by the cost that the unit would save, to this power.
    layer_floor
        Least share of units that any structure keeps; one unit is always kept.
    width_multiple
        Widths that are left are multiples of this, where the structure is wider.
    drops
        With allocation ``sensitivity``: what a scan found, pairs of the share of units that was
        removed and the drop of the quality, by structure. What was not scanned stays.
    """

    structures: Sequence[Structure]
    alive: Mapping[str, Tensor]
    scores: Mapping[str, Tensor]
    sizes: Measure
    sparsity: float | Mapping[str, float]
    cost: Measure
    cost_exponent: float = 0.0
    layer_floor: float = 0.0
    width_multiple: int = 1
    drops: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)

    def floor(self, structure: Structure) -> int:
        """Units that a structure must keep."""
        if self.drops:
            scanned = [level for level, _ in self.drops.get(structure.name, ())]
            return self.width_at(structure, max(scanned, default=0.0))
        return self._floor(structure)

    def _floor(self, structure: Structure) -> int:
        share = structure.units - pruned_count(1 - self.layer_floor, structure.units)
        multiple = self.unit_multiple(structure)
        return min(math.ceil(max(share, 1) / multiple) * multiple, structure.units)

    def width_at(self, structure: Structure, sparsity: float) -> int:
        """Units that a share of them to be removed leaves: a multiple, and no fewer than the floor.

        Where no unit is to go, all stay, whatever the width.
        """
        gone = pruned_count(sparsity, structure.units)
        multiple = self.unit_multiple(structure)
        wide = (structure.units - gone) // multiple * multiple
        return max(wide, self._floor(structure)) if gone else structure.units

    def unit_multiple(self, structure: Structure) -> int:
        """Units of which so many make widths that are multiples: a unit may be several channels."""
        made = structure.of_role("writes")[0]
        per_unit = int((made.unit_of >= 0).sum()) // structure.units
        return self.width_multiple // math.gcd(self.width_multiple, max(per_unit, 1))

    def next_cut(self, structure: Structure, left: int) -> int:
        """How many units go together next; 0 where no more may go."""
        multiple = self.unit_multiple(structure)
        wide = left % multiple or multiple
        return wide if left - wide >= self.floor(structure) else 0

    def widths(self, structure: Structure) -> list[int]:
        """Units that a structure may be left with, the most first."""
        found = [structure.units]
        while cut := self.next_cut(structure, found[-1]):
            found.append(found[-1] - cut)
        return found

    def ascending(self, name: str) -> Tensor:
        """Scores of the units of a structure that are left, the lowest first: float64."""
        scores = self.scores[name].double().cpu()
        return scores[self.alive[name].cpu()].sort().values


Worth = Callable[[Structure, Mapping[str, int], int], float]
"""What the next so many units of a structure are worth, given what is left; the lowest go."""


class OutOfReachError(UsageError):
    """The floors keep more than was asked for."""


def refuse_unreachable(request: UnitRequest, left: Mapping[str, int]) -> None:
    """Make sure that the smallest network that floors allow is as small as was asked for.

    Where costs are predicted, one that misses by no more than predictions are wrong will do: only
    a measurement can tell.

    Raises
    ------
    OutOfReachError
        If it is not; it says what is the most that may go.
    """
    whole = request.sizes.total({s.name: s.units for s in request.structures})
    least = request.sizes.total(left) / whole
    assert isinstance(request.sparsity, float)
    if least <= (1.0 - request.sparsity) * (1.0 + request.sizes.error) * (1 + 1e-9):
        return
    why = (
        f"(layer_floor {request.layer_floor}, width_multiple {request.width_multiple}, one channel "
        f"everywhere{', no share that was not scanned' if request.drops else ''})"
    )
    if request.sizes.error:
        raise OutOfReachError(
            f"taking out channels leaves {least:.3g} of the dense network's latency at least "
            f"{why}, by prediction; plans would have to end at {1 - request.sparsity:.3g}, and "
            f"predictions are not wrong by more than {request.sizes.error:.0%} or so. Ask for "
            "more than that, or set a smaller space.width_multiple."
        )
    raise OutOfReachError(
        f"sparsity {request.sparsity}: taking out channels leaves {least:.3g} of the network at "
        f"least {why}; {1 - least:.3g} is the most."
    )
