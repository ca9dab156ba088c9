"""A search by stages on a real Ray, and one that goes on after its end."""

import json
from pathlib import Path
from typing import Any

import pytest

import analysis
import study
from analysis.judging.status import status_text, study_status
from analysis.reporting.sections.added import added
from study.errors import UsageError
from study.records import TrialOutcome
from tests.conftest import SMALL

pytestmark = pytest.mark.slow


def tables(name: str, trials: int) -> dict[str, Any]:
    return {
        **SMALL,
        "task": {"dataset": "digits", "model": "small_cnn", "epochs": 4, "batch_size": 64},
        "study": {"name": name, "num_samples": trials},
        "space": {
            "density": [0.1, 1.0],
            "rounds": [1, 6],
            "retrain": ["lr_rewind", "weight_rewind"],
            "retrain_epochs": [1, 2],
            "rewind_epoch": [0, 1],
        },
        "objectives": {"accuracy": "max", "macs": "min"},
        "search": {"sampler": "stages"},
    }


def plans(folder: Path) -> list[Any]:
    return [json.loads(p.read_text()) for p in sorted(folder.glob("trials/*/plan.json"))]


def test_its_trials_are_those_of_the_stages_and_a_search_that_goes_on_decides_the_same(
    ray_cluster: None, tmp_path: Path
) -> None:
    whole = Path(study.run(tables("whole", 9), storage_path=tmp_path))
    outcomes = [
        TrialOutcome.model_validate_json(each.read_text())
        for each in sorted(whole.glob("trials/*/outcome.json"))
    ]
    stages = [each.stage for each in outcomes]
    assert stages[:6] == ["textbook", "scouts", "scouts", *["families"] * 3]
    assert set(stages[6:]) <= {"portfolio", "challengers", "offsets", "finals"}

    part = Path(study.run(tables("part", 7), storage_path=tmp_path))
    said = status_text(study_status(analysis.load(part)))
    assert (
        "The search ended with its 7 trials; a stage may have more to try: prune-study resume"
        in said
    )
    study.resume(part, num_samples=9)
    assert plans(part) == plans(whole)

    results = analysis.load(whole)
    found = analysis.search_stages(results).set_index("stage")
    assert found.loc["scouts", "trials"] == 2
    spent = analysis.cost_summary(results)["spent_train_samples"]
    assert found["train_samples"].sum() == pytest.approx(spent)
    told, asked = added(results).tables
    assert [row[0] for row in told.rows] == list(dict.fromkeys(stages))
    assert [row[1] for row in asked.rows] == [
        stage for stage in stages if stage not in ("textbook", "offsets")
    ]
    assert "retrain_epochs" in asked.rows[0][2]  # of a scout
    assert asked.rows[0][3]

    trials = analysis.stage_trials(results).set_index("trial_id")
    assert trials["train_samples"].sum() == pytest.approx(spent)
    assert trials.loc["0000", "gain"] == 0.0
    proxies = trials[trials["stage"] == "families"]
    losses = results.rounds[results.rounds["round"] > 0].groupby("trial_id")["val_loss"].mean()
    assert proxies["loss"].to_dict() == losses[proxies.index].to_dict()
    assert any("cost_exponent" in each for each in proxies["changes"])


def test_a_search_that_has_nothing_more_to_try_says_so(ray_cluster: None, tmp_path: Path) -> None:
    written = tables("settled", 30)
    written["space"] |= {"form": "global", "allocation": "lamp"}
    written["objectives"] = {"accuracy": "max", "density": "min"}
    results = analysis.load(study.run(written, storage_path=tmp_path))
    count = len(results.trials)
    assert count <= 4
    said = f"The search ended by itself after {count} of 30 trials: no stage had more to try."
    assert said in status_text(study_status(results))
    assert any(said in str(each) for each in added(results).sentences)


@pytest.mark.parametrize(
    ("table", "changed", "said"),
    [
        ("space", {"form": "per_layer", "density": None}, "the space is form per_layer"),
        ("space", {"structure": ["weights", "channels"], "form": "global"}, "one structure"),
        ("space", {"retrain": "finetune"}, "whose retrain is lr_rewind; space.retrain is finetune"),
        ("space", {"schedule": "cubic"}, "whose schedule is geometric"),
        ("space", {"retrain_lr": [0.001, 0.01]}, "stages have no use for space.retrain_lr"),
        ("space", {"optimizer_state": ["keep"]}, "stages have no use for space.optimizer_state"),
        ("search", {"textbook": False}, "sampler stages needs textbook = true"),
        ("search", {"early_stopping": "mo_asha"}, "there is outraced, or none"),
        ("search", {"sampler": "tpe", "early_stopping": "outraced"}, "is for sampler stages"),
    ],
)
def test_what_does_not_go_with_stages_is_refused(
    table: str, changed: dict[str, Any], said: str, tmp_path: Path
) -> None:
    written = tables("refused", 5)
    written[table] = {k: v for k, v in {**written[table], **changed}.items() if v is not None}
    with pytest.raises(UsageError, match=said):
        study.run(written, storage_path=tmp_path)
    assert list(tmp_path.iterdir()) == []
