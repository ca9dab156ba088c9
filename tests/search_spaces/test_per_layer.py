from __future__ import annotations

import pytest
from pydantic import ValidationError

from search_spaces import PerLayer
from tests.search_spaces.networks import LENET300, RESNET


def _intervals(bounds: PerLayer, layers=LENET300) -> dict[str, tuple[float, float]]:  # type: ignore[no-untyped-def]
    return {group.name: (group.low, group.high) for group in bounds.groups(layers)}


def test_layers_that_a_table_does_not_name_have_the_default_bounds() -> None:
    bounds = PerLayer(bounds={"fc1": (0.1, 0.9)})
    assert _intervals(bounds) == {"fc1": (0.1, 0.9), "fc2": (0.0, 0.99), "fc3": (0.0, 0.99)}


def test_a_group_has_the_bounds_that_all_its_layers_allow() -> None:
    bounds = PerLayer(
        group_by="block", bounds={"*.conv1": (0.1, 0.9), "*.conv2": (0.0, 0.8), "*": (0.0, 0.5)}
    )
    assert _intervals(bounds, RESNET)["layer2.1"] == (0.1, 0.8)


def test_bounds_of_a_group_that_do_not_overlap_are_refused() -> None:
    bounds = PerLayer(group_by="kind", bounds={"fc1": (0.9, 0.95), "fc2": (0.0, 0.5)})
    with pytest.raises(ValueError, match="kind 'linear' have no sparsity in common"):
        bounds.groups(LENET300)


def test_a_ceiling_only_ever_lowers_bounds() -> None:
    bounds = PerLayer(bounds={"fc*": (0.2, 0.9)}).narrowed({"fc1": 0.95, "fc2": 0.5, "fc3": 0.1})
    assert _intervals(bounds) == {"fc1": (0.2, 0.9), "fc2": (0.2, 0.5), "fc3": (0.1, 0.1)}
    plain = PerLayer(bounds=(0.0, 0.8)).narrowed({"fc1": 0.5})
    assert _intervals(plain) == {"fc1": (0.0, 0.5), "fc2": (0.0, 0.8), "fc3": (0.0, 0.8)}


def test_a_ceiling_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="'fc1' is 1"):
        PerLayer(bounds="sensitivity").narrowed({"fc1": 1.0})


@pytest.mark.parametrize(
    "bounds", [(0.0, 1.0), (0.5, 0.2), (0.5,), 0.5, "sensitive", {"fc1": (-0.1, 0.5)}]
)
def test_bounds_that_are_no_sparsities_are_refused(bounds: object) -> None:
    with pytest.raises(ValidationError, match=r"write \[low, high\]"):
        PerLayer.model_validate({"bounds": bounds})
