"""What a study writes: the schema of every record, and the layout of a study folder.

The analysis reads studies through this module, so it imports neither torch nor Ray.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

SCHEMA_VERSION = 1
"""Written into every record. It grows when a field changes its meaning or goes away."""

STUDY_FILE = "study.toml"
PROVENANCE_FILE = "provenance.json"
JOURNAL_FILE = "optuna.journal"
EVENTS_FILE = "events.jsonl"
SENSITIVITY_FILE = "sensitivity.parquet"
REPORT_FILE = "report.html"
TEST_FILE = "test.jsonl"
TRIALS_DIR = "trials"
CONTROLS_DIR = "controls"
TRAJECTORIES_DIR = "trajectories"
PLAN_FILE = "plan.json"
ROUNDS_FILE = "rounds.jsonl"
OUTCOME_FILE = "outcome.json"
ORIGIN_FILE = "origin.json"
ERROR_FILE = "error.txt"
RESUME_DIR = "resume"
PROGRESS_FILE = "progress.safetensors"
TRAJECTORY_FILE = "trajectory.safetensors"


def round_state_file(round_: int) -> str:
    """Name of the file that holds the weights and masks after a round."""
    return f"round_{round_:02d}.safetensors"


def round_sensitivity_file(round_: int) -> str:
    """Name of the file that holds a sensitivity scan of the network after a round."""
    return f"round_{round_:02d}_sensitivity.parquet"


def utc_now() -> str:
    """The present moment as an ISO 8601 string in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _null_is_nan(value: Any) -> Any:
    return math.nan if value is None else value


Number = Annotated[float, BeforeValidator(_null_is_nan)]
"""A float that may be NaN: JSON has no NaN, so it is written as null."""


class Record(BaseModel):
    """Base of every record: immutable, closed, and versioned."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")

    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> str:
        """One line of JSON, without a line break; NaN is null, floats survive bit for bit."""
        return self.model_dump_json()


class LayerRecord(BaseModel):
    """One prunable weight tensor after a round."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")

    layer: str
    kept: int = Field(description="weights that the mask keeps")
    total: int = Field(description="weights in the tensor")
    density: float = Field(description="kept / total")
    requested_sparsity: Number = Field(
        default=math.nan, description="sparsity asked of this layer; NaN where none was"
    )
    dead_outputs: int = Field(description="output units whose every weight is masked")
    outputs: int = Field(description="output units of the layer, channels of a convolution")
    macs: Number = Field(default=math.nan, description="dense multiply-adds per example")


class RoundRecord(Record):
    """One round of one trial: what was cut, what is left, how well it does, what it cost.

    ``density`` and ``sparsity`` are over prunable weights; ``compression_ratio`` is over all
    parameters; ``train_epochs`` and ``train_samples`` are cumulative and charge the dense run.
    """

    trial_id: str = ""
    round: int
    requested_sparsity: Number
    sparsity: float
    density: float
    prunable_parameters: int
    nonzero_parameters: int
    total_parameters: int
    compression_ratio: float
    macs: Number
    dense_macs: Number
    theoretical_speedup: Number
    val_accuracy: Number
    val_loss: Number
    train_loss: Number
    test_accuracy: float | None = None
    train_epochs: float
    train_samples: int
    wall_s: float
    mask_hash: str
    seed: int
    collapsed_layers: tuple[str, ...] = ()
    uncounted: tuple[str, ...] = Field(
        default=(), description="operations on weights whose multiply-adds could not be counted"
    )
    layers: tuple[LayerRecord, ...]
    finished_at: str


REPLICATE = "-seed-"
"""What the names of replicates have in them, and those of other trials have not."""


class Origin(Record):
    """Of a run that no search asked for: what it runs again, and as what.

    A ``replicate`` is the same plan on another seed, and a trial like any other. Its controls are
    kept apart from the trials: ``reinit``, the last mask on new weights; ``shuffled``, as many
    weights in each layer at random; ``dense``, unpruned.
    """

    of: str = Field(description="the trial")
    replicate: str = Field(description="the trial that is the replicate itself")
    round: int = Field(description="the round of it that is looked at")
    role: Literal["replicate", "reinit", "shuffled", "dense"]


class TrialOutcome(Record):
    """How a trial ended. A trial without one is still running, or its study was killed."""

    trial_id: str
    status: Literal["completed", "stopped", "errored"]
    stop_reason: str | None = None
    stop_detail: dict[str, Any] | None = Field(
        default=None,
        description="what early stopping found: the bound that a stop rests on, and of a trial "
        "that ran on all the same (audited), whether it reached the front",
    )
    error: str | None = Field(default=None, description="last line of the traceback")
    traceback: str | None = None
    rounds_planned: int
    rounds_finished: int
    started_at: str
    finished_at: str


class Event(Record):
    """A line of ``events.jsonl``: something that happened to the study."""

    event: str
    trial_id: str | None = None
    detail: dict[str, Any] = Field(default_factory=dict)
    at: str = Field(default_factory=utc_now)


class Provenance(Record):
    """Where and with what a study ran."""

    study: str
    command: list[str]
    started_at: str
    python: str
    platform: str
    machine: str
    cpus: int
    gpus: list[str]
    packages: dict[str, str]
    git_commit: str | None = None
    examples: dict[str, int] = Field(
        default_factory=dict, description="in the splits train and validation"
    )


class SensitivityRecord(Record):
    """One level of one layer in a sensitivity scan; all other layers keep their masks."""

    layer: str
    sparsity: float
    val_accuracy: Number
    val_loss: Number
    accuracy_drop: Number = Field(description="accuracy before the cut minus after it")
    seed: int
    recovery_epochs: float
    trial_id: str | None = Field(default=None, description="trial whose network was scanned")
    round: int | None = Field(default=None, description="and after which of its rounds")


class HeldOutRecord(Record):
    """A network on the test split, which is read once, for reporting."""

    trial_id: str
    round: int = Field(description="0 is the dense network that the trial began with")
    test_accuracy: Number
    test_loss: Number
    examples: int | None = Field(default=None, description="in the test split")
    read_at: str = Field(default_factory=utc_now)
