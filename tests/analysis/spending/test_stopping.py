import math
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from scipy.stats import binomtest

from analysis.spending.stopping import stopping_audit


def study(reasons: list[str | None], audits: list[bool | None], reached: list[bool | None]) -> Any:
    trials = pd.DataFrame(
        {
            "stop_reason": pd.Series(reasons, dtype="str"),
            "audited": pd.Series(audits, dtype="boolean"),
            "reached_front": pd.Series(reached, dtype="boolean"),
        }
    )
    return SimpleNamespace(trials=trials)


@pytest.mark.parametrize(("wrong", "n"), [(0, 1), (0, 12), (3, 12), (12, 12)])
def test_the_share_of_wrong_stops_has_the_exact_binomial_interval(wrong: int, n: int) -> None:
    found = stopping_audit(study([None] * n, [True] * n, [i < wrong for i in range(n)]))
    exact = binomtest(wrong, n).proportion_ci(method="exact")
    assert found["wrong_share"] == wrong / n
    assert found["low"] == pytest.approx(exact.low)
    assert found["high"] == pytest.approx(exact.high)


def test_without_audited_trials_nothing_is_claimed() -> None:
    reasons = ["future_dominated", "diverged", None]
    found = stopping_audit(study(reasons, [None, None, None], [None, None, None]))
    assert found["stopped"] == 1
    assert found["audited"] == 0
    assert math.isnan(found["wrong_share"])
    assert math.isnan(found["high"])


def test_an_audited_trial_that_still_runs_is_not_counted() -> None:
    assert stopping_audit(study([None], [True], [None]))["audited"] == 0
