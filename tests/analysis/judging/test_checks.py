from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import analysis
from analysis.reporting.sections.controls import selection
from study.cli import main
from study.records import CONTROLS, TEST_FILE
from tests.analysis.study_folders import new_study, searched_study


def _statuses(results: analysis.Results) -> dict[str, str]:
    table = analysis.checklist_frame(results)
    words = ("architecture", "pairs", "speedup", "top-1 and top-5", "holds on new seeds",
             "textbook", "unpruned control", "controls:", "five points", "deviation", "confounded",
             "libraries", "raw", "baselines", "on test data", "failed")  # fmt: skip
    found = {}
    for word in words:
        rows = table[table["name"].str.contains(word)]
        assert len(rows) == 1, word
        found[word] = rows["status"].iloc[0]
    assert len(found) == len(table)
    return found


def test_a_thorough_study_passes_what_one_study_can(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    for seed in range(3):
        for saliency in ("magnitude", "random"):
            for sparsity in (0.5, 0.75, 0.875, 0.9375, 0.96875):
                study.trial(
                    f"{saliency}-{sparsity}-{seed}", rounds=1, sparsity=sparsity, seed=seed,
                    saliency=saliency, accuracy=0.9 - 0.1 * sparsity,
                )  # fmt: skip
    statuses = _statuses(analysis.load(tmp_path))
    warned = {word for word, status in statuses.items() if status != "PASS"}
    assert warned == {"pairs", "top-1 and top-5", "holds on new seeds", "textbook", "controls:"}


def test_what_is_missing_comes_with_a_reason_and_a_remedy(tmp_path: Path) -> None:
    results = analysis.load(searched_study(tmp_path, trials=6))
    statuses = _statuses(results)
    assert statuses["deviation"] == "FAIL"
    assert statuses["failed"] == "WARN"
    for check in analysis.checklist(results):
        assert check.reason
        assert check.status == "PASS" or check.remedy


def test_rounds_that_cut_nothing_are_told_of(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("a", rounds=3)
    results = analysis.load(tmp_path)

    def told() -> list[str]:
        return [c.reason for c in analysis.checklist(results) if "its own" in c.name]

    assert told() == []
    rounds = results.rounds
    third = rounds.loc[rounds["round"] == 2, "mask_hash"].iloc[0]
    rounds.loc[rounds["round"] == 3, "mask_hash"] = third
    (reason,) = told()
    assert reason.startswith("1 round found nothing to cut")
    assert reason.endswith("round 3 of trial a")


def test_mnist_is_no_pair_and_fashion_mnist_is(tmp_path: Path) -> None:
    def pairs(dataset: str) -> str:
        study = new_study(tmp_path / dataset, name=dataset)
        text = (tmp_path / dataset / "study.toml").read_text().replace("mnist5k", dataset)
        study.folder.write(text, "study.toml")
        results = analysis.load(study.path)
        return next(c.reason for c in analysis.checklist(results) if "pairs" in c.name)

    assert pairs("mnist5k").startswith("0 of 3")
    assert pairs("fashion_mnist").startswith("1 of 3")
    assert pairs("digits").startswith("1 of 3")


def test_reading_test_data_for_everything_is_warned_of(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("a", rounds=3)
    results = analysis.load(tmp_path)
    results.rounds["test_accuracy"] = results.rounds["val_accuracy"] - 0.01
    assert _statuses(results)["on test data"] == "WARN"
    assert analysis.mean_gap(results).mean == analysis.validation_gap(results)["gap"].mean()


def test_new_seeds_are_no_networks_that_validation_chose(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("0000", rounds=3)
    for seed in (1, 2, 3):
        study.replicate("0000", seed, [0.0, 0.01], test_drops=[0.0, 0.02])
    results = analysis.load(tmp_path)
    gaps = analysis.validation_gap(results)
    assert (gaps["replicate_of"] == "0000").sum() == len(gaps) == 9
    assert analysis.mean_gap(results).n == 0
    check = next(c for c in analysis.checklist(results) if "on test data" in c.name)
    assert "2 chosen networks" in check.reason
    told = selection(results).sentences
    assert told[0].endswith("after the search: 6 run again on new seeds, 3 dense.")
    assert not any("chosen ones" in each for each in told)


def test_networks_read_on_test_data_apart_are_counted_too(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("a", rounds=3)
    results = analysis.load(tmp_path)
    read = [
        {"trial_id": "a", "round": number, "test_accuracy": 0.9, "test_loss": 0.4}
        for number in (0, 1)
    ]
    study.folder.write("".join(json.dumps(row) + "\n" for row in read), TEST_FILE)
    reason = next(c.reason for c in analysis.checklist(results) if "test data" in c.name)
    assert reason == "test data were read for 1 chosen network only"


def test_recipes_that_differ_between_studies_are_named(tmp_path: Path) -> None:
    def libraries(**lines: str) -> analysis.Check:
        for name, line in lines.items():
            study = new_study(tmp_path / name, name=name)
            study.trial("a")
            text = (tmp_path / name / "study.toml").read_text()
            study.folder.write(text.replace("[task]\n", f"[task]\n{line}\n"), "study.toml")
        both = analysis.load([tmp_path / name for name in lines])
        return next(c for c in analysis.checklist(both) if "libraries" in c.name)

    assert libraries(one="lr = 0.1", two="lr = 0.1").status == "PASS"
    differing = libraries(one="lr = 0.1", two="lr = 0.2")
    assert (differing.status, differing.reason) == ("WARN", "studies differ in task.lr (one, two)")
    absent = libraries(one="", two="augmentation = ['flip']")
    assert absent.reason == "studies differ in task.augmentation (one, two)"
    # Where the data lie changes nothing.
    assert libraries(one="data_dir = '/a'", two="data_dir = '/b'").status == "PASS"


def test_other_tasks_may_be_trained_otherwise(tmp_path: Path) -> None:
    for name, model in (("one", "lenet300"), ("two", "lenet5")):
        study = new_study(tmp_path / name, name=name, model=model)
        text = (tmp_path / name / "study.toml").read_text()
        study.folder.write(text.replace("epochs = 12", f"epochs = {len(model)}"), "study.toml")
    both = analysis.load([tmp_path / "one", tmp_path / "two"])
    assert _statuses(both)["libraries"] == "PASS"


def test_operating_points_are_asked_of_each_study(tmp_path: Path) -> None:
    for name, sparsities in (("full", (0.5, 0.75, 0.875, 0.9375, 0.96875)), ("half", (0.5,))):
        study = new_study(tmp_path / name, name=name)
        for sparsity in sparsities:
            study.trial(f"{sparsity}", rounds=1, sparsity=sparsity)
    both = analysis.load([tmp_path / "full", tmp_path / "half"])
    check = next(c for c in analysis.checklist(both) if "trade-off" in c.name)
    assert (check.status, check.reason) == ("FAIL", "none near 4, 8, 16, 32 x in half")


def test_remedies_name_commands_and_options_that_exist(tmp_path: Path) -> None:
    new_study(tmp_path / "empty")
    searched_study(tmp_path / "searched", trials=6)
    remedies = {
        check.remedy
        for name in ("empty", "searched")
        for check in analysis.checklist(analysis.load(tmp_path / name))
    }
    advised = [match for each in remedies for match in re.findall(r"prune-study ([^;,:]+)", each)]
    assert len(advised) >= 4
    # To replicate a point is a command of its own, which comes with the controls.
    known = [words for words in advised if words.split()[0] in {*main.commands} - {"replicate"}]
    assert {words.split()[0] for words in advised} <= {*main.commands, "replicate"}
    for words in known:
        command = main.commands[words.split()[0]]
        options = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", words)) <= options, words


def test_an_empty_study_fails_without_an_error(tmp_path: Path) -> None:
    new_study(tmp_path)
    statuses = _statuses(analysis.load(tmp_path))
    assert statuses["five points"] == "FAIL"
    assert statuses["unpruned control"] == "FAIL"


def test_what_is_named_must_hold_on_data_that_did_not_choose_it(tmp_path: Path) -> None:
    def status(name: str, **more: Any) -> tuple[str, str]:
        study = new_study(tmp_path / name)
        study.trial("0000", sparsity=0.9, rounds=1)
        for seed in range(1, more.pop("seeds", 3) + 1):
            study.replicate("0000", seed, [more.get("drop", 0.001)], sparsity=0.9, **{
                key: value for key, value in more.items() if key != "drop"
            })  # fmt: skip
        check = next(
            c for c in analysis.checklist(analysis.load(study.path)) if "new seeds" in c.name
        )
        return check.status, check.reason

    assert status("none", seeds=0)[0] == "FAIL"
    assert status("well")[0] == "PASS"
    assert "those of the search" in status("chose", held_back=False)[1]
    assert status("bad", drop=0.2)[0] == "WARN"
    assert "contradicts" in status("test", test_drops=[0.05])[1]


def test_controls_are_those_of_the_literature(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("0000", sparsity=0.9)
    results = analysis.load(tmp_path)
    assert next(c for c in analysis.checklist(results) if "controls:" in c.name).status == "FAIL"
    for seed in (1, 2, 3):
        name = study.replicate("0000", seed, [0.0, 0.0, 0.0], sparsity=0.9)
        for role in CONTROLS:
            if role != "reinit_long" or seed != 3:
                study.control(name, role, 0.9, seed=seed)
    results = analysis.load(tmp_path)
    found = next(c for c in analysis.checklist(results) if "controls:" in c.name)
    assert (found.status, found.reason) == ("WARN", "fewer than 3 seeds of reinit_long")
