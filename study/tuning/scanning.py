"""The scan before a search, and what follows from it for the space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from search_spaces.values import options
from study.objectives import quality_of
from study.pruning.pipeline import run_pipeline
from study.pruning.sensitivity.thresholds import scanned_drops, sparsity_thresholds
from study.records import SensitivityRecord
from study.tuning.dense_runs.on_workers import OnWorkers
from study.tuning.dense_runs.scan_files import stored_scan
from study.tuning.dense_runs.scanning import scan_layers
from study.tuning.preparing import Prepared
from study.tuning.search.first_plans import scanned_plan

Note = Callable[[str, dict[str, Any]], None]
"""Writes an event of the study."""


def scan_first(
    prepared: Prepared, note: Note, on_workers: OnWorkers
) -> tuple[Prepared, list[SensitivityRecord]]:
    """Scan the layers, unless that was done; a space that waits for what is found, is filled in."""
    config = prepared.config
    found = stored_scan(prepared.folder)
    if found is None:
        note("scanning_layers", {})
        found = scan_layers(prepared, on_workers)
    records = list(found.records)
    quality = quality_of(prepared.task.metrics, config.objectives)
    highest = sparsity_thresholds(records, config.sensitivity.tolerated_drop, quality)
    if not records:  # the dense network diverged: trials will end with it, whatever their bounds
        highest = dict.fromkeys((layer.name for layer in prepared.drawn), 0.5)
    detail = {"thresholds": highest, "train_samples": found.train_samples}
    note("sensitivity_scanned", detail)
    if prepared.sets is not None and "sensitivity" in options(config.space.allocation):
        scanned = (
            scanned_drops(records)
            if records
            else prepared.sets.straight(max(config.sensitivity.levels))
        )
        run_pipeline(scanned_plan(config, prepared.plans[0], scanned), prepared.task)
        prepared = replace(prepared, scanned=scanned)
    if not config.space.awaits_bounds:
        return prepared, records
    headroom = config.sensitivity.headroom
    ceilings = {layer: 1.0 - (1.0 - level) / headroom for layer, level in highest.items()}
    note("space_bounded", {"highest_sparsity": ceilings})
    space = config.space.with_bounds(ceilings)
    return replace(prepared, config=config.model_copy(update={"space": space})), records
