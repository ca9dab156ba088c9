"""What a cut of units is asked to do, and that it cannot be done."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

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
    offsets
        What is added to the logarithm of the scores of a structure in a ranking, by its name.
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
    offsets: Mapping[str, float] = field(default_factory=dict)
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


USUAL_FLOORS = (0.1, 0.05, 0.025)
"""Shares of its units that each structure keeps unless a plan says otherwise: the first of these
with which the target can be reached."""


def with_usual_floor(request: UnitRequest) -> UnitRequest:
    """The same with the floor of rankings for which none was asked for.

    Scores of different structures may differ by so much that a ranking of them as they are leaves
    one unit of many, and no signal passes.
    """
    if isinstance(request.sparsity, Mapping):
        return request
    whole = request.sizes.total({s.name: s.units for s in request.structures})
    for share in USUAL_FLOORS:
        floored = replace(request, layer_floor=share)
        least = {s.name: floored.floor(s) for s in request.structures}
        if request.sizes.total(least) <= (1.0 - request.sparsity) * whole:
            return floored
    return request


class OutOfReachError(UsageError):
    """Taking out units leaves more than was asked for.

    Parameters
    ----------
    message
        All in words.
    least
        Share of the network that is left at least.
    limits
        What keeps it from less, in words.
    """

    def __init__(self, message: str, least: float, limits: str) -> None:
        super().__init__(message)
        self.least, self.limits = least, limits


def refuse_unreachable(
    request: UnitRequest, left: Mapping[str, int], field: str = "sparsity"
) -> None:
    """Make sure that the smallest network that floors allow is as small as was asked for.

    Where costs are predicted, one that misses by no more than predictions are wrong will do: only
    a measurement can tell.

    Parameters
    ----------
    request
        What is asked for.
    left
        Units of each structure that floors keep.
    field
        Of a plan, which asks for it.

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
    of_heads = {structure.of_heads for structure in request.structures}
    what = "units" if len(of_heads) > 1 else "heads" if of_heads == {True} else "channels"
    limits = (
        f"layer_floor {request.layer_floor}, width_multiple {request.width_multiple}, one "
        f"{what[:-1]} everywhere{', no share that was not scanned' if request.drops else ''}"
    )
    if request.sizes.error:
        message = (
            f"taking out {what} leaves {least:.3g} of the dense network's latency at least "
            f"({limits}), by prediction; plans would have to end at {1 - request.sparsity:.3g}, "
            f"and predictions are not wrong by more than {request.sizes.error:.0%} or so. Ask for "
            "more than that, or set a smaller space.width_multiple."
        )
    else:
        message = (
            f"{field} {request.sparsity}: taking out {what} leaves {least:.3g} of the network "
            f"at least ({limits}); {1 - least:.3g} is the most."
        )
    raise OutOfReachError(message, least, limits)
