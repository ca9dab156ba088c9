"""What is written of a network: its rounds, scans of its layers, and how it was judged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from study.records.fields import (
    Amount,
    AmountOrNan,
    Count,
    Moment,
    Number,
    RoundNumber,
    Seed,
    Share,
    ShareOrNan,
    WithMetrics,
    utc_now,
)


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


class RoundRecord(WithMetrics):
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


class SensitivityRecord(WithMetrics):
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


class HeldOutRecord(WithMetrics):
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


class ConfirmationRecord(WithMetrics):
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
