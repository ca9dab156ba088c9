"""What may vary between the plans of a study: the ``[space]`` table of the study file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import BaseTrial
from pydantic import BaseModel, ConfigDict, Field, model_validator

from search_spaces.layers import Layer
from search_spaces.sparsities import Bounds, Choose, PerLayer, Projected, Total

Retrain = Literal["finetune", "lr_rewind", "weight_rewind", "reinit"]
Steps = float | tuple[float, float] | tuple[float, ...]


class SearchSpace(BaseModel):
    """The plans that a study chooses from.

    A field is one value, which is fixed; or a list of choices; or, for numbers, ``[low, high]``.
    What is fixed is no parameter of the search. Parameters that have no meaning in a plan (the
    rewind epoch where nothing is rewound, rounds where there is one shot) are not drawn.

    Examples
    --------
    >>> SearchSpace(rounds=3, retrain="finetune").rounds
    3
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_layer: PerLayer | None = Field(default=None, description="a sparsity for each layer")
    projected: Projected | None = Field(
        default=None, description="or: a total density, and each layer's share of it"
    )
    total: Total | None = Field(
        default=None, description="or: a total density, divided by a known allocation"
    )
    rounds: int | tuple[int, int] = Field(default=(1, 5), description="rounds of prune and retrain")
    schedule: str | tuple[str, ...] = Field(
        default="geometric", description="course of the sparsity over the rounds"
    )
    retrain: Retrain | tuple[Retrain, ...] = Field(
        default=("finetune", "lr_rewind", "weight_rewind"), description="retraining after a cut"
    )
    rewind_epoch: Steps = Field(
        default=(0.0, 2.0), description="epoch that weight_rewind goes back to"
    )
    rewind_step: float = Field(
        default=0.5, gt=0, description="grid of a rewind_epoch that is a range, in epochs"
    )
    retrain_epochs: Steps = Field(default=(1.0, 5.0), description="epochs of retraining a round")
    retrain_step: float = Field(
        default=1.0, gt=0, description="grid of a retrain_epochs that is a range, in epochs"
    )
    saliency: str | tuple[str, ...] = Field(
        default="magnitude", description="what decides which weights go"
    )
    optimizer_state: Literal["fresh", "keep"] = Field(
        default="fresh", description="what the optimizer remembers after a cut"
    )
    layer_floor: float = Field(
        default=0.0, ge=0, lt=1, description="least density that any layer keeps"
    )
    include: tuple[str, ...] = Field(default=(), description="patterns of the layers to prune")
    exclude: tuple[str, ...] = Field(default=(), description="patterns of layers to leave dense")

    @model_validator(mode="before")
    @classmethod
    def _sparsity_by_layer_is_the_default(cls, values: Any) -> Any:
        forms = ("per_layer", "projected", "total")
        if isinstance(values, Mapping) and not any(values.get(form) is not None for form in forms):
            return {**values, "per_layer": {}}
        return values

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        forms = [f for f in ("per_layer", "projected", "total") if getattr(self, f) is not None]
        if len(forms) != 1:
            raise ValueError(f"one of per_layer, projected and total, not {' and '.join(forms)}")
        rounds = self.rounds if isinstance(self.rounds, tuple) else (self.rounds, self.rounds)
        if not 1 <= rounds[0] <= rounds[1]:
            raise ValueError(f"rounds is {list(rounds)}; allowed is 1 <= low <= high")
        for name in ("rewind_epoch", "retrain_epochs"):
            values = _choices(getattr(self, name))
            if min(values) < 0 or list(values) != sorted(values):
                raise ValueError(f"{name} is {list(values)}; it must be ascending and at least 0")
        if self.optimizer_state == "keep" and "reinit" in _choices(self.retrain):
            raise ValueError("optimizer_state keep has no meaning with retrain reinit")
        return self

    @property
    def form(self) -> PerLayer | Projected | Total:
        """How sparsity is made a matter of search."""
        form = self.per_layer or self.projected or self.total
        assert form is not None
        return form

    def suggest(self, trial: BaseTrial, layers: Sequence[Layer]) -> dict[str, Any]:
        """Draw a plan, define-by-run.

        Parameters
        ----------
        trial
            An Optuna trial; a ``FixedTrial`` turns given parameters into their plan.
        layers
            The network's prunable layers, in order.

        Returns
        -------
        dict
            Fields of a pruning plan.
        """
        return self._draw(lambda name, kind: _suggest(trial, name, kind), layers)

    def example(self, layers: Sequence[Layer]) -> dict[str, Any]:
        """A plan of the space, to see that there is one.

        Raises
        ------
        ValueError
            If a pattern matches no layer, or bounds still wait for a scan.
        """
        return self._draw(lambda _, kind: _lowest(kind), layers)

    def parameters_of(
        self, plan: Mapping[str, Any], layers: Sequence[Layer]
    ) -> dict[str, Any] | None:
        """Parameters that make this plan, the inverse of :meth:`suggest`.

        Returns
        -------
        dict or None
            None when the plan is not in the space: out of bounds, off a grid, or fixed otherwise.
        """
        known = {"rounds": plan.get("rounds")} | {
            key: plan.get(key)
            for key in ("schedule", "retrain", "rewind_epoch", "retrain_epochs", "saliency")
        }
        levels = self.form.read(plan, layers)
        if levels is None:
            return None
        known |= levels
        used: dict[str, Any] = {}

        def choose(name: str, kind: BaseDistribution) -> Any:
            used[name] = _nearest_inside(kind, known[name])
            return used[name]

        try:
            drawn = self._draw(choose, layers)
        except _OutsideError:
            return None
        fixed = ("rounds", "schedule", "retrain", "rewind_epoch", "retrain_epochs", "saliency")
        if any(drawn.get(key) != plan.get(key) for key in fixed):
            return None
        return used

    def distributions(
        self, parameters: Mapping[str, Any], layers: Sequence[Layer]
    ) -> dict[str, BaseDistribution]:
        """What each of these parameters is drawn from, as ``optuna.create_trial`` wants it."""
        found: dict[str, BaseDistribution] = {}

        def choose(name: str, kind: BaseDistribution) -> Any:
            found[name] = kind
            return parameters[name]

        self._draw(choose, layers)
        return found

    def with_bounds(self, highest: Mapping[str, float]) -> SearchSpace:
        """The same space, each layer's sparsity ending at what a scan says it can take."""
        if self.per_layer is None:
            raise ValueError('bounds by layer belong to "per_layer"')
        bounds: dict[str, Bounds] = {name: (0.0, level) for name, level in highest.items()}
        per_layer = self.per_layer.model_copy(update={"bounds": bounds})
        return self.model_copy(update={"per_layer": per_layer})

    @property
    def max_rounds(self) -> int:
        """Rounds of the longest plan."""
        return self.rounds if isinstance(self.rounds, int) else self.rounds[-1]

    def rewind_epochs(self, epochs: int) -> list[float]:
        """Every epoch of the dense run, of so many epochs, that a plan may go back to."""
        if "weight_rewind" not in _choices(self.retrain):
            return []
        kind = _number("rewind_epoch", self.rewind_epoch, self.rewind_step)
        if isinstance(kind, FloatDistribution) and kind.step is not None:
            count = round((kind.high - kind.low) / kind.step) + 1
            return [kind.low + index * kind.step for index in range(count)]
        return [float(choice) for choice in _choices(self.rewind_epoch)]

    def worst_case_epochs(self, epochs: int) -> float:
        """Epochs of the most expensive plan, with a dense run of so many."""
        longest: float = max(_choices(self.retrain_epochs))
        return epochs + self.max_rounds * longest

    def _draw(self, choose: Choose, layers: Sequence[Layer]) -> dict[str, Any]:
        plan = self.form.draw(choose, layers)
        plan["saliency"] = _pick(choose, "saliency", self.saliency)
        plan["schedule"] = _pick(choose, "schedule", self.schedule)
        if plan["schedule"] == "one_shot":
            plan["rounds"] = 1
        elif isinstance(self.rounds, tuple) and self.rounds[0] < self.rounds[1]:
            plan["rounds"] = choose("rounds", IntDistribution(*self.rounds))
        else:
            plan["rounds"] = self.max_rounds
        plan["retrain"] = _pick(choose, "retrain", self.retrain)
        if plan["retrain"] == "weight_rewind":
            plan["rewind_epoch"] = _draw_number(
                choose, "rewind_epoch", self.rewind_epoch, self.rewind_step
            )
        plan["retrain_epochs"] = _draw_number(
            choose, "retrain_epochs", self.retrain_epochs, self.retrain_step
        )
        fixed = {"optimizer_state", "layer_floor", "include", "exclude"} & self.model_fields_set
        return plan | {key: getattr(self, key) for key in sorted(fixed)}


class _OutsideError(Exception):
    """A value lies outside what its distribution can give."""


def _choices(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _pick(choose: Choose, name: str, value: Any) -> Any:
    choices = _choices(value)
    return choices[0] if len(choices) == 1 else choose(name, CategoricalDistribution(choices))


def _draw_number(choose: Choose, name: str, value: Steps, step: float) -> float:
    kind = _number(name, value, step)
    return float(kind if isinstance(kind, float) else choose(name, kind))


def _number(name: str, value: Steps, step: float) -> float | BaseDistribution:
    choices = _choices(value)
    if len(choices) == 2 and choices[0] < choices[1]:
        return FloatDistribution(*choices, step=step)
    return float(choices[0]) if len(choices) == 1 else CategoricalDistribution(choices)


def _lowest(kind: BaseDistribution) -> Any:
    return kind.choices[0] if isinstance(kind, CategoricalDistribution) else kind.low  # type: ignore[attr-defined]


def _suggest(trial: BaseTrial, name: str, kind: BaseDistribution) -> Any:
    if isinstance(kind, CategoricalDistribution):
        return trial.suggest_categorical(name, kind.choices)
    if isinstance(kind, IntDistribution):
        return trial.suggest_int(name, kind.low, kind.high)
    assert isinstance(kind, FloatDistribution)
    return trial.suggest_float(name, kind.low, kind.high, step=kind.step, log=kind.log)


def _nearest_inside(kind: BaseDistribution, value: Any) -> Any:
    """The value as the distribution gives it: floating-point noise at the edges is taken off."""
    if isinstance(kind, CategoricalDistribution):
        if value not in kind.choices:
            raise _OutsideError
        return value
    assert isinstance(kind, (IntDistribution, FloatDistribution))
    if value is None or not kind.low - 1e-9 <= value <= kind.high + 1e-9:
        raise _OutsideError
    inside = min(max(value, kind.low), kind.high)
    if kind.step is not None:
        on_grid = kind.low + round((inside - kind.low) / kind.step) * kind.step
        if abs(on_grid - inside) > 1e-9:
            raise _OutsideError
        inside = on_grid
    return int(inside) if isinstance(kind, IntDistribution) else float(inside)
