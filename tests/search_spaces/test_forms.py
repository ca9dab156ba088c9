from __future__ import annotations

from typing import Any

import pytest

from search_spaces import PerLayer, SearchSpace


@pytest.mark.parametrize(
    ("table", "form"),
    [
        ({}, "offsets"),
        ({"form": None}, "offsets"),
        ({"cut": 0.2}, "offsets"),
        ({"density": 0.1, "budget": "macs", "cost_exponent": 0.5}, "offsets"),
        ({"per_layer": {"group_by": "block"}}, "offsets"),
        ({"per_layer": PerLayer(group_by="block")}, "offsets"),
        ({"allocation": ["lamp", "global"]}, "offsets"),
        *(({"structure": each}, "offsets") for each in ("blocks", "channels", "heads", "units")),
        ({"structure": ["channels"]}, "offsets"),
        ({"structure": "channels", "allocation": "global_raw"}, "offsets"),
        ({"per_layer": {"bounds": [0.0, 0.99]}}, "per_layer"),
        ({"per_layer": PerLayer(bounds=(0.0, 0.99))}, "per_layer"),
        ({"per_layer": {"scale": "log_density"}}, "per_layer"),
        ({"structure": "channels", "per_layer": {"bounds": "sensitivity"}}, "per_layer"),
        ({"saliency": ["magnitude", "movement"]}, "per_layer"),
        ({"cut": 0.2, "per_layer": {"bounds": [0.0, 0.999]}}, "density_projected"),
        ({"cut": 0.2, "saliency": "movement"}, "density_projected"),
        ({"allocation": "erk"}, "global"),
        ({"allocation": ["lamp", "uniform"]}, "global"),
        ({"allocation": "threshold", "threshold": 0.1}, "global"),
        ({"allocation": "erk", "saliency": "movement"}, "global"),
        ({"structure": "channels", "allocation": ["lamp", "isomorphic"]}, "global"),
        ({"structure": "2:4"}, "global"),
        ({"structure": "channels+weights"}, "global"),
        ({"structure": ["weights", "channels"]}, "global"),
        ({"structure": {"fc*": "weights"}}, "global"),
    ],
)
def test_the_form_of_a_space_that_names_none(table: dict[str, Any], form: str) -> None:
    space = SearchSpace.model_validate(table)
    assert space.form == form
    again = SearchSpace.model_validate(space.model_dump(mode="json", exclude_none=True))
    assert again == space


@pytest.mark.parametrize(
    ("structure", "allocation", "scale"),
    [
        ("weights", "lamp", 0.5),
        ("blocks", "lamp", 0.5),
        ("channels", ("global", "global_raw", "lamp"), 0.15),
    ],
)
def test_what_is_around_the_offsets_is_filled_in(
    structure: str, allocation: Any, scale: float
) -> None:
    space = SearchSpace.model_validate({"structure": structure})
    assert (space.allocation, space.offset_scale) == (allocation, scale)
    given = SearchSpace.model_validate({"structure": structure, "offset_scale": 1})
    assert given.offset_scale == 1.0
