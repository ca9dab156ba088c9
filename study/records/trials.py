"""What is written of a trial but its rounds."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from study.records.fields import (
    Amount,
    Moment,
    Offset,
    Record,
    RoundNumber,
    Seed,
    Share,
)


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
    score_offsets: dict[str, Offset] = Field(default_factory=dict)
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
