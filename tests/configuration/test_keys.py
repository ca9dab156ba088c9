import tomllib
from typing import Any

import pytest

from study.configuration.help import config_help
from study.configuration.keys import ConfigKey, config_tables
from study.configuration.loading import load_config

KEYS = [(table.name, key) for table in config_tables() for key in table.keys]
FOLLOW = [("space", key) for key in ("density", "allocation", "offset_scale")]
"""Filled in where they are left out: what they are, follows from other keys."""

TASK: dict[str, Any] = {"dataset": "digits", "model": "mlp"}


def value_of(config: Any, table: str, key: str) -> Any:
    for part in [*table.split("."), key]:
        config = getattr(config, part)
    return config


def is_unset(config: Any, table: str) -> bool:
    """Whether a table such as task.distill is not there unless it is written."""
    for part in table.split("."):
        config = getattr(config, part)
    return config is None


@pytest.mark.parametrize(("table", "key"), KEYS, ids=lambda part: getattr(part, "name", part))
def test_a_default_that_is_shown_is_the_one_that_counts(table: str, key: ConfigKey) -> None:
    plain = load_config({"task": TASK})
    if key.default == "unset":
        if (table, key.name) in FOLLOW:
            assert "; unset: " in key.description or ", unset: " in key.description
        else:
            assert key.name in TASK or value_of(plain, table, key.name) is None
        return
    value = tomllib.loads(f"value = {key.default}")["value"]
    tables: dict[str, Any] = {"task": dict(TASK)}
    inner = tables
    for part in table.split("."):
        inner = inner.setdefault(part, {})
    inner[key.name] = value
    given = value_of(load_config(tables), table, key.name)
    expected = value if is_unset(plain, table) else value_of(plain, table, key.name)
    assert given == expected


@pytest.mark.parametrize(("table", "key"), KEYS, ids=lambda part: getattr(part, "name", part))
def test_types_and_meanings_are_words(table: str, key: ConfigKey) -> None:
    assert key.description
    assert not any(sign in key.type for sign in ("tuple", "Literal", "typing", "None", "search_"))


def test_every_table_of_a_study_file_is_there() -> None:
    names = [table.name for table in config_tables()]
    assert names == ["study", "task", "task.distill", "space", "space.per_layer", "objectives",
                     "search", "sensitivity", "resources", "latency", "confirm",
                     "report"]  # fmt: skip


def test_help_has_each_key_below_its_table() -> None:
    lines = config_help().splitlines()
    for table, key in KEYS:
        heading = next(i for i, line in enumerate(lines) if line.startswith(f"[{table}] "))
        end = next((i for i in range(heading + 1, len(lines)) if not lines[i]), len(lines))
        assert f"  {key.name}: {key.type} = {key.default}" in lines[heading:end]
