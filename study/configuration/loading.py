"""The study file: read, checked, explained where it is wrong, and written out resolved."""

from __future__ import annotations

import copy
import difflib
import tomllib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from study.configuration.models import StudyConfig
from study.configuration.tables import check_values
from study.configuration.targets import at_target
from study.configuration.widths import with_aligned_widths
from study.errors import UsageError, shortened, unknown_name
from study.files.locations import hide_secrets

__all__ = ["StudyConfig", "explain", "load_config", "presets", "to_toml"]


def presets() -> list[str]:
    """Names of the study files that come with the project."""
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in files("study.presets").iterdir()
        if entry.name.endswith(".toml")
    )


MOST_BYTES = 1 << 20
"""Of a study file; the longest one known has 4,000."""


def load_config(
    source: str | Path | Mapping[str, Any], set_: Iterable[str | tuple[str, Any]] = ()
) -> StudyConfig:
    """Read a study file, a preset, or a mapping of the same shape.

    Parameters
    ----------
    source
        Path of a TOML file, name of a preset, or the tables themselves.
    set_
        Changes, each ``"table.key=value"`` with the value in TOML, or the key and the value.

    Raises
    ------
    UsageError
        If there is no such file, it is no TOML, or a key or value is wrong.
    """
    tables, changed = _tables(source), dict[str, Any]()
    for change in set_:
        _apply(tables, change)
        _apply(changed, change)
    is_preset = not isinstance(source, Mapping) and str(source) in presets()
    if not isinstance(source, Mapping) and not is_preset:
        _note_folder(tables, Path(source).absolute().parent)
    check_values(tables)
    own_space = (changed.get("space") or {}) if is_preset else None
    try:
        return StudyConfig.model_validate(with_aligned_widths(at_target(tables, own_space)))
    except ValidationError as error:
        raise UsageError(explain(error, StudyConfig)) from error


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Say what is wrong with a configuration: a line for each key, with the nearest right one.

    Unknown keys come alone: what else is wrong often comes of them.
    """
    problems = error.errors()
    unknown = [problem for problem in problems if problem["type"] == "extra_forbidden"]
    lines = dict.fromkeys(_explained(problem, model) for problem in unknown or problems)
    return hide_secrets("\n".join(lines))


def _explained(problem: ErrorDetails, model: type[BaseModel]) -> str:
    path = [str(part) for part in problem["loc"]]
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        allowed = sorted(_keys_at(model, path[:-1]))
        return f"{key}: unknown key.{_nearest(path[-1], allowed)} Allowed: {', '.join(allowed)}."
    if problem["type"] == "missing":
        return f"{key}: is missing."
    if problem["type"] == "literal_error":
        given, expected = str(problem["input"]), problem["ctx"]["expected"]
        choices = expected.replace(" or ", ", ").replace("'", "").split(", ")
        return f"{key}: unknown name {given!r}.{_nearest(given, choices)} Allowed: {expected}."
    if problem["type"] == "value_error":
        said = str(problem["ctx"]["error"])
        return f"{key}: {said.removeprefix(f'{path[-1]}: ')}" if path else said
    return f"{key}: {problem['msg']}, not {shortened(problem['input'])}."


def _nearest(given: str, allowed: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(given.lower(), list(allowed), n=1, cutoff=0.5)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""


def to_toml(config: StudyConfig) -> str:
    """Write the resolved study file: every key with its value; reading it gives the same study."""
    values = config.model_dump(mode="json", exclude_none=True)
    written = _written_task(config)
    values["task"] = {key: value for key, value in values["task"].items() if key in written}
    return tomli_w.dumps(values)


def _written_task(config: StudyConfig) -> set[str]:
    """A user's object has a recipe of its own: only what overrides it is written."""
    task = config.task
    return set(type(task).model_fields) if task.object is None else set(task.model_fields_set)


def _tables(source: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(source, Mapping):
        check_values(source)  # before it is copied: it may have no end
        return copy.deepcopy(dict(source))
    text = str(source)
    if text in presets():
        content = (files("study.presets") / f"{text}.toml").read_text()
    else:
        content = _content(text)
    try:
        return tomllib.loads(content)
    except RecursionError as error:
        raise UsageError(f"study file {text}: its tables are too deep in each other.") from error
    except ValueError as error:  # also of a number of more digits than Python reads
        raise UsageError(f"study file {text}: {str(error)[:300]}") from error


def _content(text: str) -> str:
    """What a study file says; a mark of UTF-8 at its start, as some editors write it, is let go."""
    path = Path(text)
    try:
        if path.is_file():
            if path.stat().st_size > MOST_BYTES:
                raise UsageError(f"study file {text}: it has more than {MOST_BYTES} bytes.")
            return path.read_bytes().decode("utf-8-sig")
        if path.is_dir():
            raise UsageError(f"study file: {text!r} is a folder; name the file in it.")
        if path.exists():
            raise UsageError(f"study file: {text!r} is no regular file.")
    except UnicodeDecodeError as error:
        raise UsageError(f"study file {text}: it is not UTF-8: {error}") from error
    except (OSError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        reason = getattr(error, "strerror", None) or str(error)[:200]
        raise UsageError(f"study file {shortened(text)}: cannot be read: {reason}") from error
    if text.endswith(".toml") or "/" in text:
        raise UsageError(f"study file: there is no file {shortened(text)}.")
    raise unknown_name("preset", text, presets())


def _note_folder(tables: dict[str, Any], folder: Path) -> None:
    """Take the study file's folder for that of its modules: workers stand somewhere else."""
    task = tables.get("task")
    if isinstance(task, dict):
        task.setdefault("module_dir", str(folder))


def _apply(tables: dict[str, Any], change: str | tuple[str, Any]) -> None:
    path, parsed = _read_change(change) if isinstance(change, str) else change
    keys = [key.strip() for key in path.split(".")]
    if not all(keys) or (len(keys) == 1 and not isinstance(parsed, dict)):
        raise UsageError(f"--set: write table.key=value, or table={{...}}, not {change!r}.")
    inner = tables
    for key in keys[:-1]:
        inner = inner.setdefault(key, {})
        if not isinstance(inner, dict):
            raise UsageError(f"--set: {key!r} in {path!r} is a value, not a table.")
    inner[keys[-1]] = parsed


def _read_change(change: str) -> tuple[str, Any]:
    """Key and value; what is no TOML is the text that it is, unless it begins as TOML does."""
    path, equals, value = change.partition("=")
    if not equals:
        raise UsageError(f"--set: write table.key=value, or table={{...}}, not {change!r}.")
    try:
        read = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError) as error:
        if value.strip()[:1] in ("'", '"', "[", "{") or isinstance(error, RecursionError):
            raise UsageError(f"--set {path}: {value[:200]!r} is no TOML: {error}") from error
        return path, value.strip()
    return (path, read["value"]) if read.keys() == {"value"} else (path, value.strip())


def _keys_at(model: type[BaseModel], path: list[str]) -> list[str]:
    for part in path:
        field = model.model_fields.get(part)
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return list(model.model_fields)
