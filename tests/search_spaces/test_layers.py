from __future__ import annotations

import pytest

from search_spaces.layers import Layer, check_patterns, group_layers, look_up
from tests.search_spaces.networks import RESNET


def test_a_block_is_all_of_the_name_but_its_last_part() -> None:
    assert Layer("layer1.0.conv2", 9).block == "layer1.0"
    assert Layer("fc", 9).block == "fc"
    assert Layer("fc", 9, block="head").block == "head"


@pytest.mark.parametrize(
    ("by", "names"),
    [
        (
            "block",
            ["conv1", "layer1.0", "layer1.1", "layer2.0", "layer2.1", "layer3.0", "layer3.1", "fc"],
        ),
        ("kind", ["conv", "linear"]),
        ("layer", [layer.name for layer in RESNET]),
    ],
)
def test_groups_are_in_the_order_of_the_network_and_lose_no_layer(by, names) -> None:  # type: ignore[no-untyped-def]
    groups = group_layers(RESNET, by)
    assert list(groups) == names
    assert sorted(x.name for g in groups.values() for x in g) == sorted(x.name for x in RESNET)


def test_a_name_wins_over_a_pattern_and_an_earlier_pattern_over_a_later_one() -> None:
    table = {"*": 1, "conv*": 2, "conv1": 3}
    assert look_up("conv1", table, 0) == 3
    assert look_up("conv2", table, 0) == 1
    assert look_up("fc", {"conv*": 2}, 0) == 0


def test_a_pattern_that_matches_nothing_is_named_with_the_nearest_layer() -> None:
    with pytest.raises(ValueError, match=r"bounds: layer 'convl' .* Did you mean 'conv1'\?"):
        check_patterns("bounds", ["convl"], RESNET)


def test_a_layer_has_weights_and_a_known_kind() -> None:
    with pytest.raises(ValueError, match="total is 0"):
        Layer("fc", 0)
    with pytest.raises(ValueError, match="Did you mean 'conv'"):
        Layer("fc", 9, "conv2d")
