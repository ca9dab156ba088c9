"""Networks beside their controls: what is paired, and what is read."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import analysis
from analysis.comparing.controls import control_table, masks_alone
from analysis.tables import select_table
from study.records import CONTROLS, Origin
from tests.analysis.study_folders import StudyFolder, new_study

OWN = (0.91, 0.93, 0.95)
OTHERS = {
    "dense": (0.97, 0.98, 0.99),
    "shuffled_reinit": (0.80, 0.84, 0.81),
    "reinit_long": (0.92, 0.91, 0.96),
    "reinit": (0.90, 0.90, 0.90),
    "shuffled_initial": (0.82, 0.83, 0.88),
}
EPOCHS = {"reinit_long": 24.0, "dense": 24.0}


def a_study(folder: Path, name: str = "synthetic") -> StudyFolder:
    """Round 3 of a trial on three new seeds, with all controls."""
    study = new_study(folder, name)
    study.trial("0000", rounds=5, sparsity=0.9)
    for place, seed in enumerate((4, 5, 6)):
        replicate = f"0000-round-3-seed-{seed}"
        study.trial(replicate, rounds=5, finished=3, sparsity=0.9, seed=seed, accuracy=OWN[place])
        origin = Origin(of="0000", round=3, role="replicate", replicate=replicate)
        study.folder.write(origin.model_dump_json(), "trials", replicate, "origin.json")
        for role, values in OTHERS.items():
            number = 3 if role == "dense" else 1
            study.control(
                replicate, role, values[place], own_round=number, epochs=EPOCHS.get(role, 15.0),
                seed=seed,
            )  # fmt: skip
    return study


def test_networks_and_controls_are_paired_by_seed(tmp_path: Path) -> None:
    study = a_study(tmp_path / "s")
    table = control_table(analysis.load(study.path))
    assert table["control"].tolist() == list(CONTROLS)
    assert set(table["network"]) == {"trial 0000, round 3"}
    for row in table.to_dict("records"):
        other = np.array(OTHERS[str(row["control"])])
        test = stats.ttest_rel(OWN, other)
        low, high = test.confidence_interval(0.95)
        assert row["accuracy"] == pytest.approx(np.mean(OWN))
        assert row["control_accuracy"] == pytest.approx(other.mean())
        assert row["difference"] == pytest.approx(np.mean(OWN) - other.mean())
        assert (row["low"], row["high"], row["n"]) == (pytest.approx(low), pytest.approx(high), 3)
        assert row["train_epochs"] == 24.0  # 12 dense ones, and 4 in each round
        assert row["control_train_epochs"] == EPOCHS.get(str(row["control"]), 15.0)


def test_masks_are_compared_on_the_same_new_weights(tmp_path: Path) -> None:
    study = a_study(tmp_path / "s")
    (row,) = masks_alone(analysis.load(study.path)).to_dict("records")
    low, high = stats.ttest_rel(OTHERS["reinit"], OTHERS["shuffled_reinit"]).confidence_interval()
    assert (row["network"], row["n"]) == ("trial 0000, round 3", 3)
    assert row["reinit"] == pytest.approx(0.9)
    assert (row["low"], row["high"]) == (pytest.approx(low), pytest.approx(high))


def test_controls_of_several_studies_keep_to_their_own_networks(tmp_path: Path) -> None:
    first, second = a_study(tmp_path / "a", "a"), a_study(tmp_path / "b", "b")
    table = control_table(analysis.load([first.path, second.path]))
    assert table["n"].tolist() == [3] * 10
    assert set(table["network"]) == {"trial a/0000, round 3", "trial b/0000, round 3"}


def test_a_study_without_controls_has_empty_tables(tmp_path: Path) -> None:
    study = new_study(tmp_path / "s")
    study.trial("0000")
    results = analysis.load(study.path)
    assert list(select_table(results, "controls").columns) == [
        "network", "control", "accuracy", "control_accuracy", "difference", "low", "high", "n",
        "examples", "train_epochs", "control_train_epochs",
    ]  # fmt: skip
    assert control_table(results).empty
    assert masks_alone(results).empty


def test_a_control_that_is_not_whole_is_not_read(tmp_path: Path) -> None:
    study = a_study(tmp_path / "s")
    place = ("controls", "0000-round-3-seed-4-dense")
    study.folder.child(*place).remove("outcome.json")  # still being made
    place = ("controls", "0000-round-3-seed-5-dense")
    outcome = json.loads(study.folder.read(*place, "outcome.json"))
    study.folder.write(json.dumps({**outcome, "rounds_planned": 4}), *place, "outcome.json")
    results = analysis.load(study.path)
    with pytest.warns(analysis.ProblemWarning, match="seed-5-dense ended before round 4"):
        controls = results.controls
    assert controls["role"].value_counts()["dense"] == 1
    assert len(controls) == 13


def test_controls_of_older_versions_are_told_apart(tmp_path: Path) -> None:
    study = new_study(tmp_path / "s")
    study.trial("0000", sparsity=0.9)
    for role in ("shuffled", "reinit"):
        assert Origin(of="0000", round=3, role=role, replicate="0000").left_out is None
        study.control("0000", role, 0.8, own_round=3, epochs=42.0)
    place = ("controls", "0000-reinit")
    last = json.loads(study.folder.read(*place, "rounds.jsonl"))
    before = {**last, "round": 2, "train_epochs": 27.0, "train_samples": 0}
    lines = "".join(f"{json.dumps(line)}\n" for line in (before, last))
    study.folder.write(lines, *place, "rounds.jsonl")
    results = analysis.load(study.path)
    with pytest.warns(analysis.ProblemWarning, match="shuffled is of an older version"):
        table = control_table(results)
    (row,) = table.to_dict("records")
    assert (row["control"], row["control_train_epochs"]) == ("reinit", 15.0)
