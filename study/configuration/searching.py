"""The tables ``[search]`` and ``[sensitivity]``: how plans are proposed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, StrictBool, field_validator, model_validator

from search_spaces.table import MOST_EPOCHS
from search_spaces.values import LEAST_DENSITY
from study.configuration.table import MOST_REPEATS, Table
from study.objectives import Constraint


class SearchTable(Table):
    """How plans are proposed."""

    sampler: Literal["stages", "tpe", "nsga2", "gp", "random"] = Field(
        default="tpe",
        description="how plans are found: stages, a race of recipes, then short proxies of "
        "allocations, costs and offsets, then whole descents, until nothing more is gained; or "
        "Optuna's sampler of that name",
    )
    every_round: StrictBool = Field(
        default=True,
        description="tell the sampler of every round as the plan that it is the end of, where the "
        "schedule makes it one (geometric, constant)",
    )
    textbook: StrictBool = Field(
        default=True,
        description="begin with a textbook run, as the first of the trials: iterative magnitude "
        "pruning by LAMP, a fifth of what remains a round, learning-rate rewinding for a fifth of "
        "the dense epochs (two at least), down to the lowest density of the space",
    )
    warm_start: tuple[
        Literal["uniform", "uniform_plus", "global", "erk", "lamp", "sensitivity"], ...
    ] = Field(
        default=("global", "lamp", "erk", "uniform", "sensitivity"),
        description="known allocations to try first, as points of the space, in at most half of "
        "the trials, crossed with ways and lengths of retraining; sensitivity is the one with the "
        "least summed drop of the scan, where there is a scan",
    )
    warm_start_densities: tuple[float, ...] = Field(
        default=(0.01, 0.1),
        description="total densities that they go down to, about a third of what remains a round; "
        "of no effect where the space is given by cuts",
    )
    exploration: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="share of the plans that are drawn at random, so that no way of pruning is "
        "left unseen because another one had an early success",
    )
    constraints: tuple[str, ...] = Field(
        default=(),
        description='what a network must meet to count, such as ["accuracy >= 0.94"]; limits of 1 '
        "or less on macs, parameters and latency_ms are shares of the dense network's",
    )
    early_stopping: Literal["future_dominated", "mo_asha", "outraced", "none"] = Field(
        default="future_dominated",
        description="stop a trial when no coming round can join the front any more, by a bound "
        "learned from ended trials (future_dominated; needs one metric among the "
        "objectives, else none is the default), or when others outrank it (mo_asha); with "
        "sampler stages when it lies behind another at equal size, beyond noise (outraced, the "
        "default there)",
    )
    stopping_confidence: float = Field(
        default=0.9,
        gt=0,
        lt=1,
        description="share of the trials that are behind whose later gain the bound of "
        "future_dominated covers; not the chance that a stop is right, which the audit tells",
    )
    stopping_audit: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="share of the trials that future_dominated would stop that run on all the "
        "same, to count wrong stops; unset: 0.3 in studies of fewer than 100 trials, else 0.1",
    )
    extend: StrictBool = Field(
        default=False,
        description="lengthen trials that ended on the front by a round, where that promises more "
        "for its cost than a new trial",
    )

    target: str | None = Field(
        default=None,
        description='such as "macs <= 0.4" (a share of the dense network\'s multiply-adds), '
        '"latency_ms <= 0.5" (of its latency; of channels) or "density <= 0.1": quality alone is '
        "sought, among networks of just that size; --constraint sets it",
    )

    @model_validator(mode="before")
    @classmethod
    def _stages_stop_what_is_outraced(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("sampler") == "stages":
            return {"early_stopping": "outraced", **values}
        return values

    @model_validator(mode="after")
    def _stages_and_what_they_need_agree(self) -> Self:
        is_staged, is_outraced = self.sampler == "stages", self.early_stopping == "outraced"
        if is_staged and not self.textbook:
            raise ValueError("sampler stages needs textbook = true: each plan is a change of it")
        if is_staged and self.extend:
            raise ValueError("extend has no meaning with sampler stages")
        if is_outraced != is_staged and self.early_stopping != "none":
            raise ValueError(
                f"early_stopping {self.early_stopping} has no meaning with sampler {self.sampler}; "
                + ("there is outraced, or none" if is_staged else "outraced is for sampler stages")
            )
        return self

    @field_validator("constraints")
    @classmethod
    def _constraints_can_be_read(cls, constraints: tuple[str, ...]) -> tuple[str, ...]:
        for constraint in constraints:
            Constraint.parse(constraint)
        return constraints

    @property
    def parsed_constraints(self) -> tuple[Constraint, ...]:
        """The constraints, read."""
        written = (*self.constraints, *([] if self.target is None else [self.target]))
        return tuple(Constraint.parse(constraint) for constraint in written)

    @field_validator("warm_start_densities")
    @classmethod
    def _densities_are_shares(cls, densities: tuple[float, ...]) -> tuple[float, ...]:
        if not all(LEAST_DENSITY <= density <= 1 for density in densities):
            raise ValueError(
                f"{list(densities)}: a density is at least {LEAST_DENSITY:g} and at most 1"
            )
        return densities


class SensitivityTable(Table):
    """The scan that says how much each layer can take on its own."""

    scan: StrictBool = Field(
        default=False,
        description='scan before the search; bounds = "sensitivity" and allocation = "sensitivity" '
        "do so too",
    )
    levels: tuple[float, ...] = Field(
        default=(0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.975, 0.99),
        min_length=1,
        description="sparsities to which each layer is pruned, the others left as they are; of "
        "channels, shares of each coupled set",
    )
    tolerated_drop: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="drop in validation accuracy, as a share, that sets a layer's bound",
    )
    headroom: float = Field(
        default=1.0,
        ge=1,
        le=1000,
        description='with bounds = "sensitivity": how many times fewer weights a layer may keep '
        "than the scan tolerates; above 1, since a scan without recovery does not know what "
        "retraining makes good",
    )
    recovery_epochs: float = Field(
        default=0,
        ge=0,
        le=MOST_EPOCHS,
        description="epochs of fine-tuning after each cut of the scan",
    )
    seeds: int = Field(
        default=1,
        ge=1,
        le=MOST_REPEATS,
        description="dense networks that are scanned, each from another seed",
    )

    @field_validator("levels")
    @classmethod
    def _levels_are_sparsities(cls, levels: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 <= level < 1 for level in levels):
            raise ValueError(f"{list(levels)}: a level is at least 0 and below 1")
        return tuple(sorted(set(levels)))
