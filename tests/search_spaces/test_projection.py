from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import Layer, Range
from search_spaces.per_layer import Group
from search_spaces.projection import project, within_reach
from tests.search_spaces.networks import layer_lists


def _groups(layers: list[Layer], data: st.DataObject) -> list[Group]:
    ends = st.tuples(st.floats(0.0, 0.45), st.floats(0.5, 0.999))
    return [Group(layer.name, (layer,), *data.draw(ends)) for layer in layers]


@given(layers=layer_lists, where=st.floats(0.001, 0.999), data=st.data())
def test_the_total_is_met_exactly_within_the_bounds(
    layers: list[Layer], where: float, data: st.DataObject
) -> None:
    groups = _groups(layers, data)
    log_shares = [data.draw(st.floats(-4.6, 4.6)) for _ in groups]
    least = sum((1 - g.high) * g.total for g in groups)
    most = sum((1 - g.low) * g.total for g in groups)
    kept = least + where * (most - least)
    levels = project(groups, log_shares, kept)
    found = math.fsum((1 - levels[g.name]) * g.total for g in groups)
    assert found == pytest.approx(kept, rel=1e-12)
    assert all(g.low <= levels[g.name] <= g.high for g in groups)


@given(layers=layer_lists, where=st.floats(0.01, 0.99), data=st.data())
def test_shares_are_ratios_of_odds(layers: list[Layer], where: float, data: st.DataObject) -> None:
    groups = [Group(layer.name, (layer,), 0.0, 0.99) for layer in layers]
    log_shares = [0.0, *(data.draw(st.floats(-3, 3)) for _ in groups[1:])]
    total = sum(g.total for g in groups)
    levels = project(groups, log_shares, (0.01 + 0.99 * where) * total)
    odds = [(0.99 - levels[g.name]) / levels[g.name] for g in groups]
    for own, log_share in zip(odds, log_shares, strict=True):
        assert own / odds[0] == pytest.approx(math.exp(log_share), rel=1e-6)


def test_equal_shares_of_equal_bounds_are_uniform() -> None:
    groups = [Group(n, (Layer(n, t),), 0.0, 0.99) for n, t in (("a", 1000), ("b", 50))]
    assert project(groups, [0.0, 0.0], 0.1 * 1050) == {
        "a": pytest.approx(0.9),
        "b": pytest.approx(0.9),
    }


def test_a_larger_share_keeps_more_and_the_others_give_way() -> None:
    groups = [Group(n, (Layer(n, 100),), 0.0, 0.99) for n in "abc"]
    before, after = (project(groups, [0.0, s, 0.0], 60.0) for s in (0.0, 1.0))
    assert after["b"] < before["b"]
    assert after["a"] == after["c"] > before["a"]


def test_a_range_of_densities_ends_where_the_bounds_of_layers_do() -> None:
    groups = [Group("a", (Layer("a", 100),), 0.5, 0.9)]
    reach = within_reach(Range(0.01, 1.0, log=True), groups)
    assert isinstance(reach, Range)
    assert (reach.low, reach.high) == (pytest.approx(0.1, abs=1e-3), pytest.approx(0.5, abs=1e-3))


@pytest.mark.parametrize("density", [0.05, (0.2, 0.3, 0.9), Range(0.6, 0.9, log=True)])
def test_a_density_that_the_bounds_do_not_allow_is_refused(density: object) -> None:
    groups = [Group("a", (Layer("a", 100),), 0.5, 0.9)]
    with pytest.raises(ValueError, match=r"allow a total density from 0\.1004 to 0\.4996"):
        within_reach(density, groups)  # type: ignore[arg-type]
