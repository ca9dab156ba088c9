"""The figures of a report for a script."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

import pandas as pd

from analysis.comparing.controls import control_table
from analysis.fronts.choosing import operating_points
from analysis.fronts.trade_off import pareto_data
from analysis.judging.checks import checklist_frame
from analysis.judging.samples_budget import samples_budget
from analysis.judging.status import study_state
from analysis.judging.validation_gaps import validation_gap
from analysis.layers.sensitivity import sensitivity_thresholds
from analysis.reading.results import Results
from analysis.reporting.sections.headline import summary
from analysis.reporting.sections.layers import DROP
from analysis.spending.cost import cost_summary
from analysis.spending.stopping import stopping_audit
from analysis.statistics.replicates import searched


def to_json(results: Results) -> str:
    """Headline, front, operating points, thresholds, controls, checklist, cost and its budget."""
    front, budget = pareto_data(searched(results)), samples_budget(results)
    document = {
        "study": results.name,
        "task": results.config.get("task", {}),
        "quality": results.quality.model_dump(),
        "state": study_state(results),
        "trials": _known(searched(results).trials["status"].value_counts().to_dict()),
        "replicates": len(results.trials) - len(searched(results).trials),
        "dense": _rows(_dense(results)),
        "headline": summary(results),
        "front": _rows(front[front["on_front"]].drop(columns=["study", "on_front"])),
        "operating_points": _rows(operating_points(results)),
        "sensitivity_thresholds": _rows(sensitivity_thresholds(results, DROP)),
        "controls": _rows(control_table(results)),
        "test": _rows(validation_gap(results).drop(columns=["study"])),
        "checklist": _rows(checklist_frame(results)),
        "cost": cost_summary(results),
        "samples_budget": None if budget is None else asdict(budget),
        "early_stopping": stopping_audit(results),
        "problems": results.problems,
    }
    return json.dumps(_known(document), indent=2) + "\n"


def _dense(results: Results) -> pd.DataFrame:
    test = results.quality.test_column
    dense = results.rounds[results.rounds["round"] == 0]
    # It is one network in all trials of a seed, and was read on the test split in one of them.
    dense = dense.sort_values(test, kind="stable").drop_duplicates("seed").sort_values("seed")
    figures = [*(metric.column for metric in results.metrics), test]
    return dense[["seed", *figures, "total_parameters"]]


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def _known(value: Any) -> Any:
    """Plain JSON: what is not known, or not finite, is null."""
    if isinstance(value, dict):
        return {key: _known(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_known(each) for each in value]
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    plain = value.item() if hasattr(value, "item") else value
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain
