import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from study.pruning.plan import PruningPlan
from study.pruning.selection.ranking import pruned_count

CLOSED_SCHEDULES = ("geometric", "constant")


@given(
    st.sampled_from(CLOSED_SCHEDULES),
    st.integers(2, 10),
    st.floats(0.01, 0.995),
    st.integers(1, 10_000),
    st.data(),
)
def test_a_prefix_cuts_exactly_what_the_first_rounds_cut(
    schedule: str, rounds: int, sparsity: float, weights: int, data: st.DataObject
) -> None:
    plan = PruningPlan(sparsity=sparsity, rounds=rounds, schedule=schedule)
    k = data.draw(st.integers(1, rounds))
    prefix = plan.prefix(k)
    assert prefix is not None
    assert prefix.rounds == k
    for round_ in range(k + 1):
        whole, part = plan.sparsity_at(round_), prefix.sparsity_at(round_)
        assert isinstance(whole, float)
        assert isinstance(part, float)
        assert pruned_count(whole, weights) == pruned_count(part, weights)


def test_every_layer_of_a_prefix_follows_the_schedule_on_its_own() -> None:
    plan = PruningPlan(sparsity={"fc1": 0.75, "fc2": 0.36}, rounds=2)
    prefix = plan.prefix(1)
    assert prefix is not None
    assert prefix.sparsity == {"fc1": pytest.approx(0.5), "fc2": pytest.approx(0.2)}


@pytest.mark.parametrize("schedule", ["cubic", "cosine"])
def test_no_shorter_plan_exists_where_the_share_changes(schedule: str) -> None:
    plan = PruningPlan(sparsity=0.9, rounds=3, schedule=schedule)
    assert plan.prefix(2) is None
    assert plan.prefix(3) == plan


def test_an_absolute_threshold_is_the_same_in_every_round() -> None:
    plan = PruningPlan(threshold=0.5, rounds=3)
    assert plan.allocation == "threshold"
    assert plan.prefix(2) == PruningPlan(threshold=0.5, rounds=2)


@pytest.mark.parametrize("rounds", [0, 4])
def test_a_prefix_outside_the_plan_is_an_error(rounds: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 3"):
        PruningPlan(sparsity=0.9, rounds=3).prefix(rounds)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sparsity": 1.0}, "at least 0 and below 1"),
        ({"sparsity": -0.1}, "at least 0 and below 1"),
        ({"sparsity": {"fc1": 1.5}}, "layer 'fc1' is 1.5"),
        (
            {"sparsity": 0.5, "allocation": "erk", "cost_exponent": 0.5},
            "cost_exponent has no meaning with allocation erk; .* global and .*lamp",
        ),
        (
            {"sparsity": 0.5, "allocation": "knapsack", "cost_exponent": 0.5},
            "cost_exponent has no meaning with allocation knapsack",
        ),
        ({"sparsity": 0.5, "cost_exponent": 2.1}, "less than or equal to 2"),
        (
            {"sparsity": 0.5, "allocation": "erk", "score_offsets": {"fc1": 0.5}},
            "score_offsets have no meaning with allocation erk",
        ),
        (
            {"sparsity": 0.5, "score_offsets": {"fc1": math.nan}},
            "score_offsets of layer 'fc1' is nan; it must be from -20 to 20",
        ),
        (
            {"structure": "channels+weights", "sparsity": 0.9, "score_offsets": {"fc1": 1.0}},
            "score_offsets have no meaning with structure channels.weights",
        ),
        ({"sparsity": {"*": 0.5}, "budget": "macs"}, "no meaning with allocation per_layer"),
        ({"threshold": 0.5, "budget": "macs"}, "no meaning with allocation threshold"),
        ({"sparsity": 0.5, "retrain": "weight_rewind"}, "needs rewind_epoch"),
        ({"sparsity": 0.5, "rewind_epoch": 1}, "no meaning with retrain finetune"),
        ({"sparsity": 0.5, "schedule": "one_shot", "rounds": 2}, "one_shot has 1 round"),
        ({"sparsity": 0.5, "allocation": "per_layer"}, "needs sparsity as a table"),
        ({"sparsity": {"a": 0.5}, "allocation": "erk"}, "needs sparsity as one number"),
        ({"sparsity": 0.5, "allocation": "threshold"}, "needs a threshold"),
        ({"sparsity": 0.5, "threshold": 0.1, "allocation": "erk"}, "threshold has no meaning"),
        ({"sparsity": 0.5, "optimizer_state": "keep", "retrain": "reinit"}, "no meaning"),
        ({"sparsity": 0.5, "sparsities": 1}, "Extra inputs"),
        ({"sparsity": 0.5, "rounds": 0}, "greater than or equal to 1"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PruningPlan(**fields)


def halving(round_: int, rounds: int, final: float) -> float:
    return final * round_ / rounds


def test_a_callable_schedule_is_kept_as_an_import_string() -> None:
    plan = PruningPlan(sparsity=0.5, rounds=2, schedule=halving)
    assert plan.schedule == f"{__name__}:halving"
    assert plan.sparsity_at(1) == 0.25


def test_a_lambda_is_refused_because_the_study_could_not_be_repeated() -> None:
    with pytest.raises(ValidationError, match="cannot be imported by name"):
        PruningPlan(sparsity=0.5, schedule=lambda k, n, s: s)


def test_a_plan_survives_json() -> None:
    plan = PruningPlan(sparsity={"fc*": 0.9, "out": 0.1}, rounds=4, include=("fc*", "out"))
    assert PruningPlan.model_validate_json(plan.model_dump_json()) == plan


def test_streams_of_randomness_are_separate_and_can_be_set_one_by_one() -> None:
    seeds = PruningPlan(sparsity=0.5, seed=3).seeds
    assert len(set(seeds)) == 3
    assert PruningPlan(sparsity=0.5, seed=3, data_seed=7).seeds == seeds._replace(data=7)


def test_a_plan_can_be_read_without_torch() -> None:
    code = "import sys, study.pruning.plan; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_pattern_says_how_sparse_a_plan_ends() -> None:
    plan = PruningPlan(structure="2:4", rounds=2)
    assert (plan.sparsity, plan.allocation) == (0.5, "uniform")
    assert PruningPlan(structure="4:16").sparsity == 0.75
    mixed = PruningPlan(structure="channels+2:4", width_multiple=8, unit_sparsity=0.2)
    assert mixed.sparsity == pytest.approx(0.6)
    assert plan.extended(3) is None
    shorter = plan.prefix(1)
    assert shorter is not None
    again = shorter.extended(2)
    assert again is not None
    assert again.sparsity == pytest.approx(0.5)


def test_units_come_first_and_entries_make_up_the_rest() -> None:
    plan = PruningPlan(structure="channels+1:4", width_multiple=4, rounds=3, schedule="constant")
    assert plan.sparsity == pytest.approx(1 - 0.5 / 4)
    units = [plan.unit_sparsity_at(k) for k in (1, 2, 3)]
    assert units == pytest.approx([0.875 / 3, 0.5, 0.5])
    assert [plan.has_entries_at(k) for k in (1, 2, 3)] == [False, True, True]
    for round_ in (2, 3):
        left = (1 - 0.5) * (1 - plan.pattern_sparsity_at(round_))  # type: ignore[operator]
        assert 1 - left == pytest.approx(plan.sparsity_at(round_))
    assert plan.pattern_sparsity_at(3) == pytest.approx(0.75)
    assert plan.pattern_sparsity_at(1) == 0.0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"structure": "2:4", "sparsity": 0.7}, "sparsity is 0.7; structure 2:4 ends at 0.5"),
        (
            {"structure": "2:4", "sparsity": 0.3},
            "ends at 0.5, and only there .* out",
        ),
        ({"structure": "2:4", "sparsity": {"fc": 0.6}}, "of layer 'fc' is 0.6"),
        (
            {"structure": {"c*": "channels", "fc*": "2:4"}, "width_multiple": 4, "sparsity": 0.5},
            r"ends at 0.75, .* say by unit_sparsity how much goes",
        ),
        ({"structure": "channels+2:4", "width_multiple": 4, "sparsity": 0.6}, "sparsity is 0.6"),
        ({"structure": "2:4", "allocation": "global"}, "there is uniform, per_layer"),
        ({"structure": "1:4", "layer_floor": 0.3}, "layer_floor is 0.3; 1:4 leaves 0.25"),
        ({"structure": "4:4"}, "n must be below m"),
        ({"structure": "blocks", "sparsity": 0.5, "allocation": "erk"}, "no meaning with"),
        ({"structure": "blocks", "sparsity": 0.5, "block": [1, 1]}, "one of them more"),
        ({"structure": "blocks", "sparsity": 0.5, "block": [0, 4]}, "at least 1"),
        ({"structure": "2:4", "block": [4, 4]}, "block has no meaning with structure 2:4"),
        ({"sparsity": 0.5, "unit_sparsity": 0.3}, "unit_sparsity has no meaning"),
        ({"structure": "channels+2:4"}, "width_multiple is 1; .* a multiple of 4"),
        ({"structure": "channels+weights", "sparsity": {"fc": 0.5}}, "per_layer has no meaning"),
        ({"structure": "channels+weights", "sparsity": 0.5, "allocation": "erk"}, "no meaning"),
        ({"structure": {"a": "channels", "b": "heads"}, "sparsity": 0.5}, "in one table"),
        ({"structure": ["channels", "weights"], "sparsity": 0.5}, "structure"),
    ],
)
def test_structures_that_do_not_fit_are_named(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PruningPlan.model_validate(fields)
