import math

import numpy as np
import pytest

from search_spaces import Layer, SearchSpace
from study.pruning import PruningPlan
from study.records import LOSS, MetricRecord
from study.tuning.early_stopping.history import Yardstick
from study.tuning.search.extension import Extensions
from tests.tuning.rounds import halving_plan, run_of

LAYERS = (Layer("a", 4096),)
SPACE = SearchSpace.model_validate(
    {"form": "density_projected", "density": [0.001, 1.0], "rounds": [1, 8], "retrain": "finetune"}
)
AT_DENSITY = Yardstick("val_accuracy", True, ("density",))
METRICS = (MetricRecord(name="accuracy", direction="max", unit="share"), LOSS)
FLAT = [0.95, 0.95, 0.95]


def plan(rounds: int) -> PruningPlan:
    return halving_plan(rounds).model_copy(
        update={"allocation": "per_layer", "sparsity": {"a": 1 - 0.5**rounds}}
    )


def taught(best: list[float], others: int = 8) -> Extensions:
    """One trial at the front, and then others that gain nothing."""
    own = Extensions(AT_DENSITY, SPACE, LAYERS, METRICS)
    own.trial_ended("best", plan(len(best) - 1), run_of(best))
    for number in range(others):
        own.trial_ended(str(number), plan(2), run_of([0.95, 0.83, 0.8]))
    return own


def test_a_trial_that_leads_gets_one_round_more_when_new_trials_gain_nothing() -> None:
    found = taught(FLAT).take()
    assert found is not None
    assert found.trial_id == "best"
    assert found.plan.rounds == 3
    prefix = found.plan.prefix(2)
    assert prefix is not None
    assert isinstance(prefix.sparsity, dict)
    assert prefix.sparsity["a"] == pytest.approx(0.75)


def test_it_is_not_offered_twice_while_it_runs_and_again_when_it_ended() -> None:
    own = taught(FLAT)
    found = own.take()
    assert found is not None
    again = own.take()
    assert again is None or again.trial_id != "best"
    own.trial_ended("best", found.plan, run_of([*FLAT, 0.95])[3:])
    longer = own.take()
    assert longer is not None
    assert longer.plan.rounds == 4


def test_while_new_trials_gain_more_there_is_no_extension() -> None:
    own = Extensions(AT_DENSITY, SPACE, LAYERS, METRICS)
    for number in range(9):
        own.trial_ended(str(number), plan(2), run_of([0.95, 0.1 * number, 0.05 * number]))
    assert own.take() is None


def test_before_enough_trials_ended_nothing_is_said() -> None:
    assert taught(FLAT, others=6).take() is None


def test_a_plan_that_the_space_does_not_have_is_not_proposed() -> None:
    own = taught([0.95] * 9)  # eight rounds, the most that the space has
    found = own.take()
    assert found is None or found.trial_id != "best"


def test_the_rate_is_hypervolume_for_each_example() -> None:
    own = taught(FLAT)
    found = own.take()
    assert found is not None
    # The usual last round costs 0.03 of accuracy (0.83 to 0.8), so the new point is 0.92 at 0.125.
    # Accuracy counts from 10 points below dense (0.85) to 1, density by its ratio down to 0.01.
    # The front holds 0.95 at 0.25 before: one halving more is gained.
    expected = (0.92 - 0.85) / 0.15 * math.log(2) / math.log(100)
    assert found.rate == pytest.approx(expected / 100)
    assert np.isfinite(found.rate)


def test_a_trial_whose_earlier_rounds_are_not_known_is_left_as_it_is() -> None:
    own = taught(FLAT)
    found = own.take()
    assert found is not None
    own.trial_ended("unknown", plan(2), [])
    own.trial_ended("half known", plan(2), run_of(FLAT)[2:])
    again = own.take()
    assert again is None or again.trial_id not in ("unknown", "half known")


def test_a_further_round_below_the_reference_or_the_floor_gains_nothing() -> None:
    fragile = Extensions(AT_DENSITY, SPACE, LAYERS, METRICS)
    fragile.trial_ended("best", plan(2), run_of(FLAT))
    for number in range(8):  # a round more costs 0.2 of accuracy: 0.75, and 0.85 is the reference
        fragile.trial_ended(str(number), plan(2), run_of([0.95, 0.8, 0.6]))
    assert fragile.take() is None
    shallow = Extensions(AT_DENSITY, SPACE, LAYERS, METRICS, floor_density=0.25)
    shallow.trial_ended("best", plan(2), run_of(FLAT))
    for number in range(8):
        shallow.trial_ended(str(number), plan(2), run_of([0.95, 0.83, 0.8]))
    assert shallow.take() is None


def test_a_loss_is_extended_as_an_accuracy_is() -> None:
    own = Extensions(Yardstick("val_loss", False, ("density",)), SPACE, LAYERS, METRICS)
    own.trial_ended("best", plan(2), run_of(FLAT))
    for number in range(8):
        own.trial_ended(str(number), plan(2), run_of([0.95, 0.82, 0.81]))
    found = own.take()
    assert found is not None
    # Loss 0.05 + 0.01 at density 0.125, of the dense loss 0.05 from 0.075 to 0.
    expected = (0.075 - 0.06) / 0.075 * math.log(2) / math.log(100)
    assert found.rate == pytest.approx(expected / 100)


def test_a_dense_run_that_diverged_measures_nothing() -> None:
    own = Extensions(AT_DENSITY, SPACE, LAYERS, METRICS)
    own.trial_ended("diverged", plan(2), run_of([float("nan")]))
    own.trial_ended("best", plan(2), run_of(FLAT))
    for number in range(8):
        own.trial_ended(str(number), plan(2), run_of([0.95, 0.83, 0.8]))
    found = own.take()
    assert found is not None
    assert found.trial_id == "best"
