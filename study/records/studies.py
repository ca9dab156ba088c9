"""What is written of a study: what happened to it, who ran it, and with what."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from study.records.fields import (
    Count,
    Moment,
    Record,
    utc_now,
)

SEARCH_SETTLED = "search_settled"
"""The event of a search by stages that has nothing more to try."""

SAMPLES_SPENT = "samples_budget_spent"
"""Event of a search that ended because its budget of training examples was spent."""


class Event(Record):
    """A line of ``events.jsonl``: something that happened to the study."""

    event: str
    trial_id: str | None = None
    detail: dict[str, Any] = Field(default_factory=dict)
    at: Moment = Field(default_factory=utc_now)

    @model_validator(mode="after")
    def _what_is_counted_with_is_a_number(self) -> Self:
        for name in ("train_samples", "floor_density"):
            value = self.detail.get(name, 0.0)
            if not isinstance(value, int | float) or not 0.0 <= value <= 1e18:
                raise ValueError(f"detail.{name}: is no number from 0 to 1e18")
        return self


class JournalLine(BaseModel):
    """A line of ``optuna.journal``, in Optuna's own format: its kind, its writer, and more."""

    model_config = ConfigDict(extra="allow", frozen=True)

    op_code: int
    worker_id: str


class Owner(Record):
    """Who runs a study; ``owners/NNNN.json``, of which the highest number counts."""

    owner: str = Field(description="USER@HOST")
    machine: str = Field(description="what the process id belongs to: a boot, and a container")
    pid: int
    claimed_at: str = Field(default_factory=utc_now)


class Sign(Record):
    """That an owner is alive, or how it ended; written again every few seconds."""

    state: Literal["running", "finished", "interrupted", "failed"]
    why: str = Field(default="", description="in one line, where it failed")
    at: str = Field(default_factory=utc_now)


class Provenance(Record):
    """Where and with what a study ran."""

    study: str
    command: list[str]
    started_at: Moment
    python: str
    platform: str
    machine: str
    cpus: Count
    gpus: list[str]
    packages: dict[str, str]
    git_commit: str | None = None
    examples: dict[str, Count] = Field(
        default_factory=dict, description="in the splits train and validation"
    )
    notes: list[str] = Field(
        default_factory=list, description="what follows from the study file without being in it"
    )
