"""What a round reports to the driver."""

from __future__ import annotations

from typing import Any

from study.pruning.plan import PruningPlan
from study.records import RoundRecord, is_finite

RESULT_FIELDS = (
    "round",
    "density",
    "macs",
    "dense_macs",
    "nonzero_parameters",
    "total_parameters",
    "prunable_parameters",
    "latency_ms",
    "dense_latency_ms",
    "train_epochs",
    "train_samples",
    "wall_s",
    "finished_at",
)
"""What a round reports to the driver beside its metrics; the record is in the study folder."""


INTERRUPTED, REPLAYED = "interrupted", "replayed"
"""Further fields of a result: no round, but the word that the trial was stopped and can go on; and
whether it is of a round that was finished before, with others still to tell."""


def result_of(record: RoundRecord, plan: PruningPlan) -> dict[str, Any]:
    """What a round reports to the driver."""
    return {
        **{field: getattr(record, field) for field in RESULT_FIELDS},
        **record.metrics,
        "rounds_planned": plan.rounds,
        "done": record.round >= plan.rounds or not is_finite(record.metrics),
    }
