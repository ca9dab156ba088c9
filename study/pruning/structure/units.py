"""Units of a network, such as channels and heads, and the entries of tensors that are theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Role = Literal["writes", "reads"]


@dataclass(frozen=True, eq=False)
class Part:
    """The entries of one tensor, along one of its dimensions, that belong to units.

    Parameters
    ----------
    tensor
        Name of the parameter or buffer: ``"conv1.weight"``, ``"bn1.running_mean"``.
    dimension
        Along which the units lie.
    unit_of
        int64, (size of the dimension,): the unit that each entry belongs to, -1 where to none.
    role
        Whether the entries make the unit's values (rows of a matrix, biases, norms), or are what
        others multiply these with (columns).
    """

    tensor: str
    dimension: int
    unit_of: Tensor
    role: Role

    def kept(self, alive: Tensor) -> Tensor:
        """Bool, (size of the dimension,): which entries are of no unit, or of one alive."""
        return (self.unit_of < 0) | alive.to(self.unit_of.device)[self.unit_of.clamp_min(0)]


@dataclass(frozen=True, eq=False)
class Structure:
    """Units of one kind that lie side by side, of which any may be taken out without the others.

    Parameters
    ----------
    name
        The first layer that makes their values.
    units
        How many there are.
    parts
        All entries that go with them.
    alike
        The same for structures of one form, whatever their widths (Fang et al. 2024,
        "Isomorphic Pruning").
    of_heads
        Whether the units are heads of attention.
    """

    name: str
    units: int
    parts: tuple[Part, ...]
    alike: str
    of_heads: bool = False

    def of_role(self, role: Role) -> list[Part]:
        """The parts that write, or that read."""
        return [part for part in self.parts if part.role == role]

    def __str__(self) -> str:
        written = ", ".join(part.tensor for part in self.of_role("writes"))
        read = ", ".join(part.tensor for part in self.of_role("reads"))
        return f"{self.units} units of {self.name}: made by {written}; read by {read or 'nothing'}"


Alive = Mapping[str, Tensor]
"""Which units are left: bool, (units,), by the name of their structure."""


def kept_along(structures: Sequence[Structure], alive: Alive) -> dict[str, dict[int, Tensor]]:
    """Which entries are left along each dimension of each tensor that has units.

    Returns
    -------
    dict of str to dict of int to Tensor
        Bool, (size of the dimension,), by tensor and dimension.
    """
    found: dict[str, dict[int, Tensor]] = {}
    for structure in structures:
        for part in structure.parts:
            along = found.setdefault(part.tensor, {})
            kept = part.kept(alive[structure.name])
            before = along.get(part.dimension)
            along[part.dimension] = kept if before is None else before & kept
    return found


def kept_entries(shape: Sequence[int], along: Mapping[int, Tensor]) -> Tensor:
    """Mask of a tensor of a shape: True where no dimension says that the entry is gone."""
    mask = torch.ones(tuple(shape), dtype=torch.bool)
    for dimension, kept in along.items():
        mask &= kept.cpu().view([-1 if d == dimension else 1 for d in range(len(shape))])
    return mask
