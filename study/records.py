"""What a study writes: the schema of every record, and the layout of a study folder.

The analysis reads studies through this module, so it imports neither torch nor Ray.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.fields import FieldInfo

from study.bounds import Within

SCHEMA_VERSION = 1
"""Written into every record. It grows when a field changes its meaning or goes away."""

STUDY_FILE = "study.toml"
PROVENANCE_FILE = "provenance.json"
TASK_FILE = "task.json"
JOURNAL_FILE = "optuna.journal"
EVENTS_FILE = "events.jsonl"
SENSITIVITY_FILE = "sensitivity.parquet"
SCANNED_LAYERS_FILE = "scanned_layers.parquet"
REPORT_FILE = "report.html"
TEST_FILE = "test.jsonl"
CONFIRMATION_FILE = "confirmation.jsonl"
TRIALS_DIR = "trials"
OWNERS_DIR = "owners"
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

FIRST_TRIAL = "0000"
"""Name of the first trial: the textbook run, unless ``search.textbook`` is off."""


def round_state_file(round_: int) -> str:
    """Name of the file that holds the weights and masks after a round."""
    return f"round_{round_:02d}.safetensors"


def round_sensitivity_file(round_: int) -> str:
    """Name of the file that holds a sensitivity scan of the network after a round."""
    return f"round_{round_:02d}_sensitivity.parquet"


def utc_now() -> str:
    """The present moment as an ISO 8601 string in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def may_be_nan(field: FieldInfo) -> bool:
    """Whether null stands for NaN in a field."""
    return any(getattr(each, "func", None) is _null_is_nan for each in field.metadata)


def _null_is_nan(value: Any) -> Any:
    return math.nan if value is None else value


Number = Annotated[float, BeforeValidator(_null_is_nan)]
"""A float that may be NaN: JSON has no NaN, so it is written as null."""

Count = Annotated[int, Within(0, 2**53)]
"""How many there are; floats hold it exactly."""

RoundNumber = Annotated[int, Within(0, 2**31 - 1)]

Seed = Annotated[int, Within(0, 2**63 - 1)]

Share = Annotated[float, Within(0, 1)]

Amount = Annotated[float, Within(0, 1e18)]

Offset = Annotated[float, Within(-20, 20)]
"""Of the natural logarithm of scores."""

ShareOrNan = Annotated[float, BeforeValidator(_null_is_nan), Within(0, 1, or_nan=True)]

AmountOrNan = Annotated[float, BeforeValidator(_null_is_nan), Within(0, math.inf, or_nan=True)]


def _is_a_moment(text: str) -> str:
    moment = datetime.fromisoformat(text)
    if not 1970 <= moment.year < 2200:
        raise ValueError(f"the year {moment.year} is none between 1970 and 2200")
    return text


Moment = Annotated[str, AfterValidator(_is_a_moment)]
"""ISO 8601, as :func:`utc_now` gives it."""


class Record(BaseModel):
    """Base of every record: immutable, closed, and versioned."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")

    schema_version: Annotated[int, Within(0, 2**31 - 1)] = SCHEMA_VERSION

    @classmethod
    def knows(cls, name: str) -> bool:
        """Whether a field of this name is one of the record's."""
        return name in cls.model_fields

    def to_json(self) -> str:
        """One line of JSON, without a line break; NaN is null, floats survive bit for bit."""
        return self.model_dump_json()


class _WithMetrics(Record):
    """A record with a column for each metric of the task, such as ``val_accuracy``."""

    model_config = ConfigDict(frozen=True, extra="allow", ser_json_inf_nan="null")

    __pydantic_extra__: dict[str, Number]

    @classmethod
    def knows(cls, name: str) -> bool:
        return name in cls.model_fields or _METRIC_COLUMN.fullmatch(name) is not None

    @model_validator(mode="after")
    def _further_columns_are_of_metrics(self) -> Self:
        for name in self.__pydantic_extra__:
            if not self.knows(name):
                raise ValueError(f"{name}: unknown field")
        return self

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """A metric's column."""


_METRIC_COLUMN = re.compile(r"(val|test|confirm)_\w+|\w+_drop")


class MetricRecord(BaseModel):
    """A figure by which networks of a task are judged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        pattern=r"^[A-Za-z]\w*$", description="its columns are val_NAME and test_NAME"
    )
    direction: Literal["max", "min"] = Field(description="which way is better")
    unit: Literal["share", "score", "amount"] = Field(
        description="share: a part of a whole, told in percent; score: at most 1, told as a "
        "number; amount: of any size, so that differences are told relative to the dense network"
    )

    @property
    def column(self) -> str:
        """On the validation split."""
        return f"val_{self.name}"

    @property
    def test_column(self) -> str:
        """On the test split."""
        return f"test_{self.name}"

    @property
    def confirm_column(self) -> str:
        """On the examples that confirm."""
        return f"confirm_{self.name}"

    @property
    def drop_column(self) -> str:
        """How much worse than before a cut, or than dense; negative where better."""
        return f"{self.name}_drop"

    def drop(self, before: float, after: float) -> float:
        """How much worse, in the metric's own unit; negative where better."""
        return before - after if self.direction == "max" else after - before


LOSS = MetricRecord(name="loss", direction="min", unit="amount")
"""The task's own loss, which every task has beside its metrics."""


class TaskRecord(Record):
    """What a study prunes, and by what it is judged."""

    name: str
    key: str = Field(description="what its dense runs are named by, with their seeds")
    metrics: tuple[MetricRecord, ...] = Field(
        min_length=1, description="the first is the task's quality; the last is the loss"
    )

    @model_validator(mode="after")
    def _metrics_have_names_of_their_own(self) -> Self:
        names = [metric.name for metric in self.metrics]
        if len(set(names)) < len(names):
            raise ValueError(f"two metrics have one name: {', '.join(names)}")
        return self


class LayerRecord(BaseModel):
    """One prunable weight tensor after a round."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")

    layer: str
    kept: Count = Field(description="weights that the mask keeps")
    total: Count = Field(description="weights in the tensor")
    density: Share = Field(description="kept / total")
    requested_sparsity: ShareOrNan = Field(
        default=math.nan, description="sparsity asked of this layer; NaN where none was"
    )
    dead_outputs: Count = Field(description="output units whose every weight is masked")
    outputs: Count = Field(description="output units of the layer, channels of a convolution")
    macs: AmountOrNan = Field(default=math.nan, description="dense multiply-adds per example")


class RoundRecord(_WithMetrics):
    """One round of one trial: what was cut, what is left, how well it does, what it cost.

    ``density`` and ``sparsity`` are over prunable weights; ``compression_ratio`` is over all
    parameters; ``train_epochs`` and ``train_samples`` are cumulative and charge the dense run. Each
    metric of the task on the validation split is a field ``val_NAME``, ``val_loss`` among them.
    """

    trial_id: str = ""
    round: RoundNumber
    requested_sparsity: ShareOrNan
    sparsity: Share
    density: Share
    prunable_parameters: Count
    nonzero_parameters: Count
    total_parameters: Count
    compression_ratio: AmountOrNan
    macs: AmountOrNan
    dense_macs: AmountOrNan
    theoretical_speedup: AmountOrNan
    latency_ms: AmountOrNan = Field(
        default=math.nan,
        description="median time of a call of the network without its pruned channels, in "
        "milliseconds a batch; NaN where it was not measured, as of the next four",
    )
    latency_spread_ms: AmountOrNan = Field(
        default=math.nan, description="interquartile range of latency_ms, in milliseconds"
    )
    dense_latency_ms: AmountOrNan = Field(
        default=math.nan,
        description="median time of the dense network, measured in turns with this one, in "
        "milliseconds a batch",
    )
    predicted_latency_ms: AmountOrNan = Field(
        default=math.nan,
        description="what a call was predicted to take by the times of the network's layers, in "
        "milliseconds a batch; NaN where no channels are taken out, or nothing was measured",
    )
    speedup_measured: AmountOrNan = Field(
        default=math.nan, description="dense_latency_ms / latency_ms"
    )
    val_loss: Number
    train_loss: Number
    train_epochs: Amount
    train_samples: Count
    wall_s: Amount
    mask_hash: str
    seed: Seed
    collapsed_layers: tuple[str, ...] = ()
    uncounted: tuple[str, ...] = Field(
        default=(), description="operations on weights whose multiply-adds could not be counted"
    )
    layers: tuple[LayerRecord, ...]
    finished_at: Moment

    @property
    def metrics(self) -> dict[str, float]:
        """All ``val_NAME`` fields, the loss among them."""
        return metrics_in(self.model_dump(exclude={"layers"}))


def metrics_in(result: Mapping[str, Any]) -> dict[str, float]:
    """The ``val_NAME`` entries of a round's result."""
    return {name: value for name, value in result.items() if name.startswith("val_")}


def is_finite(result: Mapping[str, Any]) -> bool:
    """Whether all metrics of a round are finite; a network of which they are not has diverged."""
    return all(math.isfinite(value) for value in metrics_in(result).values())


class PlanRecord(Record):
    """What the analysis reads of a trial's plan; :class:`study.pruning.PruningPlan` is the whole.

    Which fields mean something beside each other is the plan's own to say, and has changed.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    sparsity: Share | dict[str, Share] | None = None
    allocation: str | None = None
    threshold: Amount | None = None
    budget: str | None = None
    cost: str | None = None
    cost_exponent: Amount | None = None
    score_offsets: dict[str, Offset] = {}
    saliency: str | None = None
    structure: str | dict[str, str] | None = None
    unit_sparsity: Share | None = None
    schedule: str | None = None
    rounds: RoundNumber | None = None
    retrain: str | None = None
    rewind_epoch: Amount | None = None
    retrain_epochs: Amount | None = None
    retrain_lr: Amount | None = None
    retrain_lr_schedule: str | None = None
    optimizer_state: str | None = None
    layer_floor: Share | None = None
    seed: Seed | None = None


REPLICATE = "-seed-"
"""What the names of replicates have in them, and those of other trials have not."""


CONTROLS = ("reinit", "reinit_long", "shuffled_initial", "shuffled_reinit", "dense")
"""Roles of the controls of a network, which all keep as many weights in each layer as it does.

- ``reinit``: its mask on new initial weights, trained as long as the dense network;
- ``reinit_long``: the same, trained for as many epochs as the network took, dense run included;
- ``shuffled_initial``: masks drawn within each layer on the initial weights of its dense run,
  trained as long as the dense network;
- ``shuffled_reinit``: the same on new initial weights;
- ``dense``: this one is not pruned, and trains for as many epochs as the network took.
"""


class Origin(Record):
    """Of a run that no search asked for: what it runs again, and as what.

    A ``replicate`` is the same plan on another seed, and a trial like any other. Its controls, see
    :data:`CONTROLS`, are kept apart from the trials. Those that begin with a mask have one round
    of their own, whatever round of the network they stand beside, and are charged for their own
    training alone.
    """

    of: str = Field(description="the trial")
    replicate: str = Field(description="the trial that is the replicate itself")
    round: RoundNumber = Field(description="the round of it that is looked at")
    role: Literal[
        "replicate",
        "reinit",
        "reinit_long",
        "shuffled_initial",
        "shuffled_reinit",
        "dense",
        "shuffled",
    ] = Field(
        description="shuffled is of older versions: trained weights, cut at random in each round"
    )
    left_out: str | None = Field(
        default=None, description="why this control was not run; None where it was"
    )


class TrialOutcome(Record):
    """How a trial ended. A trial without one is still running, or its study was killed."""

    trial_id: str
    status: Literal["completed", "stopped", "errored"]
    stop_reason: str | None = None
    stop_detail: dict[str, Any] | None = Field(
        default=None,
        description="what early stopping found: what a stop rests on, and of a trial "
        "that ran on all the same (audited), whether it reached the front",
    )
    stage: str = Field(default="", description="of the search, where it has stages")
    error: str | None = Field(default=None, description="last line of the traceback")
    traceback: str | None = None
    rounds_planned: RoundNumber
    rounds_finished: RoundNumber
    started_at: Moment
    finished_at: Moment

    @model_validator(mode="after")
    def _an_audit_is_yes_or_no(self) -> Self:
        for name in ("audited", "reached_front"):
            if not isinstance((self.stop_detail or {}).get(name), bool | None):
                raise ValueError(f"stop_detail.{name}: is neither true nor false")
        return self


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


class SensitivityRecord(_WithMetrics):
    """One level of one layer in a sensitivity scan; all other layers keep their masks.

    Each metric of the task is a field ``val_NAME``; of its quality there is ``NAME_drop`` too, how
    much worse it is than before the cut. Where channels (neurons, heads) are taken out, a level
    is of all that is coupled, ``layer`` the first layer that makes them, and ``sparsity`` the share
    of them that was asked for; what the cut saves is told beside it.
    """

    layer: str
    sparsity: Share
    val_loss: Number
    seed: Seed
    recovery_epochs: Amount
    trial_id: str | None = Field(default=None, description="trial whose network was scanned")
    round: RoundNumber | None = Field(default=None, description="and after which of its rounds")
    units: Count | None = Field(
        default=None,
        description="channels, neurons or heads of the whole layer; None in scans of weights, as "
        "the next five",
    )
    units_left: Count | None = Field(default=None, description="of them, after the cut")
    macs: AmountOrNan | None = Field(
        default=None, description="multiply-adds of the network before the cut; NaN: not countable"
    )
    macs_saved: Number | None = Field(default=None, description="of them, by the cut")
    parameters: Count | None = Field(
        default=None, description="of the network before the cut, biases and norms included"
    )
    parameters_saved: Count | None = Field(default=None, description="of them, by the cut")
    predicted_latency_ms: AmountOrNan | None = Field(
        default=None,
        description="of the network before the cut: the sum of its layers' times, scaled to what "
        "the dense network was measured to take; None where latency is not measured",
    )
    predicted_saved_ms: float | None = Field(
        default=None, description="of it, by the cut; no clock was held to the narrower network"
    )

    def metric(self, column: str) -> float:
        """A ``val_NAME`` field."""
        value: float = getattr(self, column)
        return value

    @property
    def drop(self) -> float:
        """How much worse the quality is than before the cut."""
        (drop,) = (v for name, v in self.__pydantic_extra__.items() if name.endswith("_drop"))
        return drop


def _part_examples() -> Any:
    return Field(default=(), description="in the first, second, ... part; (): as many in each")


def _part_groups() -> Any:
    return Field(
        default=(),
        description="how many groups of equal size say as much as those of a part, where examples "
        "belong together",
    )


class HeldOutRecord(_WithMetrics):
    """A network on the test split, which is read once, for reporting: ``test_NAME`` a metric."""

    trial_id: str
    round: RoundNumber = Field(description="0 is the dense network that the trial began with")
    test_loss: Number
    examples: Count | None = Field(default=None, description="in the test split")
    without: dict[str, tuple[Number, ...]] = Field(
        default_factory=dict,
        description="the study's quality on the split without its first, second, ... part",
    )
    part_examples: tuple[Count, ...] = _part_examples()
    part_groups: tuple[Amount, ...] = _part_groups()
    read_at: Moment = Field(default_factory=utc_now)


class ConfirmationRecord(_WithMetrics):
    """A round of a replicate on the examples that confirm: ``confirm_NAME`` a metric."""

    trial_id: str = Field(description="of the replicate")
    round: RoundNumber = Field(description="0 is the dense network of the replicate's seed")
    seed: Seed
    confirm_loss: Number
    examples: Count = Field(description="by which it was judged")
    groups: Count | None = Field(
        default=None, description="of examples that belong together, where there are such"
    )
    held_back: bool = Field(description="whether the search did not see them")
    without: dict[str, tuple[Number, ...]] = Field(
        description="the study's quality on these examples without their first, second, ... part"
    )
    part_examples: tuple[Count, ...] = _part_examples()
    part_groups: tuple[Amount, ...] = _part_groups()
