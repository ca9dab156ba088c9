from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import analysis
from analysis.fronts.added import added_by, weights_of
from tests.analysis.study_folders import new_study


@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=6), st.floats(0.02, 0.5))
def test_weights_are_the_share_of_sizes_for_which_each_network_stands(
    others: list[float], smallest: float
) -> None:
    """Against many sizes, for each of which the largest network that fits is looked up."""
    sizes = np.array([smallest, *others])
    found = weights_of(sizes, 1.0, smallest)
    assert found.sum() == pytest.approx(1.0)
    asked = np.exp(np.random.default_rng(0).uniform(np.log(smallest), 0.0, 4000))
    standing = [max(size for size in sizes if size <= each) for each in asked]
    assert found @ np.log(sizes) == pytest.approx(np.log(standing).mean(), abs=0.05)


def _two_descents(path: Path, gain: float, spread: float = 0.0) -> analysis.Results:
    study = new_study(path)
    for trial_id, rounds in (("0000", 4), ("0001", 2)):
        study.trial(trial_id, sparsity=0.9, rounds=rounds, noise=0.0)
    for seed in (1, 2, 3):
        luck = spread * (seed - 2)
        study.replicate("0000", seed, [0.01, 0.02, 0.03, 0.04], sparsity=0.9, spread=0.0)
        study.replicate(
            "0001", seed, [0.02 - gain + luck, 0.04 - gain + luck], sparsity=0.9, spread=0.0
        )
    return analysis.load(path)


def test_the_gain_is_over_sizes_that_both_reach(tmp_path: Path) -> None:
    """Four rounds against two down to the same density: both steps of each are as wide."""
    found = added_by(_two_descents(tmp_path, gain=0.01), "0001", "0000")
    assert found is not None
    assert (found.seeds, found.examples, found.held_back) == (3, 1000, True)
    assert (found.largest, found.smallest) == pytest.approx((1.0, 0.1), rel=1e-3)
    # Below the dense network's size: rounds 1 to 4 of one, 1 and 2 of the other.
    textbook = np.mean([0.95 - drop for drop in (0.01, 0.02, 0.03, 0.04)])
    ours = np.mean([0.95 - 0.01, 0.95 - 0.03])
    assert found.mean == pytest.approx(ours - textbook, abs=1e-3)


def test_where_the_seeds_disagree_the_interval_says_so(tmp_path: Path) -> None:
    found = added_by(_two_descents(tmp_path, gain=0.0, spread=0.02), "0001", "0000")
    assert found is not None
    assert found.low < found.mean < found.high
    assert found.high - found.low > 0.02


def test_without_two_common_seeds_nothing_is_known(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    for trial_id in ("0000", "0001"):
        study.trial(trial_id, sparsity=0.9, rounds=2)
    study.replicate("0000", 1, [0.01, 0.02], sparsity=0.9)
    study.replicate("0001", 2, [0.01, 0.02], sparsity=0.9)
    assert added_by(analysis.load(tmp_path), "0001", "0000") is None
