"""Tables of a study, in formats for people and for programs."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from typing import Any

import pandas as pd

from analysis.comparing.comparison import compare
from analysis.comparing.controls import control_table
from analysis.fronts.choosing import best_at_density, operating_points, smallest_within
from analysis.fronts.confirmed import confirmed_networks, named_networks
from analysis.fronts.study_front import study_front
from analysis.judging.checks import checklist_frame
from analysis.layers.sensitivity import sensitivity_thresholds
from analysis.reading.results import Results
from analysis.reporting.sections.layers import DROP
from analysis.settings.importance import importances
from analysis.spending.cost import trial_costs
from analysis.statistics.replicates import searched
from study.errors import UsageError, unknown_name
from study.visible import visible

TABLES: dict[str, Callable[[Results], pd.DataFrame]] = {
    "trials": lambda results: results.trials,
    "rounds": lambda results: results.rounds,
    "layers": lambda results: results.layers,
    "sensitivity": lambda results: results.sensitivity,
    "pareto": study_front,
    "named": named_networks,
    "confirmed": confirmed_networks,
    "smallest": smallest_within,
    "best": best_at_density,
    "points": operating_points,
    "thresholds": lambda results: sensitivity_thresholds(results, DROP),
    "comparison": lambda results: compare(searched(results)),
    "importance": lambda results: importances(searched(results)),
    "controls": control_table,
    "cost": trial_costs,
    "checklist": checklist_frame,
}
"""Tables by name."""


def select_table(results: Results, name: str) -> pd.DataFrame:
    """A table of a study by name.

    Raises
    ------
    UsageError
        If there is none of this name.
    """
    if name not in TABLES:
        raise unknown_name("table", name, TABLES)
    return TABLES[name](results)


def render_table(frame: pd.DataFrame, format_: str) -> bytes:
    """A frame as text for a person, CSV, JSON (a list of rows) or Parquet.

    Floats are written so that they are read back bit for bit. In JSON what is not known or not
    finite is null, and moments are ISO 8601. In CSV a text that a spreadsheet would take for a
    formula has an apostrophe before it, and what cannot be seen is shown as its code.

    Raises
    ------
    UsageError
        If the format is unknown.
    """
    if format_ == "csv":
        return harmless(frame).to_csv(index=False).encode()
    if format_ == "json":
        rows = [
            {str(key): _plain(value) for key, value in row.items()}
            for row in frame.to_dict("records")
        ]
        return (json.dumps(rows, indent=2, allow_nan=False) + "\n").encode()
    if format_ == "parquet":
        buffer = io.BytesIO()
        frame.astype({c: "str" for c in frame.columns if frame[c].dtype == object}).to_parquet(
            buffer, index=False
        )
        return buffer.getvalue()
    if format_ == "table":
        short = frame.dropna(axis=1, how="all")
        text = short.to_string(index=False) if len(short) else "no rows"
        return f"{visible(text)}\n".encode()
    raise UsageError(f"format: unknown {format_!r}; table, csv, json or parquet")


def harmless(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its texts, and names of columns, such that nothing runs or hides in them."""
    texts = frame.select_dtypes(exclude=["number", "bool", "datetimetz", "datetime"])
    safe = frame.assign(**{str(name): texts[name].map(_harmless) for name in texts})
    return safe.rename(columns=lambda name: _harmless(str(name)))


def _harmless(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    begins = value[:1] in ("=", "+", "-", "@", "\t", "\r") and not _is_number(value)
    return f"{chr(39) * begins}{visible(value)}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _plain(value: Any) -> Any:
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, float):
        return plain if math.isfinite(plain) else None
    return plain if isinstance(plain, (str, int, bool, dict, list)) else str(plain)
