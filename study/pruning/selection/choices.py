"""One choice of each of several lists: the least summed loss that saves enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

CELLS = 4_000
"""Parts into which what is to be saved is divided, where savings are no whole numbers."""

_WHOLE = 1e-9
"""Distance from a whole number that is rounding."""


class Choice(NamedTuple):
    """What is lost, and what is saved, by it."""

    loss: float
    saved: float


def least_loss(lists: Sequence[Sequence[Choice]], to_save: float) -> list[int] | None:
    """Choose one of each list such that together they save enough and lose the least.

    By dynamic programming over what is saved. Where savings are whole numbers, and there are no
    more than :data:`CELLS` of their greatest common divisor in what is to be saved, no other choice
    loses less. Otherwise savings are rounded down to a :data:`CELLS`-th of what is to be saved:
    what is chosen saves enough, and loses no more than the best choice that saves more by so much
    for each list.

    Parameters
    ----------
    lists
        Each begins with what saves and loses nothing. Losses are not negative; what saves less than
        nothing is never chosen.
    to_save
        Sum of what is saved, above 0.

    Returns
    -------
    list of int or None
        The place of the choice in each list; of equal losses the choice that saves less. None where
        not even the dearest choices save enough.

    Raises
    ------
    ValueError
        If a loss is negative.

    References
    ----------
    Sinha and Zoltners 1979, "The Multiple-Choice Knapsack Problem".
    """
    if any(choice.loss < 0 for choices in lists for choice in choices):
        raise ValueError("every loss must be at least 0")
    unit = _unit([choice.saved for choices in lists for choice in choices], to_save)
    cells = math.ceil(to_save / unit * (1 - _WHOLE))
    best = torch.full((cells + 1,), math.inf, dtype=torch.float64)
    best[0] = 0.0
    taken: list[Tensor] = []
    for choices in lists:
        after = torch.full_like(best, math.inf)
        place = torch.zeros(cells + 1, dtype=torch.int64)
        for number, choice in enumerate(choices):
            saved = math.floor(choice.saved / unit * (1 + _WHOLE))
            if saved < 0:
                continue
            moved = _moved(best, min(saved, cells)) + choice.loss
            better = moved < after
            after[better], place[better] = moved[better], number
        best = after
        taken.append(place)
    if math.isinf(float(best[cells])):
        return None
    chosen, cell = [], cells
    for choices, place in zip(reversed(lists), reversed(taken), strict=True):
        number = int(place[cell])
        chosen.append(number)
        cell = max(cell - math.floor(choices[number].saved / unit * (1 + _WHOLE)), 0)
    return chosen[::-1]


def dearest(lists: Sequence[Sequence[Choice]]) -> list[int]:
    """The choice of each list that saves the most."""
    return [max(range(len(each)), key=lambda place: each[place].saved) for each in lists]


def _moved(best: Tensor, by: int) -> Tensor:
    """The least loss for at least so many cells, of which a choice brings ``by``."""
    moved = torch.empty_like(best)
    moved[by:] = best[: len(best) - by]
    moved[:by] = best[0]
    return moved


def _unit(saved: Sequence[float], to_save: float) -> float:
    """Greatest common divisor of whole numbers that is coarse enough, else a part of the sum."""
    if all(abs(each - round(each)) <= _WHOLE * max(abs(each), 1) for each in saved):
        unit = reduce(math.gcd, (abs(round(each)) for each in saved))
        if unit and to_save / unit <= CELLS:
            return float(unit)
    return to_save / CELLS
