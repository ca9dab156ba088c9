import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from scipy.stats import binomtest

import analysis
from analysis.reporting.sections.ends import ends
from analysis.spending.stopping import stopping_audit
from tests.analysis.study_folders import new_study


def study(reasons: list[str | None], audits: list[bool | None], reached: list[bool | None]) -> Any:
    trials = pd.DataFrame(
        {
            "stop_reason": pd.Series(reasons, dtype="str"),
            "audited": pd.Series(audits, dtype="boolean"),
            "reached_front": pd.Series(reached, dtype="boolean"),
        }
    )
    return SimpleNamespace(trials=trials)


@pytest.mark.parametrize(("wrong", "n"), [(0, 5), (0, 12), (3, 12), (12, 12)])
def test_the_chance_of_a_wrong_stop_has_the_exact_binomial_bound(wrong: int, n: int) -> None:
    found = stopping_audit(study([None] * n, [True] * n, [i < wrong for i in range(n)]))
    exact = binomtest(wrong, n, alternative="less").proportion_ci(0.95, method="exact")
    assert found["wrong_share"] == wrong / n
    assert found["wrong_bound"] == pytest.approx(exact.high)


def test_of_fewer_than_five_audits_nothing_is_concluded() -> None:
    found = stopping_audit(study([None] * 4, [True] * 4, [True, False, False, False]))
    assert (found["audited"], found["reached_front"]) == (4, 1)
    assert math.isnan(found["wrong_share"])
    assert math.isnan(found["wrong_bound"])


def test_without_audited_trials_nothing_is_claimed() -> None:
    reasons = ["future_dominated", "diverged", None]
    found = stopping_audit(study(reasons, [None, None, None], [None, None, None]))
    assert found["stopped"] == 1
    assert found["audited"] == 0
    assert math.isnan(found["wrong_share"])
    assert math.isnan(found["wrong_bound"])


def test_an_audited_trial_that_still_runs_is_not_counted() -> None:
    assert stopping_audit(study([None], [True], [None]))["audited"] == 0


@pytest.mark.parametrize(
    ("audits", "said"),
    [
        (0, "is not known: 0 audits"),
        (1, "is not known: 1 audit "),
        (4, "is not known: 4 audits"),
        (5, "estimated at 20.0 %, and is at most 65.7 % (95 % upper bound, Clopper-Pearson)"),
    ],
)
def test_the_report_says_how_likely_a_stop_is_wrong_from_five_audits_on(
    tmp_path: Path, audits: int, said: str
) -> None:
    study = new_study(tmp_path)
    study.trial("0000")
    study.trial("0001", rounds=5, finished=2, status="stopped", reason="future_dominated")
    for number in range(audits):
        name = f"000{2 + number}"
        study.trial(name)
        path = tmp_path / "trials" / name / "outcome.json"
        outcome = json.loads(path.read_text())
        outcome["stop_detail"] = {"audited": True, "reached_front": number == 0}
        path.write_text(json.dumps(outcome))
    (sentence,) = [
        each for each in ends(analysis.load(tmp_path)).sentences if "Early stopping" in each
    ]
    assert sentence.startswith("Early stopping ended 1 trial. ")
    assert said in sentence
