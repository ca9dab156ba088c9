"""What is found out before a study begins."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from study.commands.dry_run import describe
from study.configuration.loading import load_config, to_toml
from study.errors import UsageError
from study.tuning.preparing import prepare
from tests.conftest import SMALL


@pytest.mark.parametrize(
    ("course", "message"),
    [("cosin", "Did you mean 'cosine'"), ("nowhere:course", "no module named 'nowhere'")],
)
def test_a_course_of_retraining_that_there_is_not_is_refused(
    course: str, message: str, tmp_path: Path
) -> None:
    space = {**SMALL["space"], "retrain_lr_schedule": ["constant", course]}
    config = load_config({**SMALL, "space": space, "study": {"storage_path": str(tmp_path)}})
    with pytest.raises(UsageError, match=message):
        prepare(config)


OF_SMALL = {key: table for key, table in SMALL.items() if key != "search"}


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"cut": [0.2, 0.5], "retrain_epochs": [1, 2]}, "21 rounds of up to 2"),
        ({"cut": [0.3, 0.36, 0.5], "floor": 0.05, "form": "global"}, "9 rounds of up to 4"),
        ({"rounds": [1, 25], "schedule": ["geometric", "one_shot"]}, "25 rounds of up to 4"),
        ({"per_layer": {"bounds": "sensitivity"}}, "5 rounds of up to 4"),
    ],
)
def test_spaces_of_many_rounds_can_be_prepared_told_and_written_out(
    space: dict[str, Any], said: str, tmp_path: Path
) -> None:
    config = load_config({**OF_SMALL, "space": space, "study": {"storage_path": str(tmp_path)}})
    prepared = prepare(config)
    assert said in describe(prepared)
    assert "the first trial is the textbook run: 4 epochs dense, up to " in describe(prepared)
    assert load_config(tomllib.loads(to_toml(config))) == config
    assert prepared.textbook is not None
    assert prepared.textbook.allocation == "lamp"


def test_the_textbook_run_is_rehearsed_and_can_be_switched_off(tmp_path: Path) -> None:
    tables = {**OF_SMALL, "study": {"storage_path": str(tmp_path)}}
    without = prepare(load_config(tables, ["search.textbook=false"]))
    prepared = prepare(load_config(tables))
    assert without.textbook is None
    assert prepared.plans == (*without.plans, prepared.textbook)
    assert "textbook run" not in describe(without)


def test_scores_that_a_cost_cannot_divide_are_found_before_the_study_begins(
    tmp_path: Path,
) -> None:
    space = {
        "form": "global",
        "allocation": ["erk", "lamp"],
        "saliency": ["magnitude", "movement"],
        "cost_exponent": [0.0, 1.0],
    }
    tables = {**OF_SMALL, "space": space, "study": {"storage_path": str(tmp_path)}}
    with pytest.raises(UsageError, match="never negative"):
        prepare(load_config(tables))
    prepared = prepare(load_config(tables, ["space.saliency='magnitude'"]))
    assert prepared.plans[0].cost_exponent == 1.0
    assert prepared.plans[0].allocation == "lamp"
