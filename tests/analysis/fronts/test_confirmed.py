from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import analysis
from analysis.fronts.confirmed import confirmed_networks, named_networks
from analysis.statistics.two_way import two_way
from study.storage import Folder
from tests.analysis.study_folders import PERPLEXITY, StudyFolder, new_study


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    made = new_study(tmp_path)
    made.trial("0000", sparsity=0.99, rounds=4)
    return made


def _confirm(study: StudyFolder, drops: list[list[float]], **more: object) -> None:
    for seed, of_seed in enumerate(drops, 1):
        study.replicate("0000", seed, of_seed, sparsity=0.99, **more)  # type: ignore[arg-type]


def test_the_bound_is_students_where_examples_are_all_alike(study: StudyFolder) -> None:
    drops = [0.010, 0.014, 0.009]
    _confirm(study, [[each, 0.1] for each in drops], spread=0.0)
    row = confirmed_networks(analysis.load(study.path)).iloc[0]
    assert (row["trial_id"], row["round"], row["n"], row["examples"]) == ("0000", 1, 3, 1000)
    error = np.std(drops, ddof=1) / np.sqrt(3)
    by_hand = np.mean(drops) + stats.t.ppf(0.9, 2) * error + 0.5 / 1000
    assert row["accuracy_drop"] == pytest.approx(np.mean(drops))
    assert row["drop_bound"] == pytest.approx(by_hand)
    assert row["held_back"]


def test_the_smallest_network_whose_bound_is_tolerable_is_named(study: StudyFolder) -> None:
    _confirm(
        study, [[0.0, 0.004, 0.012, 0.05], [0.001, 0.003, 0.013, 0.04], [0.0, 0.004, 0.012, 0.06]]
    )
    results = analysis.load(study.path)
    rows = named_networks(results, (0.005, 0.01, 0.02, 0.1)).set_index("tolerated_drop")
    table = confirmed_networks(results).set_index("round")
    for tolerance, row in rows.iterrows():
        good = table[table["drop_bound"] <= tolerance]
        assert row["round"] == good["density"].idxmin()
    assert list(rows["round"]) == [1, 2, 3, 4]


def test_too_few_seeds_name_nothing(study: StudyFolder) -> None:
    _confirm(study, [[0.0, 0.0], [0.0, 0.0]])
    results = analysis.load(study.path)
    assert not confirmed_networks(results)["enough"].any()
    assert named_networks(results)["trial_id"].isna().all()


def test_few_examples_need_five_seeds(tmp_path: Path) -> None:
    for seeds, examples, is_named in ((4, 999, False), (5, 999, True), (3, 1000, True)):
        study = new_study(tmp_path / f"{seeds}-{examples}")
        study.trial("0000", sparsity=0.9, rounds=1)
        for seed in range(1, seeds + 1):
            study.replicate("0000", seed, [0.0], sparsity=0.9, examples=examples)
        named = named_networks(analysis.load(study.path), [0.02])
        assert named["trial_id"].notna().all() == is_named


def test_a_seed_on_which_a_network_diverged_names_nothing_further(study: StudyFolder) -> None:
    _confirm(study, [[0.0, 0.0, 0.0], [0.0, float("nan"), float("nan")], [0.0, 0.0, 0.0]])
    table = confirmed_networks(analysis.load(study.path)).set_index("round")
    assert np.isfinite(table.loc[1, "drop_bound"])
    assert np.isinf(table.loc[[2, 3], "drop_bound"]).all()
    assert named_networks(analysis.load(study.path), [0.02])["round"].tolist() == [1]


def test_the_test_split_contradicts_a_label_that_it_lies_beyond(study: StudyFolder) -> None:
    _confirm(study, [[0.0, 0.004]] * 3, test_drops=[0.0, 0.012])
    table = confirmed_networks(analysis.load(study.path)).set_index("round")
    assert table.loc[2, "test_drop"] == pytest.approx(0.012)
    assert table["contradicted"].tolist() == [False, True]


def test_an_amount_is_contradicted_relative_to_the_dense_network_of_the_test_split(
    tmp_path: Path,
) -> None:
    """A loss of 1.0 on the examples that confirm, and of 0.05 on the test split."""
    study = new_study(tmp_path, metrics=(PERPLEXITY,))
    study.trial("0000", sparsity=0.9, rounds=2)
    for seed in (1, 2, 3):
        study.replicate(
            "0000", seed, [0.10, 0.10], sparsity=0.9, spread=0.0,
            dense=1.0, test_dense=0.05, test_drops=[0.004, 0.01],
        )  # fmt: skip
    table = confirmed_networks(analysis.load(study.path)).set_index("round")
    # 10 % on the examples that confirm; there 8 and 20 % of the test split's own.
    assert table["drop_bound"].tolist() == pytest.approx([0.10, 0.10])
    assert table["test_dense"].tolist() == pytest.approx([0.05, 0.05])
    assert table["contradicted"].tolist() == [False, True]


def test_outputs_that_diverge_on_the_test_split_contradict(study: StudyFolder) -> None:
    for seed in (1, 2, 3):
        lost = float("nan") if seed == 2 else 0.0
        study.replicate("0000", seed, [0.0], sparsity=0.99, test_drops=[lost])
    row = confirmed_networks(analysis.load(study.path)).iloc[0]
    assert row["contradicted"]
    assert np.isinf(row["test_drop"])


def test_one_group_of_examples_gives_a_drop_and_no_bound(study: StudyFolder) -> None:
    _confirm(study, [[0.01]] * 3, groups=1)
    results = analysis.load(study.path)
    row = confirmed_networks(results).iloc[0]
    assert row["accuracy_drop"] == pytest.approx(0.01)
    assert np.isnan(row["drop_bound"])
    assert named_networks(results, [0.5])["trial_id"].isna().all()


def test_parts_weigh_by_the_examples_that_records_say_are_in_them(study: StudyFolder) -> None:
    """One of the parts holds half of the examples, and so decides how sure a drop is."""
    alone = study.path + "-alike"
    other = new_study(Path(alone))
    other.trial("0000", sparsity=0.99, rounds=4)
    _confirm(study, [[0.01]] * 3, part_examples=[500, *[26] * 18, 32], spread=0.05)
    _confirm(other, [[0.01]] * 3, spread=0.05)
    bounds = [
        confirmed_networks(analysis.load(path)).iloc[0]["drop_bound"]
        for path in (study.path, alone)
    ]
    assert bounds[0] != pytest.approx(bounds[1], rel=1e-3)


def test_what_the_test_split_was_not_read_for_is_not_contradicted(study: StudyFolder) -> None:
    _confirm(study, [[0.0, 0.004]] * 3)
    assert confirmed_networks(analysis.load(study.path))["contradicted"].isna().all()


def test_constraints_keep_a_network_from_being_named(tmp_path: Path) -> None:
    study = new_study(tmp_path, constraints=["accuracy >= 0.94"])
    study.trial("0000", sparsity=0.9, rounds=2)
    for seed in (1, 2, 3):
        study.replicate("0000", seed, [0.004, 0.015], sparsity=0.9)
    results = analysis.load(tmp_path)
    assert confirmed_networks(results)["meets_constraints"].tolist() == [True, False]
    assert named_networks(results, [0.05])["round"].tolist() == [1]


def test_of_several_studies_each_has_its_own(tmp_path: Path) -> None:
    for name in ("a", "b"):
        study = new_study(tmp_path / name, name)
        study.trial("0000", sparsity=0.9, rounds=1)
        for seed in (1, 2, 3):
            study.replicate("0000", seed, [0.001], sparsity=0.9)
    results = analysis.load([tmp_path / "a", tmp_path / "b"])
    assert confirmed_networks(results)["trial_id"].tolist() == ["a/0000", "b/0000"]
    assert set(named_networks(results, [0.01])["study"]) == {"a", "b"}


def test_a_study_without_replicates_has_nothing_confirmed(study: StudyFolder) -> None:
    results = analysis.load(study.path)
    assert confirmed_networks(results).empty
    assert named_networks(results)["trial_id"].isna().all()


def test_a_damaged_line_is_a_problem_and_the_rest_is_read(study: StudyFolder) -> None:
    _confirm(study, [[0.001]] * 3)
    name = "0000-round-1-seed-2"
    folder = Folder(study.path)
    text = folder.read("trials", name, "confirmation.jsonl").decode()
    folder.write(text + "{nonsense}\n", "trials", name, "confirmation.jsonl")
    results = analysis.load(study.path)
    with pytest.warns(analysis.ProblemWarning, match="confirmation.jsonl"):
        table = confirmed_networks(results)
    assert table["n"].tolist() == [3]
    assert isinstance(table, pd.DataFrame)


@pytest.mark.parametrize("descents", [1, 3])
def test_labels_hold_although_the_smallest_that_passes_is_named(descents: int) -> None:
    """Rounds of a descent share the luck of seeds and examples; the best of all is chosen."""
    rng = np.random.default_rng(descents)
    examples, seeds, rounds, parts, tolerance = 400, 5, 10, 20, 0.02
    confidence = 1 - 0.1 / descents
    true = []
    for _ in range(250):
        hard = rng.random(examples) < 0.08
        passed = []
        for _descent in range(descents):
            luck = np.clip(1 + rng.normal(0, 0.25, (seeds, 1)), 0, 2)
            tired = rng.random((seeds, examples))
            for round_ in range(1, rounds + 1):
                rate = 0.05 * round_
                fresh = rng.random((seeds, examples)) < 0.2
                tired = np.where(fresh, rng.random((seeds, examples)), tired)
                lost = tired < np.where(hard, rate, 0.001) * luck
                order = np.random.default_rng(0).permutation(examples)
                table = [lost[:, order[place::parts]].mean(axis=1) for place in range(parts)]
                bound = two_way(np.stack(table, axis=1), 1 / examples).at_most(confidence)
                if bound <= tolerance:
                    passed.append((round_, bound, 0.08 * rate + 0.92 * 0.001))
        if passed:
            _, bound, drop = max(passed, key=lambda each: (each[0], -each[1]))
            true.append(drop <= bound)
    assert len(true) > 50
    assert np.mean(true) >= 0.88


def test_of_several_descents_each_bound_is_held_to_more(study: StudyFolder) -> None:
    _confirm(study, [[0.010], [0.014], [0.009]], spread=0.0)
    alone = confirmed_networks(analysis.load(study.path)).iloc[0]
    study.trial("0001", sparsity=0.9, rounds=1)
    for seed in (1, 2, 3):
        study.replicate("0001", seed, [0.01], sparsity=0.9)
    both = confirmed_networks(analysis.load(study.path)).iloc[0]
    assert (alone["own_confidence"], both["own_confidence"]) == pytest.approx((0.9, 0.95))
    assert both["drop_bound"] > alone["drop_bound"]
    assert both["confidence"] == 0.9
