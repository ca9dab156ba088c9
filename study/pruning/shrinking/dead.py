"""Which units of a network are dead: nothing makes them, or nothing reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from study.pruning.structure.units import Part, Structure, kept_along, kept_entries

Refusal = Callable[[Structure, int, Part, Tensor], str | None]
"""Why what a unit of a structure sends to some entries of a reader may not be left out, or None."""


@dataclass(frozen=True, eq=False)
class Verdict:
    """Which units are left.

    Parameters
    ----------
    alive
        Bool, (units,), by structure.
    kept
        Reason by unit, of dead units that must stay, by structure.
    """

    alive: Mapping[str, Tensor]
    kept: Mapping[str, Mapping[int, str]]


def dead_units(
    structures: Sequence[Structure], tensors: Mapping[str, Tensor], refusal: Refusal
) -> Verdict:
    """Find dead units until there are no more: one that goes may be the last that kept another.

    A unit is dead where all weights that make it are zero, so that it is the same whatever comes
    in, or where all weights that read it are. One unit of each structure stays.

    Parameters
    ----------
    structures
        The units.
    tensors
        Values of all tensors of the model, by name.
    refusal
        Asked of units that nothing makes and something reads.
    """
    alive = {s.name: torch.ones(s.units, dtype=torch.bool) for s in structures}
    while True:
        entries = _entries_in_use(structures, tensors, alive)
        kept: dict[str, dict[int, str]] = {}
        left = {}
        for structure in structures:
            name = structure.name
            stays, kept[name] = _staying(structure, entries, alive[name], refusal)
            left[name] = alive[name] & stays
        if all(torch.equal(left[name], alive[name]) for name in alive):
            return Verdict(alive, {name: reasons for name, reasons in kept.items() if reasons})
        alive = left


def _staying(
    structure: Structure, entries: Mapping[str, Tensor], alive: Tensor, refusal: Refusal
) -> tuple[Tensor, dict[int, str]]:
    """Which units stay, and of those that are dead the reason."""
    makers = [p for p in structure.of_role("writes") if entries[p.tensor].dim() > 1]
    read = [(part, _along(part, entries)) for part in structure.of_role("reads")]
    is_read = _any_of([_by_unit(part, use, structure.units) for part, use in read], alive)
    is_made = _any_of([_by_unit(p, _along(p, entries), structure.units) for p in makers], alive)
    stays = is_read & (is_made if makers else torch.ones_like(is_made))
    reasons = {}
    for unit in (alive & is_read & ~stays).nonzero().flatten().tolist():
        for part, use in read:
            places = ((part.unit_of == unit) & use).nonzero().flatten()
            reason = refusal(structure, unit, part, places) if len(places) else None
            if reason is not None:
                stays[unit], reasons[unit] = True, reason
                break
    if not bool((alive & stays).any()):
        first = int(alive.nonzero()[0])
        stays[first], reasons[first] = True, "it is the last one"
    return stays, reasons


def _entries_in_use(
    structures: Sequence[Structure], tensors: Mapping[str, Tensor], alive: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Where a tensor is not zero and belongs to no unit that is gone."""
    return {
        name: (tensors[name] != 0).cpu() & kept_entries(tensors[name].shape, along)
        for name, along in kept_along(structures, alive).items()
    }


def _along(part: Part, entries: Mapping[str, Tensor]) -> Tensor:
    """Whether anything is in use at each place along a part's dimension."""
    used = entries[part.tensor]
    return used.any(dim=[d for d in range(used.dim()) if d != part.dimension])


def _by_unit(part: Part, use: Tensor, units: int) -> Tensor:
    found = torch.zeros(units, dtype=torch.bool)
    found[part.unit_of[use & (part.unit_of >= 0)]] = True
    return found


def _any_of(flags: Sequence[Tensor], like: Tensor) -> Tensor:
    return torch.stack([*flags, torch.zeros_like(like)]).any(dim=0)
