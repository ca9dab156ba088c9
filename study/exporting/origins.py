"""Where an exported network is from, as its file says."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from search_spaces.structures import structure_text
from study.configuration.loading import StudyConfig
from study.exporting.networks import StoredRound
from study.records import MetricRecord, utc_now
from study.tasks.data.structures import describe


def origin_of(
    config: StudyConfig, found: StoredRound, metric: MetricRecord, inputs: Any
) -> dict[str, str]:
    """Provenance of a network, by names that stay: part of the file's format.

    Parameters
    ----------
    config
        Of the study.
    found
        The network's round.
    metric
        What the study is about; its validation value is told under its column's name.
    inputs
        A batch as the network takes it.
    """
    record = found.record
    return {
        "study": config.study.name,
        "trial": found.trial_id,
        "round": str(found.round),
        "seed": str(record.seed),
        "plan_hash": found.plan.content_hash(),
        "structure": structure_text(found.plan.structure),
        "mask_hash": record.mask_hash,
        metric.column: repr(getattr(record, metric.column)),
        "density": repr(record.density),
        "compression_ratio": repr(record.compression_ratio),
        "inputs": describe(inputs),
        "written_by": f"prune-study {version('prune-study')}",
        "written_at": utc_now(),
    }
