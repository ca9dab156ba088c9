"""A target is the size of every plan."""

import pytest

from study.configuration.loading import load_config, presets
from study.configuration.targets import note_on_target
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


@pytest.mark.parametrize("preset", presets())
def test_of_a_preset_multiply_adds_are_those_of_channels_that_are_left(preset: str) -> None:
    config = load_config(preset, [("search.target", "macs <= 0.4")])
    assert config.space.structure == "channels"
    assert (config.space.budget, config.space.density) == ("macs", 0.4)
    assert "really smaller" in (note_on_target(config) or "")


@pytest.mark.parametrize(
    "space",
    [
        {"structure": "weights"},
        {"per_layer": {"bounds": [0.0, 0.9]}},
        {"form": "density_projected"},
        {"allocation": ["lamp", "erk"]},
        {"saliency": "obs"},
    ],
)
def test_what_a_user_says_of_weights_stays_and_is_told(space: dict[str, object]) -> None:
    config = load_config({**SMALL, "space": space}, [("search.target", "macs <= 0.4")])
    assert config.space.structure == "weights"
    assert "--set space.structure=channels" in (note_on_target(config) or "")
    changes = [(f"space.{key}", value) for key, value in space.items()]
    own = load_config("digits-mlp", [*changes, ("search.target", "macs <= 0.4")])
    assert own.space.structure == "weights"


def test_a_user_s_space_that_says_nothing_of_either_is_of_channels() -> None:
    tables = {**SMALL, "space": {"rounds": 2, "allocation": "lamp", "density": [0.1, 1.0]}}
    config = load_config(tables, [("search.target", "macs <= 0.4")])
    assert config.space.structure == "channels"
    assert config.space.allocation == "lamp"


def test_all_known_allocations_take_part_at_one_size_unless_offsets_are_asked_for() -> None:
    target = ("search.target", "macs <= 0.4")
    assert load_config(SMALL, [target]).space.form == "global"
    changes = [target, ("space.form", "offsets"), ("space.per_layer.group_by", "kind")]
    space = load_config(SMALL, changes).space
    assert (space.form, space.structure, space.density) == ("offsets", "weights", 0.4)
    assert space.per_layer.group_by == "kind"
    units = load_config(SMALL, changes[:2]).space
    assert (units.form, units.structure, units.offset_scale) == ("offsets", "channels", 0.15)


def test_of_a_density_single_weights_are_meant() -> None:
    config = load_config("digits-mlp", [("search.target", "density <= 0.1")])
    assert (config.space.structure, note_on_target(config)) == ("weights", None)
    assert note_on_target(load_config("digits-mlp")) is None
