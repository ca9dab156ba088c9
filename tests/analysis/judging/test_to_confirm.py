from pathlib import Path

import pytest

import analysis
from analysis.judging.to_confirm import best_descent, confirmed_samples, next_descent
from tests.analysis.study_folders import StudyFolder, new_study


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    """A textbook run, a better descent, and a third trial that goes further down."""
    made = new_study(tmp_path)
    text = (tmp_path / "study.toml").read_text()
    made.folder.write(text.replace("[search]\n", "[search]\ntextbook = true\n"), "study.toml")
    made.trial("0000", rounds=4, sparsity=0.9, accuracy=0.95)
    made.trial("0001", rounds=4, sparsity=0.9, accuracy=0.97)
    made.trial("0002", rounds=1, sparsity=0.92, accuracy=0.95)
    return made


def _again(study: StudyFolder, of: str, rounds: int, seeds: int = 5) -> None:
    for seed in range(1, seeds + 1):
        study.replicate(of, seed, [0.001] * rounds, sparsity=0.9)


def test_the_best_descent_comes_first_the_textbook_run_next(study: StudyFolder) -> None:
    results = analysis.load(study.path)
    assert best_descent(results) == "0001"
    assert next_descent(results).trial_id == "0001"  # type: ignore[union-attr]
    _again(study, "0001", 4)
    second = next_descent(analysis.load(study.path))
    assert second is not None
    assert (second.trial_id, second.last) == ("0000", 4)


def test_then_whatever_would_take_a_named_network_s_place(study: StudyFolder) -> None:
    _again(study, "0001", 4)
    _again(study, "0000", 4)
    third = next_descent(analysis.load(study.path))
    # Within a tolerance of dense on the data that chose it, and smaller than what is named.
    assert third is not None
    assert third.trial_id == "0002"
    _again(study, "0002", 1)
    assert next_descent(analysis.load(study.path)) is None


def test_too_few_seeds_do_not_count(study: StudyFolder) -> None:
    _again(study, "0001", 4, seeds=2)
    assert next_descent(analysis.load(study.path)).trial_id == "0001"  # type: ignore[union-attr]


def test_what_was_confirmed_is_paid_for_and_what_lacks_seeds_is_not(study: StudyFolder) -> None:
    assert confirmed_samples(analysis.load(study.path)) == {}
    first = next_descent(analysis.load(study.path))
    assert first is not None
    _again(study, "0001", first.last)
    _again(study, "0000", 4, seeds=4)
    paid = confirmed_samples(analysis.load(study.path))
    assert paid == {"0001": first.seeds * first.samples[first.last]}


def test_what_is_too_dear_is_passed_over(study: StudyFolder) -> None:
    results = analysis.load(study.path)
    best = next_descent(results)
    assert best is not None
    dearest = best.seeds * max(best.samples.values())
    assert best.affordable(dearest) == best.last
    least = best.seeds * best.samples[best.first]
    assert best.affordable(least - 1) is None
    assert next_descent(results, 0) is None
    cheaper = next_descent(results, best.seeds * 16 * 5000)  # one round of four epochs
    assert cheaper is None or cheaper.affordable(best.seeds * 16 * 5000) is not None


def test_a_study_without_pruned_networks_has_none(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("0000", finished=0, status="errored", error="no")
    assert next_descent(analysis.load(tmp_path)) is None


def test_at_one_size_its_best_network_comes_first_however_bad(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    text = (tmp_path / "study.toml").read_text()
    at = '[search]\ntextbook = true\ntarget = "density <= 0.2"\n'
    study.folder.write(text.replace("[search]\n", at), "study.toml")
    study.trial("0000", rounds=4, sparsity=0.9, accuracy=0.7)
    study.trial("0001", rounds=1, sparsity=0.5, accuracy=0.97)  # good, and too large
    study.trial("0002", rounds=1, sparsity=0.9, accuracy=0.72)
    results = analysis.load(tmp_path)
    assert best_descent(results) == "0002"
    first = next_descent(results)
    assert first is not None
    assert (first.trial_id, first.first, first.last) == ("0002", 1, 1)
    _again(study, "0002", 1)
    second = next_descent(analysis.load(tmp_path))
    assert second is not None
    assert second.trial_id == "0000"
