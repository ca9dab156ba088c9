"""Arrow schemas of the records, made from the records themselves so that they cannot drift."""

from __future__ import annotations

from collections.abc import Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pyarrow as pa
from pydantic import BaseModel

from study.records import LayerRecord, MetricRecord, RoundRecord, SensitivityRecord

_SCALARS = {int: pa.int64(), float: pa.float64(), str: pa.string(), bool: pa.bool_()}


def arrow_type(annotation: Any) -> pa.DataType:
    """The Arrow type that holds a field of a record."""
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return arrow_type(arguments[0])
    if origin in (Union, UnionType):
        return arrow_type(next(each for each in arguments if each is not type(None)))
    if origin is tuple:
        return pa.list_(arrow_type(arguments[0]))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return pa.struct(schema_of(annotation))
    return pa.string()


def schema_of(model: type[BaseModel]) -> pa.Schema:
    """Every field of a record, in its order."""
    return pa.schema([(name, arrow_type(f.annotation)) for name, f in model.model_fields.items()])


def round_schema(metrics: Sequence[MetricRecord]) -> pa.Schema:
    """A round without its layers, which are read when they are asked for; a column a metric.

    The trial's name is that of its folder, so it is not read from each line.
    """
    skipped = ("layers", "trial_id")
    fields = [each for each in schema_of(RoundRecord) if each.name not in skipped]
    return _with_columns(fields, [metric.column for metric in metrics])


def round_layers_schema() -> pa.Schema:
    """What of a round's line the layers need."""
    wanted = ("schema_version", "round", "layers")
    return pa.schema([each for each in schema_of(RoundRecord) if each.name in wanted])


def layer_schema() -> pa.Schema:
    """One layer of a round."""
    return schema_of(LayerRecord)


def sensitivity_schema(metrics: Sequence[MetricRecord], quality: MetricRecord) -> pa.Schema:
    """One level of one layer in a scan, and how much worse the quality is there."""
    columns = [*(metric.column for metric in metrics), quality.drop_column]
    return _with_columns(list(schema_of(SensitivityRecord)), columns)


def _with_columns(fields: list[pa.Field], columns: Sequence[str]) -> pa.Schema:
    known = {field.name for field in fields}
    return pa.schema([*fields, *((name, pa.float64()) for name in columns if name not in known)])
