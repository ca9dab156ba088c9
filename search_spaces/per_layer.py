"""How sparse each layer may become, and a sparsity for each as parameters of the search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from optuna.distributions import FloatDistribution
from pydantic import BeforeValidator, Field

from search_spaces.layers import Grouping, Layer, check_patterns, group_layers, look_up
from search_spaces.strict import Strict
from search_spaces.values import Choose, one_of

Interval = tuple[float, float]
Scale = Literal["linear_sparsity", "log_density"]

DEFAULT_BOUNDS: Interval = (0.0, 0.99)


@dataclass(frozen=True)
class Group:
    """Layers that share one sparsity, and the bounds that all of them allow."""

    name: str
    layers: tuple[Layer, ...]
    low: float
    high: float

    @property
    def total(self) -> int:
        """Weights of all its layers."""
        return sum(layer.total for layer in self.layers)

    def pooled(self, sparsity: Mapping[str, float]) -> float:
        """Sparsity of the group as a whole, given that of each layer."""
        levels = [sparsity[layer.name] for layer in self.layers]
        if min(levels) == max(levels):
            return levels[0]  # an average would bring in rounding
        gone = sum(level * layer.total for level, layer in zip(levels, self.layers, strict=True))
        return gone / self.total


def _read_interval(where: str, value: Any) -> Interval:
    ends = value if isinstance(value, (list, tuple)) else ()
    numeric = all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in ends)
    if len(ends) != 2 or not numeric or not 0 <= ends[0] <= ends[1] < 1:
        raise ValueError(f"{where}{value!r}: write [low, high] with 0 <= low <= high < 1")
    return float(ends[0]), float(ends[1])


def _read_bounds(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _read_interval(f"{key!r} = ", ends) for key, ends in value.items()}
    if isinstance(value, str):
        if value != "sensitivity":
            raise ValueError(f"{value!r}: write [low, high], a table of layers, or 'sensitivity'")
        return value
    return _read_interval("", value)


class PerLayer(Strict):
    """How sparse each layer may become.

    With lower bounds of 0, what the first rounds of a plan in the space make of each layer lies
    within the bounds as well, so that a round that is over can teach the search as a plan of its
    own. A lower bound above 0 shuts such plans out.
    """

    bounds: Annotated[
        Interval | dict[str, Interval] | Literal["sensitivity"], BeforeValidator(_read_bounds)
    ] = Field(
        default=DEFAULT_BOUNDS,
        description="lowest and highest sparsity of a layer: [low, high] for all; or a table of "
        "names and patterns, where a name wins over a pattern, an earlier pattern over a later "
        "one, and layers not named have [0, 0.99]; or sensitivity: what a scan says each can take",
    )
    group_by: Annotated[Grouping, one_of("layer", "block", "kind")] = Field(
        default="layer",
        description="layers that share one sparsity, or offset: layer (none), block or kind",
    )
    scale: Annotated[Scale, one_of("linear_sparsity", "log_density")] = Field(
        default="linear_sparsity",
        description="what form per_layer draws evenly: sparsity, or the logarithm of density",
    )

    def groups(self, layers: Sequence[Layer]) -> list[Group]:
        """Groups of layers with their bounds, in the order of the network.

        Raises
        ------
        ValueError
            If the bounds wait for a scan, name no layer, or those of a group have no overlap.
        """
        if isinstance(self.bounds, str):
            raise ValueError("space.per_layer.bounds is 'sensitivity', and no scan was made yet")
        if isinstance(self.bounds, dict):
            check_patterns("space.per_layer.bounds", self.bounds, layers)
        found = []
        for name, members in group_layers(layers, self.group_by).items():
            bounds = [self._bounds_of(layer.name) for layer in members]
            low, high = max(low for low, _ in bounds), min(high for _, high in bounds)
            if low > high:
                raise ValueError(
                    f"space.per_layer.bounds: the layers of {self.group_by} {name!r} have no "
                    f"sparsity in common; one begins at {low}, another ends at {high}"
                )
            found.append(Group(name, tuple(members), low, high))
        return found

    def narrowed(self, ceilings: Mapping[str, float]) -> PerLayer:
        """These bounds, ending for each named layer at its ceiling where that is lower."""
        bounds: dict[str, Interval] = {}
        for layer, ceiling in ceilings.items():
            if not 0 <= ceiling < 1:
                raise ValueError(
                    f"the highest sparsity of layer {layer!r} is {ceiling}; it must be at least 0 "
                    "and below 1"
                )
            low, high = (0.0, ceiling) if self.bounds == "sensitivity" else self._bounds_of(layer)
            bounds[layer] = (min(low, ceiling), min(high, ceiling))
        if isinstance(self.bounds, dict):
            bounds = {**bounds, **{k: v for k, v in self.bounds.items() if k not in bounds}}
        elif isinstance(self.bounds, tuple):
            bounds["*"] = self.bounds
        return self.model_copy(update={"bounds": bounds})

    def _bounds_of(self, layer: str) -> Interval:
        assert not isinstance(self.bounds, str)
        if isinstance(self.bounds, tuple):
            return self.bounds
        return look_up(layer, self.bounds, DEFAULT_BOUNDS)


def draw_levels(choose: Choose, groups: Sequence[Group], scale: Scale) -> dict[str, float]:
    """Choose a sparsity for each group; one whose bounds meet has no parameter.

    Returns
    -------
    dict
        Sparsity by layer.
    """
    sparsity: dict[str, float] = {}
    for group in groups:
        level = group.low
        if group.low < group.high:
            if scale == "linear_sparsity":
                evenly = FloatDistribution(group.low, group.high)
                level = choose(f"sparsity.{group.name}", evenly)
            else:
                log = FloatDistribution(1.0 - group.high, 1.0 - group.low, log=True)
                level = 1.0 - choose(f"density.{group.name}", log)
        sparsity.update((layer.name, level) for layer in group.layers)
    return sparsity


def read_levels(groups: Sequence[Group], sparsity: Mapping[str, float]) -> dict[str, float]:
    """Values of all parameters of :func:`draw_levels`, of either scale, for these sparsities."""
    levels = {group.name: group.pooled(sparsity) for group in groups}
    return {f"sparsity.{name}": level for name, level in levels.items()} | {
        f"density.{name}": 1.0 - level for name, level in levels.items()
    }
