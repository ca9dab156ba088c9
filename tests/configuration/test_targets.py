"""A target is the size of every plan."""

import pytest

from study.configuration.loading import load_config
from study.errors import UsageError
from tests.conftest import SMALL

CHANNELS = {
    "task": SMALL["task"],
    "space": {"structure": "channels", "density": [0.1, 1.0]},
    "latency": {"backend": "eager"},
}


def test_a_latency_is_aimed_at_from_below_in_multiples_of_eight() -> None:
    config = load_config(CHANNELS, ["search.target='latency_ms <= 0.5'"])
    assert (config.space.budget, config.space.density) == ("latency_ms", 0.485)
    assert config.space.width_multiple == 8
    (constraint,) = config.search.parsed_constraints
    assert constraint.share_of == "dense_latency_ms"
    assert constraint.violation({"latency_ms": 1.1, "dense_latency_ms": 2.0}) == pytest.approx(0.05)
    assert constraint.violation({"latency_ms": 0.98, "dense_latency_ms": 2.0}) < 0


def test_multiply_adds_are_met_as_they_are() -> None:
    config = load_config(CHANNELS, ["search.target='macs <= 0.5'"])
    assert (config.space.budget, config.space.density) == ("macs", 0.5)
    assert config.space.width_multiple == 1


def test_zeros_have_no_latency_to_aim_at() -> None:
    with pytest.raises(UsageError, match=r"search.target: 'latency_ms <= 0.5' needs .*channels"):
        load_config(SMALL, ["search.target='latency_ms <= 0.5'"])


@pytest.mark.parametrize("target", ["latency_ms <= 3", "latency_ms >= 0.5", "accuracy >= 0.9"])
def test_what_is_no_share_of_a_size_is_no_target(target: str) -> None:
    with pytest.raises(UsageError, match=r"is no size to prune to.*'latency_ms <= 0.5'"):
        load_config(CHANNELS, [f"search.target='{target}'"])
