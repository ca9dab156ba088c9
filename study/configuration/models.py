"""A whole study file, and what its tables say together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator, model_validator

from search_spaces import SearchSpace
from search_spaces.structures import alternatives, removal_of
from search_spaces.values import options
from study.configuration.concluding import ConfirmTable, ReportTable
from study.configuration.latency import LatencyTable
from study.configuration.running import ResourcesTable, StudyTable, TaskTable
from study.configuration.searching import SearchTable, SensitivityTable
from study.configuration.table import Table
from study.objectives import SIZES, Direction, column_of

ROUNDS = 10
"""Of a plan that a function of the user's own draws, which does not say how many it has."""

MANY_NETWORKS = 100
"""Networks beyond which the best of them may owe its place to the examples that chose it."""

SHORT_STUDY = 100
"""Trials below which a tenth of the stops are too few to say how many are wrong."""


TEXTBOOK = {"retrain": "lr_rewind", "schedule": "geometric", "saliency": "magnitude"}
"""What the textbook run has, of which a search by stages compares each other choice."""

UNASKED = ("retrain_lr", "retrain_lr_schedule", "lr_rewind_epoch", "optimizer_state")
"""Fields of a space that no stage asks for."""


class StudyConfig(Table):
    """A whole study file."""

    study: StudyTable = StudyTable()
    task: TaskTable
    space: SearchSpace = SearchSpace()
    objectives: dict[str, Direction] = Field(
        default={},
        description="what to optimise, max or min: metrics of the task or its loss, and "
        f"{', '.join(SIZES)}; unset: the task's first metric, and density",
    )
    search: SearchTable = SearchTable()
    sensitivity: SensitivityTable = SensitivityTable()
    resources: ResourcesTable = ResourcesTable()
    latency: LatencyTable = LatencyTable()
    confirm: ConfirmTable = ConfirmTable()
    report: ReportTable = ReportTable()

    @field_validator("objectives")
    @classmethod
    def _there_are_not_too_many(cls, objectives: dict[str, Direction]) -> dict[str, Direction]:
        if len(objectives) > 4:
            raise ValueError(f"{len(objectives)} objectives; from 1 to 4 are allowed")
        return objectives

    @model_validator(mode="before")
    @classmethod
    def _stop_early_by_default_only_where_it_can_be(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or not isinstance(values.get("objectives"), Mapping):
            return values
        search = values.get("search", {})
        qualities = [name for name in values["objectives"] if name not in SIZES]
        if (
            len(qualities) == 1
            or not values["objectives"]
            or not isinstance(search, Mapping)
            or "early_stopping" in search
        ):
            return values
        return {**values, "search": {**search, "early_stopping": "none"}}

    @model_validator(mode="after")
    def _stages_know_the_space(self) -> StudyConfig:
        space = self.space
        if self.search.sampler != "stages":
            return self
        if space.function is not None or not space.by_allocation:
            given = "a function" if space.function is not None else f"form {space.form}"
            raise ValueError(
                "search.sampler: stages change an allocation that divides a total; the space is "
                f"{given}. Take form offsets or global, or another sampler."
            )
        structure, *others = alternatives(space.structure)
        if others or removal_of(structure).is_mixed:
            raise ValueError(
                "search.sampler: stages are for one structure, and no mixed one; take another "
                "sampler, or one structure."
            )
        for field, own in TEXTBOOK.items():
            choices = options(getattr(space, field))
            if own not in choices:
                raise ValueError(
                    f"search.sampler: stages change the textbook run, whose {field} is {own}; "
                    f"space.{field} is {', '.join(map(str, choices))}. Add {own} to it, or take "
                    "another sampler."
                )
        unasked = [name for name in UNASKED if getattr(space, name) not in (None, "fresh")]
        if unasked:
            raise ValueError(
                f"search.sampler: stages have no use for space.{unasked[0]}; take it out, or take "
                "another sampler."
            )
        return self

    @model_validator(mode="after")
    def _rewind_points_lie_in_the_dense_run(self) -> StudyConfig:
        if self.task.object is not None and "epochs" not in self.task.model_fields_set:
            return self  # the object says how long its dense run is
        late = [e for e in self.space.rewind_epochs(self.task.epochs) if e > self.task.epochs]
        if late:
            raise ValueError(
                f"space.rewind_epoch goes to {max(late)}, past the end of the dense run; "
                f"task.epochs is {self.task.epochs}"
            )
        return self

    def with_confirmation(self) -> StudyConfig:
        """The same study, with the share of examples that is held back decided."""
        confirm = self.confirm
        if confirm.held_back is None:
            own_steps = self.space.function is not None or self.search.sampler == "stages"
            rounds = ROUNDS if own_steps else self.space.max_rounds
            is_many = self.study.num_samples * rounds > MANY_NETWORKS
            held_back = 0.5 if is_many and confirm.share > 0 else 0.0
            confirm = confirm.model_copy(update={"held_back": held_back})
        return self.model_copy(update={"confirm": confirm})

    @property
    def search_time_s(self) -> float | None:
        """Seconds after which no trial of the search goes on: what is left is to confirm."""
        budget_s = self.study.time_budget_s
        return None if budget_s is None else budget_s * (1.0 - self.confirm.share)

    def task_arguments(self) -> dict[str, Any]:
        """What :func:`study.tasks.load_task` takes, once the study is decided."""
        held_back = {"held_back": self.confirm.held_back} if self.confirm.held_back else {}
        return {**self.task.load_arguments(), **held_back}

    @property
    def stopping_audit(self) -> float:
        """Share of the trials to be stopped that run on; short studies need more of them."""
        if self.search.stopping_audit is not None:
            return self.search.stopping_audit
        return 0.3 if self.study.num_samples < SHORT_STUDY else 0.1

    @property
    def objective_columns(self) -> dict[str, Direction]:
        """Fields of a round record and their directions."""
        return {column_of(name): way for name, way in self.objectives.items()}
