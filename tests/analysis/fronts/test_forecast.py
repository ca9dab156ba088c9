from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import analysis
from analysis.fronts.forecast import Forecast, forecast_gain, gain_of_more
from analysis.reporting.sections.trade_off import _when
from study.errors import UsageError
from study.volume import dominated
from tests.analysis.study_folders import new_study, searched_study

STUDIES = 60


def _past_study(
    rng: np.random.Generator, trials: int, learns: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Networks of a search over three settings, as costs, and the trials that they are of."""
    right = rng.uniform(0, 1, 3)
    found, least = right, np.inf
    costs, numbers = [], []
    for trial in range(trials):
        settings = rng.uniform(0, 1, 3)
        if learns and trial > trials // 6 and rng.random() < 0.8:
            settings = np.clip(found + rng.normal(0, 0.15, 3), 0, 1)
        wrong = float(((settings - right) ** 2 * [1, 0.5, 0.1]).sum())
        if wrong < least:
            found, least = settings, wrong
        rounds, halvings = int(rng.integers(1, 9)), float(rng.uniform(1, 7.5))
        for round_ in range(1, rounds + 1):
            own = halvings * round_ / rounds / 5
            drop = 0.02 * own**2 * (1 + 3 * wrong) + 0.03 * wrong * own + rng.normal(0, 0.003)
            costs.append((max(0.03 + drop, 0) / 0.13, max(1 - 5 * own / np.log2(100), 0)))
            numbers.append(trial)
    return np.array(costs), np.array(numbers)


@pytest.mark.parametrize("learns", [False, True])
@pytest.mark.parametrize("trials", [12, 36])
def test_the_upper_end_holds_what_came_after_in_past_studies(trials: int, learns: bool) -> None:
    rng = np.random.default_rng(trials)
    held, gained = 0, []
    for _ in range(STUDIES):
        costs, numbers = _past_study(rng, trials, learns)
        cut = 2 * trials // 3
        forecast = gain_of_more(costs[numbers < cut], numbers[numbers < cut], cut)
        assert forecast is not None
        assert (forecast.trials, forecast.more) == (cut, cut // 2)
        gained.append(dominated(costs) / dominated(costs[numbers < cut]) - 1)
        held += gained[-1] <= forecast.high
    assert np.mean(gained) > 0.01  # there was something to foretell
    assert held / STUDIES >= 0.9


def test_it_is_the_mean_over_all_halves() -> None:
    """Eight trials have 70 halves; each is tried."""
    rng = np.random.default_rng(3)
    costs = rng.uniform(0, 1, (16, 2))
    trials = np.repeat(np.arange(8), 2)
    whole = dominated(costs)
    gains = [
        1 - dominated(costs[np.isin(trials, half)]) / whole for half in combinations(range(8), 4)
    ]
    forecast = gain_of_more(costs, trials, 8)
    assert forecast is not None
    observed = 1 - dominated(costs[trials < 4]) / whole
    slack = 4 * np.std(gains) / np.sqrt(200)
    assert forecast.mean == pytest.approx(max(np.mean(gains), observed), abs=slack)
    assert forecast.high >= forecast.mean


def test_a_search_that_still_learns_is_told_by_its_own_second_half() -> None:
    steps = np.linspace(0.9, 0.1, 16)
    costs = np.column_stack([steps, np.full(16, 0.5)])
    forecast = gain_of_more(costs, np.arange(16), 16)
    assert forecast is not None
    observed = 1 - (1 - steps[7]) / (1 - steps[15])
    assert forecast.high == forecast.mean == pytest.approx(observed)


def test_dense_networks_are_in_every_half_and_few_trials_tell_nothing() -> None:
    costs = np.vstack([[0.2, 0.3], np.full((8, 2), 0.9)])
    forecast = gain_of_more(costs, np.append(-1, np.arange(8)), 8)
    assert forecast is not None
    assert forecast.high == pytest.approx(0, abs=1e-12)
    assert gain_of_more(costs[:8], np.append(-1, np.arange(7)), 7) is None
    assert gain_of_more(np.full((8, 2), 1.5), np.arange(8), 8) is None


def test_a_study_is_foretold_by_whole_trials(tmp_path: Path) -> None:
    study = new_study(tmp_path / "same")
    for number in range(10):
        study.trial(f"{number}", rounds=4, sparsity=0.9, accuracy=0.95)
    forecast = forecast_gain(analysis.load(study.path))
    assert forecast == Forecast(10, 5, pytest.approx(0, abs=1e-12), pytest.approx(0, abs=1e-12))
    study = new_study(tmp_path / "one good")
    for number in range(10):
        study.trial(f"{number}", rounds=4, sparsity=0.9, accuracy=0.95 if number == 2 else 0.9)
    forecast = forecast_gain(analysis.load(study.path))
    assert forecast is not None
    # The half that misses the good trial lacks what it alone dominates.
    assert forecast.high > 0.2
    two = [searched_study(tmp_path / name, trials=4, name=name) for name in "ab"]
    with pytest.raises(UsageError, match="one study"):
        forecast_gain(analysis.load(two))


def test_the_report_says_hardly_only_if_the_upper_end_is_below_a_hundredth(tmp_path: Path) -> None:
    history = analysis.hypervolume_history(analysis.load(searched_study(tmp_path, trials=10)))
    said = "more trials like these would hardly add"
    sure = _when(history, Forecast(30, 15, 0.001, 0.009))
    assert said in sure
    assert "Half as many trials again (15) would add less than 1 % with 90 % confidence" in sure
    assert "95 % was reached after" in sure
    open_ = _when(history, Forecast(30, 15, 0.001, 0.031))
    assert said not in open_
    assert "may add up to 3.1 % to it (with 90 % confidence; 0.1 % is the most" in open_
    assert "cannot be told from fewer than 8" in _when(history, None)
