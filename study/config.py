"""The study file: TOML into frozen models that know every key, its type and its meaning."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from search_spaces import SearchSpace
from study.errors import UsageError, unknown_name
from study.objectives import OBJECTIVE_COLUMNS, QUALITIES, Constraint, Direction
from study.tasks.recipe import Recipe


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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
    data_dir: str | None = Field(default=None, description="folder of the dataset's files")
    model_options: dict[str, Any] = Field(
        default_factory=dict, description="further arguments of the model, such as widths"
    )

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
        own = ("dataset", "model", "object", "data_dir", "model_options")
        written = self.model_dump(mode="json", exclude_unset=True)
        return {
            **{key: getattr(self, key) for key in own},
            "recipe": {key: value for key, value in written.items() if key not in own},
        }


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
    warm_start: tuple[
        Literal["uniform", "uniform_plus", "global", "erk", "lamp", "sensitivity"], ...
    ] = Field(
        default=("global", "lamp", "erk", "uniform", "sensitivity"),
        description="known allocations to try first, as points of the space; sensitivity is the "
        "one with the least summed drop of the scan, where there is a scan",
    )
    warm_start_densities: tuple[float, ...] = Field(
        default=(0.01, 0.1),
        description="total densities that they go down to, over as many rounds as there may be",
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
        "learned from ended trials (future_dominated; needs one of accuracy and loss among the "
        "objectives, else none is the default), or when others outrank it (mo_asha)",
    )
    stopping_confidence: float = Field(
        default=0.9, gt=0, lt=1, description="chance that the bound of future_dominated holds"
    )
    stopping_audit: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="share of the trials that future_dominated would stop that run on all the "
        "same, to count wrong stops",
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
    checkpoint_interval_s: float = Field(
        default=60, gt=0, description="least seconds between mid-round checkpoints of a trial"
    )


class ReportTable(_Table):
    """What is measured for the report when the search is over."""

    test: bool = Field(
        default=True,
        description="read the test split, once, for the dense network and those the report names",
    )
    controls: bool = Field(
        default=False,
        description="run the headline's networks again on new seeds, beside their controls: "
        "reinit, shuffled masks, and unpruned at equal budget",
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
        default={"accuracy": "max", "density": "min"},
        description=f"what to optimise, max or min: {', '.join(OBJECTIVE_COLUMNS)}",
    )
    search: SearchTable = SearchTable()
    sensitivity: SensitivityTable = SensitivityTable()
    resources: ResourcesTable = ResourcesTable()
    report: ReportTable = ReportTable()

    @field_validator("objectives")
    @classmethod
    def _objectives_are_known(cls, objectives: dict[str, Direction]) -> dict[str, Direction]:
        for name in objectives:
            if name not in OBJECTIVE_COLUMNS:
                raise unknown_name("objectives", name, OBJECTIVE_COLUMNS)
        if not 1 <= len(objectives) <= 4:
            raise ValueError(f"{len(objectives)} objectives; from 1 to 4 are allowed")
        return objectives

    @model_validator(mode="before")
    @classmethod
    def _stop_early_by_default_only_where_it_can_be(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or not isinstance(values.get("objectives"), Mapping):
            return values
        search = values.get("search", {})
        qualities = [n for n in values["objectives"] if OBJECTIVE_COLUMNS.get(n) in QUALITIES]
        if len(qualities) == 1 or not isinstance(search, Mapping) or "early_stopping" in search:
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

    @property
    def objective_columns(self) -> dict[str, Direction]:
        """Fields of a round record and their directions."""
        return {OBJECTIVE_COLUMNS[name]: way for name, way in self.objectives.items()}


def presets() -> list[str]:
    """Names of the study files that come with the project."""
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in files("study.presets").iterdir()
        if entry.name.endswith(".toml")
    )


def load_config(source: str | Path | Mapping[str, Any], set_: Iterable[str] = ()) -> StudyConfig:
    """Read a study file, a preset, or a mapping of the same shape.

    Parameters
    ----------
    source
        Path of a TOML file, name of a preset, or the tables themselves.
    set_
        Changes, each ``"table.key=value"`` with the value in TOML.

    Raises
    ------
    UsageError
        If there is no such file, it is no TOML, or a key or value is wrong.
    """
    tables = _tables(source)
    for change in set_:
        _apply(tables, change)
    try:
        return StudyConfig.model_validate(tables)
    except ValidationError as error:
        raise UsageError(explain(error, StudyConfig)) from error


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Say what is wrong with a configuration: a line for each key, with the nearest right one."""
    lines = []
    for problem in error.errors():
        path = [str(part) for part in problem["loc"]]
        key = ".".join(path)
        if problem["type"] == "extra_forbidden":
            allowed = _keys_at(model, path[:-1])
            nearest = difflib.get_close_matches(path[-1], allowed, n=1, cutoff=0.5)
            hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
            lines.append(f"{key}: unknown key.{hint} Allowed: {', '.join(sorted(allowed))}.")
        elif problem["type"] == "value_error":
            lines.append(f"{key}: {problem['ctx']['error']}")
        else:
            lines.append(f"{key}: {problem['msg']}, not {problem['input']!r}.")
    return "\n".join(line.removeprefix(": ") for line in lines)


def to_toml(config: StudyConfig) -> str:
    """Write the resolved study file: every key with its value; reading it gives the same study."""
    values = config.model_dump(mode="json", exclude_none=True)
    written = _written_task(config)
    values["task"] = {key: value for key, value in values["task"].items() if key in written}
    return tomli_w.dumps(values)


def _written_task(config: StudyConfig) -> set[str]:
    """A user's object has a recipe of its own: only what overrides it is written."""
    task = config.task
    return set(type(task).model_fields) if task.object is None else set(task.model_fields_set)


def _tables(source: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(source, Mapping):
        copied: dict[str, Any] = json.loads(json.dumps(source))
        return copied
    text = str(source)
    if text in presets():
        content = (files("study.presets") / f"{text}.toml").read_text()
    elif Path(text).is_file():
        try:
            content = Path(text).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"study file {text}: cannot be read: {error}") from error
    elif text.endswith(".toml") or "/" in text:
        raise UsageError(f"study file: there is no file {text!r}.")
    else:
        raise unknown_name("preset", text, presets())
    try:
        return tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"study file {text}: {error}") from error


def _apply(tables: dict[str, Any], change: str) -> None:
    path, equals, value = change.partition("=")
    keys = [key.strip() for key in path.split(".")]
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    if not equals or not all(keys) or (len(keys) == 1 and not isinstance(parsed, dict)):
        raise UsageError(f"--set: write table.key=value, or table={{...}}, not {change!r}.")
    inner = tables
    for key in keys[:-1]:
        inner = inner.setdefault(key, {})
        if not isinstance(inner, dict):
            raise UsageError(f"--set: {key!r} in {path!r} is a value, not a table.")
    inner[keys[-1]] = parsed


def _keys_at(model: type[BaseModel], path: list[str]) -> list[str]:
    for part in path:
        field = model.model_fields.get(part)
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return list(model.model_fields)
