from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from search_spaces import Range, SearchSpace


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"form": "perlayer"}, "Did you mean 'per_layer'"),
        ({"form": "per_layer", "density": 0.1}, "density has no meaning with form per_layer"),
        ({"form": "per_layer", "allocation": "lamp"}, "allocation has no meaning with form"),
        ({"form": "per_layer", "offset_scale": 0.5}, "offset_scale has no meaning with form"),
        ({"form": "global", "offset_scale": 0.5}, "offset_scale has no meaning with form global"),
        ({"allocation": "erk", "offset_scale": 0.5}, "offset_scale has no meaning with form glob"),
        ({"offset_scale": 0.0}, "greater than 0"),
        ({"offset_scale": 5.1}, "less than or equal to 5"),
        ({"form": "offsets", "allocation": ["lamp", "erk"]},
         "allocation erk has no meaning with form offsets and structure weights; there is glob"),
        ({"form": "offsets", "allocation": "threshold", "threshold": 0.1},
         "threshold has no meaning with form offsets"),
        ({"form": "offsets", "per_layer": {"bounds": [0, 0.9]}},
         "per_layer.bounds have no meaning with form offsets.*per_layer and density_projected"),
        ({"form": "offsets", "per_layer": {"bounds": "sensitivity"}}, "bounds have no meaning"),
        ({"form": "offsets", "per_layer": {"scale": "log_density"}},
         "per_layer.scale has no meaning with form offsets"),
        ({"form": "global", "per_layer": {"group_by": "kind"}}, "per_layer has no meaning"),
        ({"form": "density_projected", "per_layer": {"scale": "log_density"}}, "scale has no"),
        ({"form": "global", "allocation": "threshold"}, "need each other"),
        ({"form": "global", "threshold": 0.1}, "need each other"),
        (
            {"form": "global", "allocation": ["threshold"], "threshold": 0.1, "density": 0.1},
            "density has no meaning with allocation threshold",
        ),
        ({"form": "per_layer", "cost_exponent": 0.5}, "cost_exponent has no meaning with form"),
        ({"form": "density_projected", "budget": "macs"}, "budget has no meaning with form"),
        ({"form": "global", "cost_exponent": 2.5}, "at most 2"),
        ({"form": "global", "budget": "parameters"}, "Allowed: weights, macs"),
        ({"cost": "parameters"}, "cost has no meaning without cost_exponent"),
        ({"form": "global", "cost": "parameters"}, "cost has no meaning without cost_exponent"),
        (
            {"form": "global", "allocation": ["erk", "uniform"], "cost_exponent": [0.0, 1.0]},
            "cost_exponent needs allocation global or global_raw or lamp",
        ),
        (
            {"form": "global", "allocation": "threshold", "threshold": 0.1, "budget": "macs"},
            "budget macs has no meaning with allocation threshold",
        ),
        ({"schedule": "one_shot", "rounds": 3}, "one_shot has 1 round"),
        ({"rewind_epoch": {"low": 1, "high": 4, "log": True}}, "rewind_epoch needs a step"),
        ({"retrain": "reinit", "optimizer_state": "keep"}, "no meaning with retrain reinit"),
        ({"rounds": 0}, "must be at least 1"),
        ({"cut": 0.2, "rounds": 3}, "cut and rounds: take one of them out"),
        ({"floor": 0.01}, "floor has no meaning without cut"),
        ({"cut": 0.2, "form": "per_layer"}, "forms with cut are offsets, density_proj"),
        ({"cut": 0.2, "schedule": "cubic"}, "'cubic' has no meaning with cut.*geometric"),
        ({"cut": 0.2, "form": "global", "density": 0.1}, "density has no meaning with cut"),
        ({"cut": 0.2, "density": 0.1}, "density has no meaning with cut"),
        (
            {"cut": 0.2, "form": "global", "allocation": "threshold", "threshold": 1.0},
            "threshold has no meaning with cut",
        ),
        ({"cut": 0.2, "per_layer": {"bounds": "sensitivity"}}, "'sensitivity' has no meaning"),
        ({"cut": [0.0, 0.5]}, "above 0"),
        ({"form": "global", "density": 1e-17}, "must be at least 1e-09"),
        ({"form": "global", "density": [1e-300, 1.0]}, "must be at least 1e-09"),
        ({"cut": 0.5, "floor": 1e-17}, "greater than or equal to 0.000000001"),
        ({"cut": 1.0}, "below 1"),
        ({"cut": 0.2, "floor": 1.0}, "less than 1"),
    ],
)  # fmt: skip
def test_fields_that_do_not_agree_are_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SearchSpace.model_validate(table)


def test_what_a_form_needs_is_filled_in() -> None:
    whole = SearchSpace(form="global")
    assert whole.density == Range(0.02, 1.0, log=True)
    assert whole.allocation == ("global", "uniform", "uniform_plus", "erk", "lamp")
    assert SearchSpace(form="per_layer").density is None
    only = SearchSpace.model_validate(
        {"form": "global", "allocation": ["threshold"], "threshold": 0.1}
    )
    assert only.density is None


def test_every_field_says_in_one_sentence_what_it_is() -> None:
    for field in SearchSpace.model_fields.values():
        assert field.description
        assert ". " not in field.description


def test_a_space_by_cuts_is_filled_in_and_reads_itself_back() -> None:
    space = SearchSpace.model_validate({"cut": [0.2, 0.5], "form": "density_projected"})
    assert (space.form, space.floor, space.rounds) == ("density_projected", 0.01, None)
    assert (space.density, space.schedule) == (None, "geometric")
    assert space.per_layer.bounds == (0.0, 0.999)
    moved = SearchSpace.model_validate({"cut": [0.2, 0.5]})
    assert (moved.form, moved.floor, moved.rounds, moved.density) == ("offsets", 0.01, None, None)
    again = SearchSpace.model_validate(space.model_dump(mode="json", exclude_none=True))
    assert again == space
    whole = SearchSpace.model_validate({"cut": 0.2, "form": "global"})
    assert whole.density is None
    assert whole.allocation == ("global", "uniform", "uniform_plus", "erk", "lamp")
    assert SearchSpace.model_validate({"rounds": None}).rounds == Range(1, 5)
