"""Descents by a share of what remains: each round removes it, until few enough weights are left.

Iterative magnitude pruning is told like this (a fifth a round, down to a hundredth). The number of
rounds and the total density are no choice then: both follow from the cut and the floor. Where
layers have densities of their own, each removes its own share of what remains each round, and the
total meets the cut at the end of the descent, not at each round of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from search_spaces.values import Numbers, Range, options

DEFAULT_FLOOR = 0.01

_ROUNDING = 1e-9
"""A cut that reaches the floor exactly shall not take a round more because of rounding."""


def rounds_of(cut: float, floor: float) -> int:
    """Rounds until no more than the floor is left.

    Parameters
    ----------
    cut
        Share of what remains that each round removes, between 0 and 1.
    floor
        Density at which a descent ends, between 0 and 1.
    """
    return max(1, math.ceil(math.log(floor) / math.log1p(-cut) - _ROUNDING))


def total_of(cut: float, floor: float) -> float:
    """Density of all prunable weights after the last round: at most the floor, rounding aside."""
    return float((1.0 - cut) ** rounds_of(cut, floor))


def cut_of(density: float, rounds: int) -> float:
    """The cut that leaves this density after so many rounds."""
    return float(1.0 - density ** (1.0 / rounds))


def totals_of(cut: Numbers, floor: float) -> tuple[float, float]:
    """The least and the most that any of the cuts leaves.

    Within a range of cuts the total falls from the floor, where a cut meets it exactly, as cuts
    grow, until a round less is enough and it is at the floor again. So the least is at the high
    end, or just below the last cut of the range that meets the floor.
    """
    totals = [total_of(each, floor) for each in options(cut)]
    if isinstance(cut, Range) and cut.step is None:
        last = cut_of(floor, rounds_of(cut.high, floor))  # the last that meets the floor
        if cut.low <= last:
            totals += [floor, floor * (1.0 - last)] if cut.low < last else [floor]
    return min(totals), max(totals)


def fill_in(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a table that gives a cut, and has a form, leaves open.

    Raises
    ------
    ValueError
        If it says how many rounds there are as well.
    """
    filled = dict(values)
    if filled.get("rounds") is not None:
        raise ValueError(
            "cut and rounds: take one of them out; with cut there are as many rounds as it takes "
            "down to the floor"
        )
    filled["rounds"] = None
    if filled.get("floor") is None:
        filled["floor"] = DEFAULT_FLOOR
    floor = filled["floor"]
    if filled["form"] == "density_projected" and filled.get("per_layer") is None:
        # The usual bounds end at a hundredth, where a total of a hundredth leaves no choice.
        filled["per_layer"] = {"bounds": (0.0, 1.0 - floor / 10 if _is_share(floor) else 0.99)}
    return filled


def check_cuts(fields: Mapping[str, Any]) -> None:
    """Refuse what has no meaning beside a cut.

    Parameters
    ----------
    fields
        The fields of a space whose ``cut`` is set.

    Raises
    ------
    ValueError
        Naming the field and what is allowed.
    """
    if fields["form"] == "per_layer":
        raise ValueError(
            "form per_layer has no meaning with cut, which is of all weights; forms with cut are "
            "offsets, density_projected and global"
        )
    if fields["schedule"] != "geometric":
        raise ValueError(
            f"schedule {fields['schedule']!r} has no meaning with cut: to remove the same share of "
            "what remains each round is schedule geometric"
        )
    if fields["density"] is not None:
        raise ValueError("density has no meaning with cut: it follows from cut and floor")
    if fields["threshold"] is not None:
        raise ValueError("allocation threshold has no meaning with cut")
    if fields["per_layer"].bounds == "sensitivity":
        raise ValueError(
            "per_layer.bounds 'sensitivity' has no meaning with cut: bounds of a scan may end "
            "above the floor; write bounds that do not, or rounds instead of cut"
        )


def check_reach(cut: Numbers, floor: float, low: float, high: float) -> None:
    """Refuse cuts that end where the bounds of the layers do not.

    Raises
    ------
    ValueError
        If a total lies outside ``low`` to ``high``.
    """
    least, most = totals_of(cut, floor)
    if least < low or most > high:
        raise ValueError(
            f"space.cut {options(cut)} with floor {floor:g} ends at total densities from "
            f"{least:.4g} to {most:.4g}; the bounds of the layers allow {low:.4g} to {high:.4g}"
        )


def _is_share(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1
