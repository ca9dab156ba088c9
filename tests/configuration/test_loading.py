import tomllib
from pathlib import Path
from typing import Any

import pytest

from search_spaces import Range
from study.configuration.help import config_help
from study.configuration.loading import load_config, presets, to_toml
from study.errors import UsageError

MINIMAL: dict[str, Any] = {"task": {"dataset": "digits", "model": "mlp"}}


def with_(**tables: Any) -> dict[str, Any]:
    return {**MINIMAL, **tables}


@pytest.mark.parametrize("name", presets())
def test_a_resolved_file_gives_the_same_study_again(name: str) -> None:
    config = load_config(name)
    assert load_config(tomllib.loads(to_toml(config))) == config


def test_a_file_on_disk_is_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[task]\ndataset = "digits"\nmodel = "mlp"\n[study]\nname = "mine"\n')
    assert load_config(file).study.name == "mine"


def test_keys_are_changed_one_by_one_with_values_in_toml() -> None:
    changes = ["task.epochs=5", "space.rounds=[1, 2]", "study.name=hello", "task.lr = 0.5"]
    config = load_config("digits-mlp", changes)
    assert (config.task.epochs, config.task.lr) == (5, 0.5)
    assert config.space.rounds == Range(1, 2)
    assert config.study.name == "hello"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (with_(studdy={}), r"studdy: unknown key\. Did you mean 'study'\?"),
        (with_(study={"num_sample": 3}), r"study\.num_sample: .*Did you mean 'num_samples'"),
        ({"task": {"dataset": "digits", "modle": "mlp"}}, "Did you mean 'model'"),
        (with_(study={"num_samples": 0}), r"study\.num_samples: .*greater than or equal to 1"),
        (
            with_(study={"train_samples_budget": 0}),
            r"study\.train_samples_budget: .*greater than or equal to 1",
        ),
        (with_(study={"num_samples": "many"}), r"study\.num_samples: 'many' is text; a number"),
        (with_(study={"name": "a/b"}), r"study\.name: name 'a/b': only letters"),
        (with_(study={"name": ".."}), r"study\.name"),
        (with_(study={"name": ""}), r"study\.name"),
        (with_(space={"per_layer": {"bounds": [0, 1.0]}}), r"space\.per_layer.*high < 1"),
        (with_(space={"rewind_epoch": 25}), "past the end of the dense run; task.epochs is 20"),
        (with_(objectives={"accuracy": "maximum"}), "'max' or 'min'"),
        (with_(objectives=dict.fromkeys("abcde", "max")), "5 objectives; from 1 to 4"),
        (with_(search={"sampler": "tpa"}), "'tpe'"),
        (with_(resources={"cpus_per_trial": 0}), r"resources\.cpus_per_trial"),
        (
            with_(resources={"cpus_per_trial": 5e-5}),
            r"cpus_per_trial: 5e-05 is less than the 0\.0001",
        ),
        (with_(resources={"gpus_per_trial": 1.333}), r"gpus_per_trial: 1\.333 .* a whole number"),
        ({"task": {"dataset": "digits"}}, "set model, or object"),
        ({"task": {"object": "a:b", "model": "mlp"}}, "take dataset and model out"),
        ("digits-mpl", "Did you mean 'digits-mlp'"),
        ("nowhere.toml", "there is no file"),
    ],
)
def test_what_is_wrong_is_said_by_key_with_the_nearest_spelling(source: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_config(source)


@pytest.mark.parametrize("change", ["epochs=3", "task.epochs", "=3", "task.epochs.x=1"])
def test_a_change_that_cannot_be_made_is_refused(change: str) -> None:
    with pytest.raises(UsageError, match=r"--set|epochs"):
        load_config("digits-mlp", [change])


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "broken.toml"
    file.write_text("[task\n")
    with pytest.raises(UsageError, match=r"broken\.toml"):
        load_config(file)


def test_every_key_has_an_explanation() -> None:
    text = config_help()
    assert "None" not in [line.strip() for line in text.splitlines()]
    for key in ("num_samples", "milestones", "rewind_epoch", "bounds", "max_failures", "sampler"):
        assert f"  {key}: " in text


def test_objectives_are_never_on_test_data() -> None:
    assert not any("test" in column for column in load_config("digits-mlp").objective_columns)


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        (
            {"search": {"sampler": "tpee"}},
            "search.sampler: unknown name 'tpee'. Did you mean",
        ),
        (
            {"task": {**MINIMAL["task"], "lr": float("inf")}},
            "task.lr: inf is not allowed",
        ),
        ({"search": {"constraints": ["accuracy > 1"]}}, "search.constraints: constraint"),
    ],
)
def test_a_wrong_value_is_named_once_with_the_nearest_right_one(
    tables: dict[str, object], expected: str
) -> None:
    with pytest.raises(UsageError) as caught:
        load_config({**MINIMAL, **tables})
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


def test_a_misspelt_table_is_told_of_alone() -> None:
    with pytest.raises(UsageError) as caught:
        load_config({"study": {"name": "x"}, "tsk": {"dataset": "digits"}})
    assert str(caught.value).startswith("tsk: unknown key. Did you mean 'task'?")
    assert "\n" not in str(caught.value)


def test_a_missing_table_is_named_without_all_the_others() -> None:
    with pytest.raises(UsageError, match=r"^task: is missing\.$"):
        load_config({"study": {"name": "x"}})


@pytest.mark.parametrize(
    ("search", "trials", "share"),
    [
        ({}, 99, 0.3),
        ({}, 100, 0.1),
        ({"stopping_audit": 0.2}, 24, 0.2),
        ({"stopping_audit": 0.0}, 500, 0.0),
    ],
)
def test_short_studies_audit_more_of_their_stops(
    search: dict[str, Any], trials: int, share: float
) -> None:
    assert load_config(with_(search=search, study={"num_samples": trials})).stopping_audit == share


def test_a_share_of_the_time_is_left_to_confirmation() -> None:
    tables = {"task": {"dataset": "digits", "model": "mlp"}, "study": {"time_budget_s": 40.0}}
    assert load_config(tables).search_time_s == 30.0
    assert load_config({**tables, "confirm": {"share": 0}}).search_time_s == 40.0
    assert load_config({"task": tables["task"]}).search_time_s is None


def test_examples_are_held_back_where_many_networks_may_be_tried() -> None:
    task = {"dataset": "digits", "model": "mlp"}

    def held_back(trials: int, **confirm: float) -> float | None:
        tables = {"task": task, "study": {"num_samples": trials}, "space": {"rounds": [1, 5]}}
        return load_config({**tables, "confirm": confirm}).with_confirmation().confirm.held_back

    assert (held_back(20), held_back(21)) == (0.0, 0.5)
    assert held_back(21, share=0) == 0.0
    assert held_back(2, held_back=0.3) == 0.3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ('confirm.tolerances=["x"]', "confirm.tolerances: 'x' in"),
        ("confirm.tolerances=[nan]", "confirm.tolerances: nan is not allowed"),
        ("confirm.tolerances=[]", r"confirm.tolerances: \[\]: a list of"),
        ("confirm.tolerances=[0.1, 0.1]", "confirm.tolerances: .* one is there twice"),
        ("confirm.tolerances=[0.1, 1.5]", "confirm.tolerances: 1.5 in"),
        ('search.textbook="yes"', "search.textbook: 'yes' is no truth value"),
    ],
)
def test_a_wrong_value_gets_one_message(change: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        load_config({"task": {"dataset": "digits", "model": "mlp"}}, [change])
    assert "\n" not in str(raised.value)
