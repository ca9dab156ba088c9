"""Tables of a study, in formats for people and for programs."""

from __future__ import annotations

import io

import pandas as pd

from analysis.loading import Results
from analysis.pareto import pareto_front
from study.errors import UsageError, unknown_name


def select_table(results: Results, name: str) -> pd.DataFrame:
    """A table of a study by name: trials, rounds, layers, sensitivity or pareto."""
    if name == "pareto":
        return pareto_front(results.rounds, results.objectives)
    if name not in ("trials", "rounds", "layers", "sensitivity"):
        raise unknown_name("table", name, ["trials", "rounds", "layers", "sensitivity", "pareto"])
    frame: pd.DataFrame = getattr(results, name)
    return frame


def render_table(frame: pd.DataFrame, format_: str) -> bytes:
    """A frame as text for a person, CSV, JSON (a list of rows) or Parquet.

    Raises
    ------
    UsageError
        If the format is unknown.
    """
    if format_ == "csv":
        return frame.to_csv(index=False).encode()
    if format_ == "json":
        return (
            frame.to_json(orient="records", indent=2, double_precision=15, date_format="iso") + "\n"
        ).encode()
    if format_ == "parquet":
        buffer = io.BytesIO()
        frame.astype({c: "str" for c in frame.columns if frame[c].dtype == object}).to_parquet(
            buffer, index=False
        )
        return buffer.getvalue()
    if format_ == "table":
        short = frame.dropna(axis=1, how="all")
        return (short.to_string(index=False, max_colwidth=40) + "\n").encode()
    raise UsageError(f"format: unknown {format_!r}; table, csv, json or parquet")
