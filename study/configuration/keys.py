"""Every key of a study file, from the models that check it: what help and documentation list."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from search_spaces.structures import Structures
from search_spaces.values import Integers, Names, Numbers
from study.configuration.loading import StudyConfig

_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}
_VALUES = {
    frozenset(get_args(Integers)): "whole number, range or choices",
    frozenset(get_args(Numbers)): "number, range or choices",
    frozenset(get_args(Names)): "name or choices",
    frozenset(get_args(Structures)): "name, choices, or table by layer",
}


@dataclass(frozen=True)
class ConfigKey:
    """A key: its type in words, its default as TOML writes it, and what it means."""

    name: str
    type: str
    default: str
    description: str


@dataclass(frozen=True)
class ConfigTable:
    """A table of a study file, such as ``space.per_layer``."""

    name: str
    description: str
    keys: tuple[ConfigKey, ...]


def config_tables() -> list[ConfigTable]:
    """All tables of a study file, in its order."""
    return list(_tables(StudyConfig, ""))


def _tables(model: type[BaseModel], prefix: str) -> Iterator[ConfigTable]:
    for name, info in model.model_fields.items():
        inner = _model_of(info)
        if inner is not None:
            about = info.description or (inner.__doc__ or "").partition("\n")[0].rstrip(".")
            keys = [
                ConfigKey(key, _words(each.annotation), _default(each), each.description or "")
                for key, each in inner.model_fields.items()
                if _model_of(each) is None
            ]
            yield ConfigTable(f"{prefix}{name}", about, tuple(keys))
            yield from _tables(inner, f"{prefix}{name}.")
        elif get_origin(info.annotation) is dict and not prefix:
            about = f"{info.description}; default: {_toml(info.default)}"
            yield ConfigTable(name, about, ())


def _model_of(info: FieldInfo) -> type[BaseModel] | None:
    for part in (info.annotation, *get_args(info.annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def _words(annotation: Any) -> str:
    """A type as a reader of the study file has it; whether it may be unset, its default says."""
    kind, parts = get_origin(annotation), get_args(annotation)
    if kind is Literal:
        return " or ".join(json.dumps(part) for part in parts)
    if kind in (Union, types.UnionType):
        given = [part for part in parts if part is not type(None)]
        return _VALUES.get(frozenset(given)) or ", or ".join(_words(part) for part in given)
    if kind is tuple and parts[-1:] == (Ellipsis,):
        return f"list of {_words(parts[0])}"
    if kind is tuple:
        return "two whole numbers" if set(parts) == {int} else "[low, high]"
    if kind is dict:
        return "table" if parts[1] is Any else f"table of {_words(parts[1])}"
    return _WORDS[annotation]


def _default(info: FieldInfo) -> str:
    default = info.get_default(call_default_factory=True)
    return "required" if default is PydanticUndefined else _toml(default)


def _toml(value: Any) -> str:
    """A value as a study file would have it; nothing where it is unset."""
    if value is None:
        return "unset"
    if is_dataclass(value) and not isinstance(value, type):
        ends = asdict(value)
        if ends["step"] is None and not ends["log"]:
            return f"[{_toml(ends['low'])}, {_toml(ends['high'])}]"
        said = {key: end for key, end in ends.items() if end is not None and end is not False}
        return _toml(said)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)
