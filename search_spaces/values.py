"""What one thing may be: a fixed value, a choice of several, or a range of numbers.

In a study file a number or string is fixed, ``[low, high]`` is a range, a list of any other length
is a choice, and a table such as ``{low = 1, high = 8, step = 0.5}`` says more of a range. What is
fixed, or a choice of one, is no parameter of the search.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import BeforeValidator

from search_spaces.layers import unknown

Choose = Callable[[str, BaseDistribution], Any]
"""Gives a parameter its value: by a sampler, from a point that is known, or as an example."""


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included.

    Parameters
    ----------
    low, high
        Ends. Two whole numbers of Python's type int, without a step, are a range of integers.
    step
        Distance of neighbours; None for all numbers in between.
    log
        Whether the logarithm is drawn evenly.
    """

    low: int | float
    high: int | float
    step: int | float | None = None
    log: bool = False

    @property
    def distribution(self) -> IntDistribution | FloatDistribution:
        """As Optuna has it."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return IntDistribution(self.low, self.high, self.log, int(self.step or 1))
        return FloatDistribution(self.low, self.high, self.log, self.step)


MOST_POINTS = 10_000
"""Of a range with steps: all of them are held in memory."""

Names = str | tuple[str, ...]
Numbers = float | tuple[float, ...] | Range
Integers = int | tuple[int, ...] | Range


def one_of(*allowed: str) -> BeforeValidator:
    """Validator of a field that is a single name."""
    return BeforeValidator(lambda value: _known(value, allowed))


def names(*allowed: str) -> BeforeValidator:
    """Validator of a field that is a name or a choice of names; of any, when none is given."""

    def read(value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, str):
            return _known(value, allowed)
        if not isinstance(value, Sequence) or not all(isinstance(name, str) for name in value):
            raise ValueError(f"{value!r} is neither a name nor a list of names")
        return _choice([_known(name, allowed) for name in value])

    return BeforeValidator(read)


LEAST_DENSITY = 1e-9
"""That a space may ask for: a weight of a billion. Of far less, sparsity would be 1 by rounding."""


def numbers(
    least: float = 0.0,
    most: float = math.inf,
    *,
    above: float = -math.inf,
    below: float = math.inf,
    whole: bool = False,
    step: float | None = None,
    log: bool = False,
) -> BeforeValidator:
    """Validator of a field that is a number, a choice of numbers or a range.

    Parameters
    ----------
    least, most, above, below
        Limits of every number; the first two are allowed themselves.
    whole
        Whether only whole numbers will do.
    step, log
        Of a range that is written ``[low, high]``.
    """

    def number(value: Any) -> int | float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"{value!r} is not a number, [low, high], or a list of numbers")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{value} must be a finite number")
        if not (least <= value <= most and above < value < below):
            limits = [f"at least {least:g}"] if above < least else [f"above {above:g}"]
            limits += [f"at most {most:g}"] if math.isfinite(most) else []
            limits += [f"below {below:g}"] if math.isfinite(below) else []
            raise ValueError(f"{value} must be {' and '.join(limits)}")
        if whole and value != int(value):
            raise ValueError(f"{value} must be a whole number")
        return int(value) if whole else float(value)

    def span(low: Any, high: Any, own_step: Any, own_log: Any) -> Range | int | float:
        low, high = number(low), number(high)
        if low > high:
            raise ValueError(f"the low end {low} is above the high end {high}")
        if not isinstance(own_log, bool):
            raise ValueError(f"log is {own_log!r}; allowed are true and false")
        if own_log and (low <= 0 or own_step is not None):
            raise ValueError("a range with log starts above 0 and has no step")
        if own_step is None and not own_log:
            own_step = step
        if own_step is not None:
            own_step = _step(low, high, own_step, whole)
        return low if low == high else Range(low, high, own_step, own_log)

    def read(value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, Range):
            return span(value.low, value.high, value.step, value.log)
        if isinstance(value, Mapping):
            allowed = [field.name for field in fields(Range)]
            for key in value:
                if key not in allowed:
                    raise ValueError(unknown("key", key, allowed))
            if not {"low", "high"} <= value.keys():
                raise ValueError("a range needs low and high")
            own_log = value.get("log", log and value.get("step") is None)
            return span(value["low"], value["high"], value.get("step"), own_log)
        if isinstance(value, (list, tuple)):
            if len(value) == 2:
                return span(value[0], value[1], None, log)
            return _choice([number(item) for item in value])
        return number(value)

    return BeforeValidator(read)


def options(values: Any) -> tuple[Any, ...]:
    """All that a field may be; the ends of a range that has no step."""
    if not isinstance(values, Range):
        return values if isinstance(values, tuple) else (values,)
    whole = isinstance(values.distribution, IntDistribution)
    step = (values.step or 1) if whole else values.step
    if step is None:
        return values.low, values.high
    count = round((values.high - values.low) / step)
    return tuple(_grid_point(values.low, values.high, step, index) for index in range(count + 1))


def draw(choose: Choose, name: str, values: Any) -> Any:
    """Take the fixed value, or have one chosen."""
    if isinstance(values, Range):
        distribution = values.distribution
        chosen = choose(name, distribution)
        stepped = isinstance(distribution, FloatDistribution) and distribution.step is not None
        # Samplers add steps up, and 0.1 + 2 * 0.1 is not the 0.3 that was written.
        return nearest(distribution, chosen) if stepped else chosen
    if isinstance(values, tuple):
        return choose(name, CategoricalDistribution(values))
    return values


def _grid_point(low: float, high: float, step: float, index: int) -> int | float:
    """The number that a person would write for ``low + index * step``, and none above ``high``."""
    if isinstance(low, int) and isinstance(step, int):
        return low + index * step
    exact = Decimal(repr(low)) + index * Decimal(repr(step))
    return min(float(exact), high)


def nearest(distribution: BaseDistribution, value: Any) -> Any:
    """The value of a distribution that is nearest to the one wanted.

    A name that is not among the choices, and None, give the first value there is.
    """
    numeric = isinstance(value, (int, float)) and not math.isnan(value)
    if isinstance(distribution, CategoricalDistribution):
        choices: tuple[Any, ...] = distribution.choices
        if value in choices or isinstance(choices[0], str) or not numeric:
            return value if value in choices else choices[0]
        return min(choices, key=lambda choice: abs(choice - value))
    assert isinstance(distribution, (IntDistribution, FloatDistribution))
    inside = min(max(value, distribution.low), distribution.high) if numeric else distribution.low
    if distribution.step is not None:
        steps = round((inside - distribution.low) / distribution.step)
        inside = _grid_point(distribution.low, distribution.high, distribution.step, steps)
    return int(inside) if isinstance(distribution, IntDistribution) else float(inside)


def _known(value: Any, allowed: Sequence[str]) -> Any:
    if allowed and value not in allowed:
        raise ValueError(unknown("name", value, allowed))
    return value


def _choice(values: list[Any]) -> Any:
    if not values:
        raise ValueError("the list is empty; there is nothing to choose from")
    if len(set(values)) < len(values):
        raise ValueError(f"{values} names a choice twice")
    return tuple(values) if len(values) > 1 else values[0]


def _step(low: float, high: float, step: Any, whole: bool) -> int | float:
    if isinstance(step, bool) or not isinstance(step, (int, float)) or not step > 0:
        raise ValueError(f"step is {step!r}; it must be a number above 0")
    if whole and step != int(step):
        raise ValueError(f"step is {step}; it must be a whole number")
    count = (high - low) / step
    if count > MOST_POINTS:
        raise ValueError(
            f"from {low:g} to {high:g} in steps of {step:g} are more than {MOST_POINTS:,} numbers; "
            "take a larger step, or none"
        )
    if abs(count - round(count)) > 1e-9:
        end = low + math.floor(count) * step
        raise ValueError(
            f"from {low:g} to {high:g} is not a whole number of steps of {step:g}; end at "
            f"{end:g}, or set step in {{low = {low:g}, high = {high:g}, step = ...}}"
        )
    return int(step) if whole else float(step)
