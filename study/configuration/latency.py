"""The table ``[latency]``: whether the time that a network takes is measured, and how."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from study.configuration.table import MOST_CORES, Table
from study.tasks.training.recipe import MOST_EXAMPLES


class LatencyTable(Table):
    """The time that networks take, measured beside the dense network."""

    backend: Literal["none", "eager", "onnxruntime", "cuda"] = Field(
        default="none",
        description="what runs the networks: torch on the CPU (eager), ONNX Runtime on the CPU "
        "(onnxruntime, of the extra onnx), torch on a GPU (cuda); none: nothing is measured",
    )
    batch_size: int = Field(
        default=1, ge=1, le=MOST_EXAMPLES, description="training examples in a call"
    )
    threads: int = Field(
        default=1,
        ge=1,
        le=MOST_CORES,
        description="CPU threads that an operation may use, up to the machine's processors",
    )
    repeats: int = Field(
        default=50,
        ge=2,
        le=1_000_000,
        description="samples of each network, of which the median counts; each lasts about a "
        "millisecond or longer",
    )

    @property
    def settings(self) -> dict[str, Any] | None:
        """How rounds are timed; None where they are not."""
        return None if self.backend == "none" else self.model_dump()
