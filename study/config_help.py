"""What every key of a study file means: generated from the models that check it."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from study.config import StudyConfig


def config_help() -> str:
    """A line for each key: its type, its default, and what it is."""
    return "\n".join(_lines(StudyConfig, "")).strip()


def _lines(model: type[BaseModel], prefix: str) -> list[str]:
    keys, tables = [], []
    for name, info in model.model_fields.items():
        inner = _table_of(info)
        if inner is not None:
            about = f"  # {info.description}" if info.description else ""
            tables += ["", f"[{prefix}{name}]{about}", *_lines(inner, f"{prefix}{name}.")]
        elif not prefix and name == "objectives":
            tables += ["", f"[{name}]  # {info.description}", f"  default: {info.default}"]
        else:
            keys.append(f"  {name}: {_type(info.annotation)}{_default(info)}")
            keys.append(f"      {info.description}")
    return keys + tables


def _table_of(info: FieldInfo) -> type[BaseModel] | None:
    for part in (info.annotation, *get_args(info.annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def _type(annotation: Any) -> str:
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    text = str(annotation).replace("typing.", "").replace(" | None", "")
    return text.replace("Literal", "one of ")


def _default(info: FieldInfo) -> str:
    default = info.get_default(call_default_factory=True)
    return " (required)" if default is PydanticUndefined else f" = {default!r}"
