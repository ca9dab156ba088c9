"""The first sentence of a study at one size is its network."""

from pathlib import Path

import analysis
from analysis.fronts.study_front import study_front
from analysis.judging.reported import networks_to_test
from analysis.reading.commands import export_command
from analysis.reading.results import Results
from analysis.reporting.sections.headline import headline
from tests.analysis.study_folders import new_study, searched_study


def at(results: Results, target: str, structure: str = "weights") -> Results:
    config = {**results.config, "search": {"target": target}, "space": {"structure": structure}}
    return Results(**{**vars(results), "config": config})


def test_the_best_network_of_the_size_comes_first_with_its_command(tmp_path: Path) -> None:
    results = analysis.load(searched_study(tmp_path))
    rounds = results.rounds[(results.rounds["round"] > 0)]
    fit = rounds[rounds["macs"] <= 0.2 * rounds["dense_macs"]]
    best = fit.loc[fit["val_accuracy"].idxmax()]
    where = tmp_path
    first = headline(at(results, "macs <= 0.2", "channels")).sentences[0]
    place = f"--trial {best['trial_id']} --round {int(best['round'])}"
    assert first.startswith(f"The best network with macs <= 0.2 is trial {best['trial_id']}")
    assert f"not confirmed on new seeds (prune-study confirm {where} {place} does that)" in first
    assert f"prune-study export {where} {place} -o network.onnx --shrink" in first
    assert "--shrink" not in headline(at(results, "macs <= 0.2")).sentences[0]


def test_a_network_is_handed_over_as_its_own_trial_pruned_it(tmp_path: Path) -> None:
    results = analysis.load(searched_study(tmp_path))
    trials = results.trials.assign(structure=["channels+2:4", "2:4"] * (len(results.trials) // 2))
    own = Results(**{**vars(results), "trials": trials})
    for trial, structure in zip(trials["trial_id"], trials["structure"], strict=True):
        command = export_command(own, trial, 1)
        assert command.endswith(" --shrink") is (structure == "channels+2:4")
        assert own.structure_of(trial) == structure


def test_without_a_target_nothing_is_said_of_one(tmp_path: Path) -> None:
    results = analysis.load(searched_study(tmp_path))
    assert "The best network with" not in " ".join(headline(results).sentences)


def test_where_no_network_is_of_the_size_it_is_said(tmp_path: Path) -> None:
    results = analysis.load(searched_study(tmp_path))
    first = headline(at(results, "macs <= 0.0001")).sentences[0]
    assert first.startswith("No network meets macs <= 0.0001")


def test_the_first_sentence_says_what_new_seeds_say_of_the_network(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("0000", rounds=1, sparsity=0.9, accuracy=0.95)
    study.trial("0001", rounds=1, sparsity=0.9, accuracy=0.96)
    for seed in (1, 2, 3, 4, 5):
        study.replicate("0000", seed, [0.001], sparsity=0.9)
    first = headline(at(analysis.load(tmp_path), "density <= 0.4")).sentences[0]
    assert "is trial 0001, round 1, which is not confirmed on new seeds" in first
    for seed in (1, 2, 3, 4, 5):
        study.replicate("0001", seed, [0.003], sparsity=0.9)
    first = headline(at(analysis.load(tmp_path), "density <= 0.4")).sentences[0]
    assert "is trial 0001, round 1, confirmed on new seeds as at most " in first


def test_what_is_confirmed_far_below_dense_is_not_denied_in_the_next_sentence(
    tmp_path: Path,
) -> None:
    study = new_study(tmp_path)
    study.trial("0000", rounds=1, sparsity=0.9, accuracy=0.95)
    for seed in (1, 2, 3, 4, 5):
        study.replicate("0000", seed, [0.3], sparsity=0.9)
    first, second = headline(at(analysis.load(tmp_path), "density <= 0.4")).sentences[:2]
    assert "round 1, confirmed on new seeds as at most " in first
    assert second.startswith("No network was shown to be within 2.0 points of dense")
    assert "Nothing is confirmed" not in second


def test_the_test_split_is_read_for_the_network_of_the_first_sentence(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    study.trial("0000", rounds=2, sparsity=0.9, accuracy=0.9)
    study.trial("0001", rounds=2, sparsity=0.8, accuracy=0.95)
    results = at(analysis.load(tmp_path), "density <= 0.3")
    assert "is trial 0001, round 2" in headline(results).sentences[0]
    assert {("0001", 0), ("0001", 2)} <= set(networks_to_test(results))
    for seed in (1, 2, 3, 4, 5):
        study.replicate("0001", seed, [0.3, 0.3], sparsity=0.8)
    again = networks_to_test(at(analysis.load(tmp_path), "density <= 0.3"))
    assert sum(round_ == 2 and trial.startswith("0001-") for trial, round_ in again) == 5


def test_of_equally_good_networks_every_view_has_the_smallest(tmp_path: Path) -> None:
    """Few examples judge alike: the first that was found need not be the one to take."""
    study = new_study(tmp_path)
    study.trial("0000", rounds=3, sparsity=0.9, accuracy=0.9)
    study.trial("0001", rounds=1, sparsity=0.85, accuracy=0.9)
    loaded = analysis.load(tmp_path)
    pruned = loaded.rounds["round"] > 0
    rounds = loaded.rounds.assign(val_accuracy=loaded.rounds["val_accuracy"].mask(pruned, 0.9))
    tied = at(Results(**{**vars(loaded), "rounds": rounds}), "macs <= 0.9")
    assert "is trial 0000, round 3" in headline(tied).sentences[0]
    front = study_front(tied, {"val_accuracy": "max"})
    found = front[front["round"] > 0]
    assert list(zip(found["trial_id"], found["round"], strict=True)) == [("0000", 3)]
