"""Widths in multiples of 8 where latency counts, unless the study file says otherwise."""

import tomllib
from typing import Any

import pytest

from study.configuration.loading import load_config, to_toml
from study.configuration.widths import note_on_widths
from tests.conftest import SMALL

BY_LATENCY: dict[str, dict[str, Any]] = {
    "objective": {"objectives": {"accuracy": "max", "latency_ms": "min"}},
    "constraint": {"search": {"constraints": ["latency_ms <= 0.5"]}},
    "budget": {"space": {"budget": "latency_ms"}},
    "cost": {"space": {"allocation": "global", "cost": "latency_ms", "cost_exponent": 1.0}},
}
NOT: dict[str, dict[str, Any]] = {
    "macs": {"objectives": {"accuracy": "max", "macs": "min"}},
    "measured alone": {"latency": {"backend": "eager"}},
    "other constraint": {"search": {"constraints": ["accuracy >= 0.5"]}},
}


def tables(change: dict[str, Any], **space: Any) -> dict[str, Any]:
    own = {"structure": "channels", **change.get("space", {}), **space}
    return {"task": SMALL["task"], **change, "space": own}


@pytest.mark.parametrize("name", BY_LATENCY)
def test_where_latency_counts_widths_are_multiples_of_eight_and_it_is_said(name: str) -> None:
    config = load_config(tables(BY_LATENCY[name]))
    assert config.space.width_multiple == 8
    assert "multiples of 8 (space.width_multiple" in str(note_on_widths(config))
    assert load_config(tomllib.loads(to_toml(config))) == config


@pytest.mark.parametrize("name", BY_LATENCY)
def test_what_the_study_file_says_counts(name: str) -> None:
    config = load_config(tables(BY_LATENCY[name], width_multiple=1))
    assert config.space.width_multiple == 1
    assert "multiples of 1 " in str(note_on_widths(config))


@pytest.mark.parametrize("name", NOT)
def test_elsewhere_widths_are_as_they_come(name: str) -> None:
    config = load_config(tables(NOT[name]))
    assert config.space.width_multiple == 1
    assert note_on_widths(config) is None


def test_single_weights_have_no_widths() -> None:
    change = {"objectives": {"accuracy": "max", "latency_ms": "min"}}
    config = load_config({"task": SMALL["task"], **change})
    assert config.space.width_multiple == 1
    assert note_on_widths(config) is None
