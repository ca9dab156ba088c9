import pytest

from search_spaces import Layer
from study.pruning import PruningPlan, run_pipeline
from study.tuning.early_stopping.foresight import coming_costs, coming_weights
from study.tuning.preparing import prunable_layers
from tests.pruning.tiny import tiny_task
from tests.tuning.rounds import halving_plan, result

LAYERS = (Layer("a", 900), Layer("b", 100))


@pytest.mark.parametrize(
    "plan",
    [
        PruningPlan(sparsity=0.9, rounds=3, retrain_epochs=0),
        PruningPlan(sparsity=0.8, rounds=3, schedule="cubic", allocation="erk", retrain_epochs=0),
        PruningPlan(sparsity=0.6, rounds=2, layer_floor=0.3, retrain_epochs=0),
        PruningPlan(sparsity={"*": 0.77}, rounds=3, schedule="constant", retrain_epochs=0),
        PruningPlan(sparsity=0.7, rounds=2, allocation="uniform_plus", retrain_epochs=0),
        PruningPlan(structure="2:4", rounds=2, exclude=("conv",), retrain_epochs=0),
    ],
)
def test_what_is_foreseen_is_what_comes(plan: PruningPlan) -> None:
    task = tiny_task()
    layers = prunable_layers(task, exclude=plan.exclude)
    records = list(run_pipeline(plan, task))
    for before in records[:-1]:
        for after in records[before.round + 1 :]:
            costs = coming_costs(
                plan,
                after.round,
                layers,
                last=before.model_dump(),
                epochs_a_round=0.0,
                macs_exponent=3.0,
            )
            assert costs is not None
            assert costs["density"] == after.density
            assert costs["nonzero_parameters"] == after.nonzero_parameters
            assert costs["train_epochs"] == after.train_epochs
            assert costs["macs"] <= after.macs


def test_layers_named_by_pattern_count_by_their_size_and_others_stay_dense() -> None:
    plan = PruningPlan(sparsity={"a*": 0.5})
    assert coming_weights(plan, 1, LAYERS) == 550


@pytest.mark.parametrize("structure", ["blocks", "channels", "channels+weights"])
def test_what_goes_in_larger_pieces_may_be_more_than_was_asked_for(structure: str) -> None:
    assert coming_weights(PruningPlan(structure=structure, sparsity=0.5), 1, LAYERS) is None


def test_an_absolute_threshold_does_not_say_what_it_removes() -> None:
    plan = PruningPlan(threshold=0.1, rounds=2)
    last = result(1, 0.9, 0.5)
    assert coming_costs(plan, 2, LAYERS, last, epochs_a_round=1, macs_exponent=1) is None


def test_a_share_of_the_multiply_adds_does_not_say_how_many_weights_go() -> None:
    plan = PruningPlan(sparsity=0.5, budget="macs", rounds=2)
    last = result(1, 0.9, 0.5, prunable_parameters=1000)
    assert coming_costs(plan, 2, LAYERS, last, epochs_a_round=1, macs_exponent=1) is None


def test_epochs_add_up_over_the_rounds_to_come() -> None:
    last = result(1, 0.9, 0.5, prunable_parameters=1000)
    costs = coming_costs(halving_plan(4), 4, LAYERS, last, epochs_a_round=2.0, macs_exponent=1)
    assert costs is not None
    assert costs["train_epochs"] == last["train_epochs"] + 6


def test_of_a_plan_that_prunes_other_layers_nothing_is_foreseen() -> None:
    last = result(1, 0.9, 0.5, prunable_parameters=900)
    assert coming_costs(halving_plan(4), 4, LAYERS, last, 2.0, 1.0) is None
