"""What a study says of its task, and of the metrics it is judged by."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from study.records.fields import Record


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
