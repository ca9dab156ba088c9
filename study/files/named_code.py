"""What a study's files name by import string: modules that are run when its networks are built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

OF_TASK = ("object", "dataset", "model", "optimizer", "lr_schedule", "metrics")
OF_PLAN = ("saliency", "schedule", "retrain_lr_schedule", "allocation", "function")


def code_of_study(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Where a study file names code, and which."""
    yield from _in_table("task.", config.get("task") or {}, OF_TASK)
    yield from code_of_plan("space.", config.get("space") or {})


def code_of_plan(where: str, plan: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Where a plan, or a space of plans, names code, and which."""
    yield from _in_table(where, plan, OF_PLAN)


def _in_table(
    where: str, table: Mapping[str, Any], fields: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    for field in fields:
        value = table.get(field)
        for each in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(each, str) and ":" in each:
                yield f"{where}{field}", each
