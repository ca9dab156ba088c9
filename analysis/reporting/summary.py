"""The figures of a report for a script."""

from __future__ import annotations

import json
import math
from typing import Any

import pandas as pd

from analysis.checks import checklist_frame
from analysis.choosing import operating_points
from analysis.cost import cost_summary
from analysis.reporting.controls_section import control_table
from analysis.reporting.headline import summary
from analysis.results import Results
from analysis.sensitivity import sensitivity_thresholds
from analysis.stopping import stopping_audit
from analysis.trade_off import pareto_data


def to_json(results: Results) -> str:
    """Headline, front, operating points, thresholds, controls, checklist and cost."""
    front = pareto_data(results)
    document = {
        "study": results.name,
        "task": results.config.get("task", {}),
        "headline": summary(results),
        "front": _rows(front[front["on_front"]].drop(columns=["study", "on_front"])),
        "operating_points": _rows(operating_points(results)),
        "sensitivity_thresholds": _rows(sensitivity_thresholds(results)),
        "controls": _rows(control_table(results)),
        "checklist": _rows(checklist_frame(results)),
        "cost": cost_summary(results),
        "early_stopping": stopping_audit(results),
        "problems": results.problems,
    }
    return json.dumps(_known(document), indent=2) + "\n"


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
