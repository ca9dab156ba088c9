"""Networks as a search space sees them, spaces of every form, and a trial that hypothesis plays."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import strategies as st
from optuna.trial import BaseTrial

from search_spaces import Layer, SearchSpace
from search_spaces.layers import KINDS

LENET300 = [
    Layer("fc1", 235200, "linear", position=0),
    Layer("fc2", 30000, "linear", position=1),
    Layer("fc3", 1000, "linear", position=2),
]
RESNET = [
    Layer("conv1", 432, "conv"),
    *(
        Layer(f"layer{stage}.{block}.conv{number}", 2304 * 4 ** (stage - 1), "conv")
        for stage in (1, 2, 3)
        for block in (0, 1)
        for number in (1, 2)
    ),
    Layer("fc", 640, "linear"),
]

_OTHER_AXES: dict[str, Any] = {
    "schedule": ["geometric", "cubic", "one_shot"],
    "rounds": [1, 6],
    "retrain": ["finetune", "lr_rewind", "weight_rewind", "reinit"],
    "rewind_epoch": [0, 4],
    "retrain_epochs": [1, 2, 5],
    "retrain_lr": [0.001, 0.1],
    "retrain_lr_schedule": ["constant", "cosine"],
    "saliency": ["magnitude", "random"],
    "optimizer_state": ["fresh", "keep"],
    "layer_floor": [0.0, 0.001],
}
BY_CUTS: dict[str, Any] = {"rounds": None, "schedule": "geometric", "cut": [0.2, 0.5]}
FORMS: dict[str, SearchSpace] = {
    name: SearchSpace.model_validate({**_OTHER_AXES, **form})
    for name, form in {
        "offsets": {},
        "offsets of units, far away": {"structure": "channels", "offset_scale": 5},
        "offsets by cuts, of blocks of layers": {
            **BY_CUTS,
            "per_layer": {"group_by": "block"},
            "allocation": ["lamp", "global"],
            "cost_exponent": [0.0, 1.0],
        },
        "projected, by cuts": {"form": "density_projected", **BY_CUTS, "floor": 0.02},
        "projected, by one cut, grouped": {
            **BY_CUTS,
            "cut": 0.3,
            "per_layer": {"group_by": "block", "bounds": [0, 0.999]},
        },
        "global, by three cuts": {**BY_CUTS, "form": "global", "cut": [0.2, 0.36, 0.5]},
        "global, by cost": {
            "form": "global",
            "allocation": ["lamp", "erk", "knapsack"],
            "budget": "macs",
            "cost_exponent": [0.0, 1.0],
        },
        "per layer": {"form": "per_layer"},
        "per block": {"form": "per_layer", "per_layer": {"group_by": "block"}},
        "per kind, log density": {"per_layer": {"group_by": "kind", "scale": "log_density"}},
        "bounds by pattern": {"per_layer": {"bounds": {"*1": [0.2, 0.2], "fc*": [0, 0.8]}}},
        "projected": {"form": "density_projected"},
        "projected, grouped and bounded": {
            "form": "density_projected",
            "density": [0.1, 0.6],
            "per_layer": {"group_by": "block", "bounds": {"conv1": [0.2, 0.2], "f*": [0.1, 0.95]}},
        },
        "projected to one density": {"form": "density_projected", "density": 0.3},
        "global": {"form": "global"},
        "threshold too": {
            "form": "global",
            "allocation": ["lamp", "threshold"],
            "threshold": [0.01, 0.5],
        },
    }.items()
}


def prunable(space: SearchSpace, name: str) -> list[Layer]:
    """Layers that suit a space: one with two layers of a kind, for blocks."""
    return RESNET if "group" in name or "block" in name or "kind" in name else LENET300


class PlayedTrial:
    """Suggests what hypothesis draws, ends of ranges included, and remembers it."""

    def __init__(self, data: st.DataObject) -> None:
        self.params: dict[str, Any] = {}
        self._data = data

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return self._remember(name, st.sampled_from(choices))

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        return int(self._remember(name, st.sampled_from(range(low, high + 1, step))))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        if step is None:
            return float(self._remember(name, st.floats(low, high)))
        grid = [low + index * step for index in range(round((high - low) / step) + 1)]
        return float(self._remember(name, st.sampled_from(grid)))

    def _remember(self, name: str, values: st.SearchStrategy[Any]) -> Any:
        assert name not in self.params
        self.params[name] = self._data.draw(values, label=name)
        return self.params[name]


def played(data: st.DataObject) -> tuple[BaseTrial, dict[str, Any]]:
    """A trial, and the parameters that it will have given."""
    trial = PlayedTrial(data)
    return cast(BaseTrial, trial), trial.params


layer_lists = st.lists(
    st.tuples(st.integers(1, 10**7), st.sampled_from(KINDS)), min_size=1, max_size=12
).map(
    lambda rows: [Layer(f"l{i}", total, kind, position=i) for i, (total, kind) in enumerate(rows)]
)
