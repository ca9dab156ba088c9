"""Three ways to make sparsity a matter of search: by layer, by total and shares, by allocation.

Each turns parameters into the plan's ``sparsity`` and ``allocation``, and back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Self

from optuna.distributions import (
    BaseDistribution,
    CategoricalChoiceType,
    CategoricalDistribution,
    FloatDistribution,
)
from pydantic import BaseModel, ConfigDict, Field, model_validator

from search_spaces.layers import Grouping, Layer, by_pattern, group_layers

Choose = Callable[[str, BaseDistribution], Any]
Bounds = tuple[float, float]

LEAST_SHARE = 0.01
"""Smallest density of a layer relative to the densest one, in the density-projected form."""


def check_bounds(field: str, bounds: Bounds) -> None:
    """Refuse bounds of sparsity that are not ``0 <= low <= high < 1``."""
    low, high = bounds
    if not 0 <= low <= high < 1:
        raise ValueError(f"{field} is [{low}, {high}]; allowed is 0 <= low <= high < 1")


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PerLayer(_Form):
    """One parameter for each layer, or for each group of layers.

    With lower bounds of 0 every prefix of a plan in the space is in the space too.
    """

    bounds: Bounds | dict[str, Bounds] | Literal["sensitivity"] = Field(
        default=(0.0, 0.99),
        description="lowest and highest sparsity, for all layers or by pattern; or sensitivity: "
        "what a scan says each layer can take",
    )
    group_by: Grouping = Field(
        default="layer", description="layers that share a parameter: layer, block or kind"
    )
    scale: Literal["sparsity", "log_density"] = Field(
        default="sparsity", description="what is drawn evenly: sparsity, or the log of density"
    )

    @model_validator(mode="after")
    def _bounds_are_sparsities(self) -> Self:
        if isinstance(self.bounds, dict):
            for pattern, bounds in self.bounds.items():
                check_bounds(f"bounds of {pattern!r}", bounds)
        elif isinstance(self.bounds, tuple):
            check_bounds("bounds", self.bounds)
        return self

    def layer_bounds(self, layers: Sequence[Layer]) -> dict[str, Bounds]:
        """Lowest and highest sparsity of every layer; (0, 0) where no pattern matches."""
        if self.bounds == "sensitivity":
            raise ValueError('per_layer.bounds is "sensitivity", and no scan has been made yet')
        if isinstance(self.bounds, dict):
            found = by_pattern("space.per_layer.bounds", self.bounds, layers)
        else:
            found = dict.fromkeys((layer.name for layer in layers), self.bounds)
        return {layer.name: found.get(layer.name, (0.0, 0.0)) for layer in layers}

    def groups(self, layers: Sequence[Layer]) -> dict[str, tuple[list[Layer], Bounds]]:
        """Groups with the bounds that all their layers allow."""
        bounds = self.layer_bounds(layers)
        result = {}
        for name, members in group_layers(layers, self.group_by).items():
            low = max(bounds[layer.name][0] for layer in members)
            high = min(bounds[layer.name][1] for layer in members)
            result[name] = (members, (min(low, high), high))
        return result

    def draw(self, choose: Choose, layers: Sequence[Layer]) -> dict[str, Any]:
        """Choose a sparsity for each group; a group whose bounds meet has no parameter."""
        sparsity = {}
        for name, (members, (low, high)) in self.groups(layers).items():
            level = low
            if low < high:
                if self.scale == "sparsity":
                    level = choose(f"sparsity.{name}", FloatDistribution(low, high))
                else:
                    log = FloatDistribution(1 - high, 1 - low, log=True)
                    level = max(1.0 - choose(f"density.{name}", log), 0.0)
            sparsity.update(dict.fromkeys((layer.name for layer in members), level))
        return {"allocation": "per_layer", "sparsity": sparsity}

    def read(self, plan: Mapping[str, Any], layers: Sequence[Layer]) -> dict[str, Any] | None:
        """Parameters that :meth:`draw` makes this sparsity of; None when there are none."""
        if plan.get("allocation") != "per_layer":
            return None
        parameters = {}
        for name, (members, (low, high)) in self.groups(layers).items():
            levels = {plan["sparsity"].get(layer.name, 0.0) for layer in members}
            if len(levels) > 1:
                return None
            (level,) = levels
            if low == high and level != low:
                return None
            by_density = self.scale == "log_density"
            parameters[f"{'density' if by_density else 'sparsity'}.{name}"] = (
                1.0 - level if by_density else level
            )
        return parameters


class Projected(_Form):
    """The total density is one parameter, and each layer's share of it another.

    Total densities are then drawn evenly (on a log scale) over their range, so that the search
    covers the front evenly, which independent layers do not: their total clusters.
    """

    density: Bounds = Field(
        default=(0.01, 1.0), description="lowest and highest total density, in (0, 1]"
    )
    max_sparsity: float | dict[str, float] = Field(
        default=0.999, description="highest sparsity of a layer, for all or by pattern"
    )

    @model_validator(mode="after")
    def _densities_are_shares(self) -> Self:
        low, high = self.density
        if not 0 < low < high <= 1:
            raise ValueError(f"density is [{low}, {high}]; allowed is 0 < low < high <= 1")
        levels = self.max_sparsity
        for level in levels.values() if isinstance(levels, dict) else [levels]:
            if not 0 <= level < 1:
                raise ValueError(f"max_sparsity {level} is not at least 0 and below 1")
        return self

    def least_densities(self, layers: Sequence[Layer]) -> list[float]:
        """Lowest density of every layer."""
        if isinstance(self.max_sparsity, dict):
            found = by_pattern("space.projected.max_sparsity", self.max_sparsity, layers)
            return [1 - found.get(layer.name, 0.0) for layer in layers]
        return [1 - self.max_sparsity] * len(layers)

    def draw(self, choose: Choose, layers: Sequence[Layer]) -> dict[str, Any]:
        """Choose total and shares; layers take their share as far as bounds allow."""
        density = choose("density", FloatDistribution(*self.density, log=True))
        shares = [
            choose(f"share.{layer.name}", FloatDistribution(LEAST_SHARE, 1.0, log=True))
            for layer in layers
        ]
        densities = project(
            shares, [layer.total for layer in layers], self.least_densities(layers), density
        )
        sparsity = {
            layer.name: max(1.0 - kept, 0.0) for layer, kept in zip(layers, densities, strict=True)
        }
        return {"allocation": "per_layer", "sparsity": sparsity}

    def read(self, plan: Mapping[str, Any], layers: Sequence[Layer]) -> dict[str, Any] | None:
        """Total and shares of a plan; None when a layer's share is too small to be drawn."""
        if plan.get("allocation") != "per_layer":
            return None
        densities = [1.0 - plan["sparsity"].get(layer.name, 0.0) for layer in layers]
        total = sum(layer.total for layer in layers)
        density = sum(d * layer.total for d, layer in zip(densities, layers, strict=True)) / total
        highest = max(densities)
        return {
            "density": density,
            **{
                f"share.{layer.name}": kept / highest
                for layer, kept in zip(layers, densities, strict=True)
            },
        }


class Total(_Form):
    """One sparsity for the whole network, and an allocation that divides it."""

    density: Bounds = Field(
        default=(0.01, 1.0), description="lowest and highest total density, in (0, 1]"
    )
    allocation: tuple[Literal["global", "uniform", "uniform_plus", "erk", "lamp"], ...] = Field(
        default=("global", "uniform", "erk", "lamp"), min_length=1, description="to choose from"
    )

    @model_validator(mode="after")
    def _densities_are_shares(self) -> Self:
        low, high = self.density
        if not 0 < low < high <= 1:
            raise ValueError(f"density is [{low}, {high}]; allowed is 0 < low < high <= 1")
        return self

    def draw(self, choose: Choose, layers: Sequence[Layer]) -> dict[str, Any]:
        """Choose a density and an allocation."""
        allocation: CategoricalChoiceType = self.allocation[0]
        if len(self.allocation) > 1:
            allocation = choose("allocation", CategoricalDistribution(self.allocation))
        density = choose("density", FloatDistribution(*self.density, log=True))
        return {"allocation": allocation, "sparsity": max(1.0 - density, 0.0)}

    def read(self, plan: Mapping[str, Any], layers: Sequence[Layer]) -> dict[str, Any] | None:
        """Density and allocation of a plan; None when it is allocated in another way."""
        if plan.get("allocation") not in self.allocation:
            return None
        return {"allocation": plan["allocation"], "density": 1.0 - plan["sparsity"]}


def project(
    shares: Sequence[float], totals: Sequence[int], least: Sequence[float], density: float
) -> list[float]:
    """Densities in proportion to shares, between ``least`` and 1, that meet a total density.

    Where the lower bounds alone exceed the total, the lower bounds are the answer.
    """
    budget = density * sum(totals)

    def at(scale: float) -> list[float]:
        return [min(max(scale * s, low), 1.0) for s, low in zip(shares, least, strict=True)]

    def kept(scale: float) -> float:
        return sum(d * n for d, n in zip(at(scale), totals, strict=True))

    below, above = 0.0, 1.0 / min(shares)
    for _ in range(200):
        middle = (below + above) / 2
        below, above = (middle, above) if kept(middle) < budget else (below, middle)
    return at(above)
