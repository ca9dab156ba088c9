"""What figures of a record may be: asked of whole columns, or of one line in words."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, get_args, get_origin

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from study.bounds import ROUNDING, Within
from study.files.documents import parse, refuse_newer
from study.records import (
    SCHEMA_VERSION,
    LayerRecord,
    MetricRecord,
    Moment,
    Record,
    may_be_nan,
)

_MOMENTS = pa.timestamp("ms", tz="UTC")

_IS_MOMENT = get_args(Moment)[1]


@dataclass(frozen=True)
class Rules:
    """The rules of a record's lines.

    Parameters
    ----------
    model
        The record.
    metrics
        Those of the task, whose columns are beside the record's own.
    need_metrics
        Whether each line must have them: not where the study does not say which they are.
    of_layers
        Whether the layers of a round are read, and nothing else of it; otherwise all but they.
        What is wrong in the other part is told where that is read.
    """

    model: type[Record]
    metrics: tuple[MetricRecord, ...] = ()
    need_metrics: bool = False
    of_layers: bool = False

    @cached_property
    def fields(self) -> dict[str, FieldInfo]:
        """By column; those of layers may also stand in a table of their own."""
        of_layers = LayerRecord.model_fields if self.of_layers else {}
        return {**of_layers, **self.model.model_fields}

    @cached_property
    def bounds(self) -> dict[str, Within]:
        """By column."""
        return {**bounds_of(self.fields), **{e.column: _of_metric(e) for e in self.metrics}}

    def hold(self, table: pa.Table, text: bytes | None = None) -> bool:
        """Whether all rows keep the rules.

        Where it says no, some line must be looked at by itself: it may still be well.

        Parameters
        ----------
        table
            Rows of the record.
        text
            The lines that they were read from, to tell null from what is missing.

        Raises
        ------
        UsageError
            If a record is of a newer schema version than this program reads.
        """
        if "schema_version" in table.column_names:
            versions = pc.min_max(table["schema_version"]).as_py()
            refuse_newer(versions["max"])
            if versions["min"] is not None and versions["min"] < SCHEMA_VERSION:
                return False
        if not _keep(table, self.fields, self.bounds):
            return False
        return text is None or all(self._is_there(name, table, text) for name in self._needed)

    def check(self, line: bytes) -> None:
        """Refuse a line that does not keep the rules, see :func:`.documents.problem_of`."""
        try:
            parse(self.model, line)
        except ValidationError as error:
            if any(self._concerns(each["loc"]) for each in error.errors()):
                raise
        document = json.loads(line)
        is_older = document.get("schema_version", SCHEMA_VERSION) < SCHEMA_VERSION
        self.check_metrics(document, need=self.need_metrics and not is_older)

    def check_metrics(self, row: Mapping[str, Any], *, need: bool = True) -> None:
        """Refuse a row whose metrics are missing, or outside what their unit says."""
        for metric in self.metrics:
            name = metric.column
            if name not in row:
                if need:
                    raise ValueError(f"{name}: is missing")
                continue
            try:
                _of_metric(metric).refuse(math.nan if row[name] is None else float(row[name]))
            except ValueError as error:
                raise ValueError(f"{name}: {error}, as a {metric.unit}, but {row[name]}") from error

    def _concerns(self, place: tuple[int | str, ...]) -> bool:
        if self.of_layers:
            return not place or place[0] in ("schema_version", "round", "layers")
        return not place or place[0] != "layers"

    @cached_property
    def _needed(self) -> tuple[str, ...]:
        """Columns in which null may stand, and which may not be missing."""
        fields = self.model.model_fields.items()
        own = [name for name, field in fields if field.is_required() and may_be_nan(field)]
        further = [each.column for each in self.metrics] if self.need_metrics else []
        return tuple(dict.fromkeys([*own, *further]))

    def _is_there(self, name: str, table: pa.Table, text: bytes) -> bool:
        nulls: int = table[name].null_count if name in table.column_names else 0
        if nulls == 0:
            return True
        key = f'"{name}":'.encode()
        rows: int = table.num_rows
        if name in LayerRecord.model_fields:
            rows += text.count(b'"layer":')
        return text.count(key) == rows


def bounds_of(fields: Mapping[str, FieldInfo]) -> dict[str, Within]:
    """The bounds of figures, by field."""
    found = ((name, _bound_in(field)) for name, field in fields.items())
    return {name: bound for name, bound in found if bound is not None}


def _bound_in(field: FieldInfo) -> Within | None:
    annotated = [each for each in get_args(field.annotation) if get_origin(each) is Annotated]
    metadata = [*field.metadata, *(part for each in annotated for part in get_args(each))]
    return next((each for each in metadata if isinstance(each, Within)), None)


def _of_metric(metric: MetricRecord) -> Within:
    if metric.unit == "share":
        return Within(0, 1, or_nan=True)
    return Within(-math.inf, 1 if metric.unit == "score" else math.inf, or_nan=True)


def _keep(table: pa.Table, fields: Mapping[str, FieldInfo], bounds: Mapping[str, Within]) -> bool:
    for name in table.column_names:
        column, field = table[name], fields.get(name)
        if field is not None and field.is_required() and not may_be_nan(field):
            if column.null_count:
                return False
            if _IS_MOMENT in field.metadata and not _are_moments(column):
                return False
        if name in bounds and not _are_within(column, bounds[name]):
            return False
        if pa.types.is_list(column.type) and pa.types.is_struct(column.type.value_type):
            inner = _flattened(column)
            layer = LayerRecord.model_fields
            if inner is None or not _keep(inner, layer, bounds_of(layer)):
                return False
    return True


def _are_within(column: pa.ChunkedArray, bound: Within) -> bool:
    found = pc.min_max(column).as_py()
    if found["min"] is None:
        return True
    slack = ROUNDING if pa.types.is_floating(column.type) else 0
    # NaN, which JSON has not, is in no minimum: what is left out by it is looked at by line.
    is_number = not pa.types.is_floating(column.type) or not pc.any(pc.is_nan(column)).as_py()
    return is_number and bound.least - slack <= found["min"] and found["max"] <= bound.most + slack


def _are_moments(column: pa.ChunkedArray) -> bool:
    try:
        found = pc.min_max(column.cast(_MOMENTS)).as_py()
    except (pa.ArrowException, ValueError, OverflowError):
        return False
    return found["min"] is None or (found["min"].year >= 1970 and found["max"].year < 2200)


def _flattened(lists: pa.ChunkedArray) -> pa.Table | None:
    """The structs in lists as a table; None where one is missing."""
    if lists.null_count:
        return None
    structs = pc.list_flatten(lists)
    if structs.null_count:
        return None
    tables = [pa.Table.from_struct_array(chunk) for chunk in structs.chunks]
    return pa.concat_tables(tables) if tables else pa.table({})


def check_rows(rows: Sequence[Mapping[str, Any]], rules: Rules) -> list[Exception | None]:
    """What is wrong with each row; None where nothing is."""
    found: list[Exception | None] = []
    for row in rows:
        try:
            known = {name: value for name, value in row.items() if rules.model.knows(name)}
            rules.model.model_validate(known)
            rules.check_metrics(row)
            found.append(None)
        except Exception as error:
            found.append(error)
    return found
