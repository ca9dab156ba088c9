"""The tables of a study file: frozen models that know every key, its type and its meaning."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from search_spaces import SearchSpace
from study.errors import UsageError
from study.objectives import SIZES, Constraint, Direction, column_of
from study.plugins import import_string, reference_to
from study.tasks.training.recipe import Recipe

MANY_NETWORKS = 100
"""Networks beyond which the best of them may owe its place to the examples that chose it."""

SHORT_STUDY = 100
"""Trials below which a tenth of the stops are too few to say how many are wrong."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class StudyTable(_Table):
    """The study as a whole."""

    name: str = Field(
        default="study", max_length=100, description="name of the study and of its folder"
    )
    seed: int = Field(default=0, ge=0, description="seed of the search, and of every trial")
    num_samples: int = Field(default=16, ge=1, description="trials to run")
    time_budget_s: float | None = Field(
        default=None, gt=0, description="seconds after which no trial goes on"
    )
    tracking: tuple[Literal["tensorboard", "mlflow", "wandb"], ...] = Field(
        default=(), description="where rounds are written to as they end, beside the records"
    )
    storage_path: str = Field(
        default="studies", description="folder or URI in which the study's folder is made"
    )

    @field_validator("name")
    @classmethod
    def _a_folder_can_have_this_name(cls, name: str) -> str:
        if not name or name.startswith(".") or any(not (c.isalnum() or c in "-_.") for c in name):
            raise ValueError(
                f"name {name!r}: only letters, digits, '-', '_' and '.' are allowed, "
                "and no '.' at the start"
            )
        return name


class TaskTable(Recipe):
    """What is pruned, and how it is trained."""

    dataset: str | None = Field(default=None, description="name of the dataset, or import string")
    model: str | None = Field(default=None, description="name of the model, or import string")
    object: str | None = Field(
        default=None, description="instead: import string of a function that returns a task"
    )
    module_dir: str | None = Field(
        default=None,
        description="folder in which modules of import strings are found, beside that from which "
        "the command is called; unset: that of the study file",
    )
    data_dir: str | None = Field(default=None, description="folder of the dataset's files")
    model_options: dict[str, Any] = Field(
        default_factory=dict, description="further arguments of the model, such as widths"
    )

    metrics: tuple[str, ...] = Field(
        default=(),
        description="by what networks are judged, the first most of all: names such as f1, auroc, "
        "perplexity, or import strings; unset: as the task says, accuracy of a classifier",
    )

    @field_validator("object", mode="before")
    @classmethod
    def _name_a_function(cls, value: Any) -> Any:
        return reference_to(value) if callable(value) else value

    @model_validator(mode="after")
    def _one_way_to_name_a_task(self) -> TaskTable:
        if self.object is None:
            missing = [key for key in ("dataset", "model") if getattr(self, key) is None]
            if missing:
                raise ValueError(f"set {' and '.join(missing)}, or object")
        elif self.dataset is not None or self.model is not None:
            raise ValueError("object brings its own data and model; take dataset and model out")
        return self

    def load_arguments(self) -> dict[str, Any]:
        """What :func:`study.tasks.load_task` takes; the recipe holds only what the file sets."""
        own = ("dataset", "model", "object", "module_dir", "data_dir", "model_options", "metrics")
        written = self.model_dump(mode="json", exclude_unset=True)
        return {
            **{key: getattr(self, key) for key in own},
            "object": self._object_for_workers(),
            "recipe": {key: value for key, value in written.items() if key not in own},
        }

    def _object_for_workers(self) -> Any:
        """The object by name; one of a notebook or script itself, which no worker could import."""
        if self.object is None or not self.object.startswith(f"{_MAIN}:"):
            return self.object
        if not hasattr(sys.modules[_MAIN], self.object.partition(":")[2].partition(".")[0]):
            raise UsageError(
                f"task.object: {self.object} was defined in a notebook or script, and is gone with "
                "it. Put it into a module, my_task.py, and name it my_task:"
                f"{self.object.partition(':')[2]}."
            )
        return import_string("task.object", self.object)


_MAIN = "__main__"
"""The module of a notebook's cells, and of a script that was called."""


class SearchTable(_Table):
    """How plans are proposed."""

    sampler: Literal["tpe", "nsga2", "gp", "random"] = Field(
        default="tpe", description="Optuna's sampler"
    )
    every_round: bool = Field(
        default=True,
        description="tell the sampler of every round as the plan that it is the end of, where the "
        "schedule makes it one (geometric, constant)",
    )
    textbook: bool = Field(
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
        description='what a network must meet to count, such as ["accuracy >= 0.94"]',
    )
    early_stopping: Literal["future_dominated", "mo_asha", "none"] = Field(
        default="future_dominated",
        description="stop a trial when no coming round can join the front any more, by a bound "
        "learned from ended trials (future_dominated; needs one metric among the "
        "objectives, else none is the default), or when others outrank it (mo_asha)",
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
    extend: bool = Field(
        default=False,
        description="lengthen trials that ended on the front by a round, where that promises more "
        "for its cost than a new trial",
    )

    @field_validator("constraints")
    @classmethod
    def _constraints_can_be_read(cls, constraints: tuple[str, ...]) -> tuple[str, ...]:
        for constraint in constraints:
            Constraint.parse(constraint)
        return constraints

    @property
    def parsed_constraints(self) -> tuple[Constraint, ...]:
        """The constraints, read."""
        return tuple(Constraint.parse(constraint) for constraint in self.constraints)

    @field_validator("warm_start_densities")
    @classmethod
    def _densities_are_shares(cls, densities: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < density <= 1 for density in densities):
            raise ValueError(f"{list(densities)}: a density is above 0 and at most 1")
        return densities


class SensitivityTable(_Table):
    """The scan that says how much each layer can take on its own."""

    scan: bool = Field(
        default=False, description='scan before the search; bounds = "sensitivity" does so too'
    )
    levels: tuple[float, ...] = Field(
        default=(0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.975, 0.99),
        min_length=1,
        description="sparsities to which each layer is pruned, the others left as they are",
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
        description='with bounds = "sensitivity": how many times fewer weights a layer may keep '
        "than the scan tolerates; above 1, since a scan without recovery does not know what "
        "retraining makes good",
    )
    recovery_epochs: float = Field(
        default=0, ge=0, description="epochs of fine-tuning after each cut of the scan"
    )
    seeds: int = Field(
        default=1, ge=1, description="dense networks that are scanned, each from another seed"
    )

    @field_validator("levels")
    @classmethod
    def _levels_are_sparsities(cls, levels: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 <= level < 1 for level in levels):
            raise ValueError(f"{list(levels)}: a level is at least 0 and below 1")
        return tuple(sorted(set(levels)))


class ResourcesTable(_Table):
    """What a trial may use."""

    cpus_per_trial: float = Field(default=1, gt=0, description="CPU cores; torch threads follow")
    gpus_per_trial: float = Field(default=0, ge=0, description="GPUs; fractions share one")
    max_concurrent: int | None = Field(
        default=None, ge=1, description="trials at a time; unset: as many as fit"
    )
    max_failures: int = Field(
        default=0, ge=0, description="times that a trial is tried again after an error"
    )
    share_trajectories: bool = Field(
        default=True,
        description="train each dense run once for all trials, and for all studies under the same "
        "storage_path; results are the same either way",
    )
    trajectory_store_gb: float = Field(
        default=10.0,
        gt=0,
        description="gigabytes of dense runs kept for other studies; those used least recently go",
    )
    checkpoint_interval_s: float = Field(
        default=60, gt=0, description="least seconds between mid-round checkpoints of a trial"
    )


class ConfirmTable(_Table):
    """How much is spent to find out whether what the search found holds."""

    share: float = Field(
        default=0.25,
        ge=0,
        lt=1,
        description="of all training examples of a study, and of its time budget if it has one, "
        "that confirm what the search found: the best descent again on new seeds; 0: nothing is "
        "confirmed, and nothing named",
    )
    tolerances: tuple[float, ...] = Field(
        default=(0.005, 0.01, 0.02),
        min_length=1,
        description="drops against dense for which the smallest network is named: 0.01 is one "
        "point of a share, 0.01 of a score, 1 % of an amount such as perplexity",
    )
    seeds: int | None = Field(
        default=None,
        ge=2,
        description="new seeds that each network needs; unset: 3, or 5 where fewer than 1,000 "
        "examples judge",
    )
    confidence: float = Field(
        default=0.9,
        gt=0.5,
        lt=1,
        description="of the upper bound of a drop that names a network",
    )
    held_back: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="share of the validation examples that the search does not see, by which its "
        "networks are confirmed; unset: half where it may try more than 100 networks, else none, "
        "and all examples do both",
    )

    @field_validator("tolerances")
    @classmethod
    def _tolerances_are_drops(cls, tolerances: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 <= tolerance < 1 for tolerance in tolerances):
            raise ValueError(f"{list(tolerances)}: a tolerance is at least 0 and below 1")
        return tuple(sorted(set(tolerances)))


class ReportTable(_Table):
    """What is measured for the report when the search is over."""

    test: bool = Field(
        default=True,
        description="read the test split, once, for the dense network and those the report names",
    )
    controls: bool = Field(
        default=False,
        description="run the headline's networks again on new seeds, beside their controls: "
        "their masks on new weights, shuffled masks, and unpruned at equal budget",
    )
    control_seeds: int = Field(default=3, ge=1, description="new seeds of each")
    controlled_networks: int = Field(
        default=1, ge=1, le=3, description="of the headline's networks, the first so many"
    )


class StudyConfig(_Table):
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
            rounds = 1 if self.space.function is not None else self.space.max_rounds
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
