import numpy as np
import pytest

from search_spaces import Layer, SearchSpace
from study.pruning import PruningPlan
from study.tuning.early_stopping.history import Yardstick
from study.tuning.search.extension import Extensions
from tests.tuning.rounds import halving_plan, run_of

LAYERS = (Layer("a", 4096),)
SPACE = SearchSpace.model_validate(
    {"form": "density_projected", "density": [0.001, 1.0], "rounds": [1, 8], "retrain": "finetune"}
)
AT_DENSITY = Yardstick("val_accuracy", True, ("density",))
FLAT = [0.95, 0.95, 0.95]


def plan(rounds: int) -> PruningPlan:
    return halving_plan(rounds).model_copy(
        update={"allocation": "per_layer", "sparsity": {"a": 1 - 0.5**rounds}}
    )


def taught(best: list[float], others: int = 8) -> Extensions:
    """One trial at the front, and then others that gain nothing."""
    own = Extensions(AT_DENSITY, SPACE, LAYERS)
    own.trial_ended("best", plan(len(best) - 1), run_of(best))
    for number in range(others):
        own.trial_ended(str(number), plan(2), run_of([0.95, 0.6, 0.5]))
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
    own = Extensions(AT_DENSITY, SPACE, LAYERS)
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
    # The usual last round costs 0.1 of accuracy (0.6 to 0.5), so the new point is 0.85 at 0.125.
    # The worst seen is 0.5 at density 1. The front holds 0.95 at 0.25 before.
    expected = (0.85 - 0.5) * (0.25 - 0.125)
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
