"""The study file, as far as the analysis goes by it: studies of older versions have other keys."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from study.bounds import Within
from study.errors import UsageError
from study.files.documents import noted, read_tables, refuse
from study.files.problems import Problems
from study.objectives import Constraint
from study.records import STUDY_FILE, Count, RoundNumber, Seed, Share
from study.storage import Folder


def _is_a_constraint(text: str) -> str:
    Constraint.parse(text)
    return text


_ConstraintText = Annotated[str, AfterValidator(_is_a_constraint)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class _Study(_Table):
    name: str | None = Field(default=None, min_length=1)
    num_samples: Count | None = None
    train_samples_budget: Count | None = None
    seed: Seed | None = None


class _Task(_Table):
    object: str | None = None
    dataset: str | None = None
    model: str | None = None
    model_options: dict[str, Any] | None = None


class _Search(_Table):
    sampler: str | None = None
    early_stopping: str | None = None
    textbook: bool | None = None
    constraints: list[_ConstraintText] | None = None
    target: _ConstraintText | None = None


class _Confirm(_Table):
    share: Share | None = None
    seeds: RoundNumber | None = Field(default=None, ge=2)
    confidence: Annotated[float, Within(0.5, 1)] | None = Field(default=None, lt=1)
    tolerances: list[Share] | None = Field(default=None, min_length=1)


class _Latency(_Table):
    backend: str | None = None
    batch_size: Count | None = None
    threads: Count | None = None


class _StudyFile(_Table):
    study: _Study | None = None
    task: _Task | None = None
    objectives: dict[str, Literal["max", "min"]] | None = None
    search: _Search | None = None
    space: dict[str, Any] | None = None
    confirm: _Confirm | None = None
    latency: _Latency | None = None
    report: dict[str, Any] | None = None


def read_study_file(folder: Folder) -> dict[str, Any]:
    """The tables of a study's own file.

    Raises
    ------
    UsageError
        If there is none, it is no TOML, or a key that the analysis goes by is of a wrong kind.
    """
    if not folder.exists(STUDY_FILE):
        raise UsageError(f"{folder.location} holds no study: there is no {STUDY_FILE} in it.")
    config = read_tables(folder, STUDY_FILE)
    problems = Problems()
    with noted(problems, STUDY_FILE):
        _StudyFile.model_validate(config)
    refuse(folder, problems)
    return config
