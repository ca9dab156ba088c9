"""What to say where plans of a space go farther than taking out units can."""

from __future__ import annotations

import math

from search_spaces.cuts import totals_of
from search_spaces.forms import DEFAULT_DENSITY
from search_spaces.values import Numbers, Range, options
from study.configuration.loading import StudyConfig
from study.errors import UsageError
from study.pruning.plan import PruningPlan
from study.pruning.structure.request import OutOfReachError

SHARES_OF = {
    "weights": "prunable weights",
    "macs": "multiply-adds",
    "latency_ms": "predicted milliseconds",
}


def named(config: StudyConfig, plan: PruningPlan, error: OutOfReachError) -> UsageError:
    """The same, by the field of the study file that asks for it, and with what would work.

    Parameters
    ----------
    config
        The study.
    plan
        One of its plans.
    error
        What it was refused with.
    """
    space = config.space
    lowest = _in_digits(error.least)
    whole = SHARES_OF[space.budget]
    if space.function is not None or not space.by_allocation:
        return error
    if plan.removal.is_mixed:
        asks = f"space.unit_sparsity: {plan.unit_sparsity} of the network's {whole} are to go"
        mend = f"Let it be {1 - lowest:.6g} at most"
    elif config.search.target is not None:
        asks = f"search.target: {config.search.target!r} is less"
        mend = f"Let it be {lowest:.6g} at least"
    elif space.floor is not None and space.cut is not None:
        asks = f"space.floor: plans go down to {space.floor} of the network's {whole}"
        mend = f"Set space.floor = {_floor_above(error.least, space.cut):.6g}"
    else:
        assert space.density is not None
        unset = ", the default," if space.density == DEFAULT_DENSITY else ""
        low, high = min(options(space.density)), 1.0
        if isinstance(space.density, Range):
            high = space.density.high
        asks = f"space.density: plans go down to {low:.6g}{unset} of the network's {whole}"
        mend = f"Set space.density = [{lowest:.6g}, {max(high, lowest):.6g}]"
    predicted = ", by prediction" if space.budget == "latency_ms" else ""
    return UsageError(
        f"{asks}, but taking out {plan.removal.units} leaves {error.least:.3g} at least{predicted} "
        f"({error.limits}). {mend}, or lower space.width_multiple or space.layer_floor."
    )


def _floor_above(least: float, cut: Numbers) -> float:
    """A floor below which cuts, which take whole steps, end no lower than what can be reached."""
    floor = _in_digits(least)
    while totals_of(cut, floor)[0] < least and floor < 0.99:
        floor = _in_digits(floor + 0.01)
    return floor


def _in_digits(share: float) -> float:
    """Rounded up to a hundredth, and to a thousandth below a tenth."""
    digits = 100 if share >= 0.1 else 1000
    return min(math.ceil(share * digits - 1e-9) / digits, 1.0)
