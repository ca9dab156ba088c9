import dataclasses

import pytest
import torch

from study.errors import UsageError
from study.pruning.pipeline import run_pipeline
from study.pruning.plan import PruningPlan
from study.pruning.seeds import Seeds
from study.pruning.training.train_state import TrainState
from study.pruning.training.trajectory import (
    Trajectory,
    build_model,
    dense_steps,
    step_of_epoch,
    train_dense,
)
from study.tasks.task import Task
from tests.pruning.tiny import tiny_task

SEEDS = PruningPlan(sparsity=0.5).seeds


def same(first: TrainState, second: TrainState) -> bool:
    left, right = {**first.model, **first.optimizer}, {**second.model, **second.optimizer}
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def test_states_are_kept_at_the_start_the_end_and_the_rewind_epochs() -> None:
    trajectory = train_dense(tiny_task(), SEEDS, [0.5, 2])
    assert sorted(trajectory.states) == [0, 2, 8, 16]


def test_keeping_states_on_the_way_does_not_change_the_run() -> None:
    plain, kept = train_dense(tiny_task(), SEEDS), train_dense(tiny_task(), SEEDS, [0.25, 1, 3])
    assert same(plain.states[16], kept.states[16])
    assert plain.train_loss == kept.train_loss


def test_a_missing_state_is_computed_from_the_nearest_before_it() -> None:
    whole = train_dense(tiny_task(), SEEDS, [0.5, 1.5])
    continued = train_dense(tiny_task(), SEEDS, [1.5], resume=train_dense(tiny_task(), SEEDS, [1]))
    assert same(whole.states[6], continued.states[6])
    assert continued.train_loss == whole.train_loss


def test_a_run_that_was_cut_off_after_an_epoch_goes_on_bit_for_bit() -> None:
    parts: list[Trajectory] = []
    whole = train_dense(
        tiny_task(), SEEDS, [0.5], checkpoint=lambda t: parts.append(t.only(t.states))
    )
    assert sorted(parts[1].states) == [0, 2, 8]
    assert sorted(parts[2].states) == [0, 2, 12]  # that of the epoch before is not kept
    continued = train_dense(tiny_task(), SEEDS, [0.5], resume=parts[1])
    assert sorted(continued.states) == [0, 2, 16]
    assert all(same(whole.states[step], continued.states[step]) for step in whole.states)


@pytest.mark.parametrize(
    ("task", "seeds", "words"),
    [
        (tiny_task(), SEEDS._replace(data=1), "another seed of the data order than"),
        (tiny_task(lr=0.01), SEEDS._replace(init=1), "another recipe and another seed of the init"),
    ],
)
def test_a_run_of_something_else_is_refused(task: Task, seeds: Seeds, words: str) -> None:
    dense = train_dense(tiny_task(), SEEDS)
    with pytest.raises(UsageError, match=words):
        train_dense(task, seeds, resume=dense)
    plan = PruningPlan(sparsity=0.5, init_seed=seeds.init, data_seed=seeds.data)
    with pytest.raises(UsageError, match=words):
        next(run_pipeline(plan, task, dense))
    of_unknown_origin = dataclasses.replace(dense, origin=None)
    assert train_dense(task, seeds, resume=of_unknown_origin).states.keys() == dense.states.keys()


def test_a_complete_run_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    dense = train_dense(tiny_task(), SEEDS, [0.5, 2])
    monkeypatch.setattr("study.pruning.training.trajectory.build_model", None)
    again = train_dense(tiny_task(), SEEDS, [2], resume=dense)
    assert sorted(again.states) == [0, 8, 16]
    assert again.states[8] is dense.states[8]


def test_initial_weights_follow_from_their_seed_alone() -> None:
    torch.manual_seed(1)
    first = build_model(tiny_task(), 5).state_dict()
    torch.manual_seed(2)
    again, other = (build_model(tiny_task(), seed).state_dict() for seed in (5, 6))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["fc.weight"], other["fc.weight"])


def test_epochs_become_the_nearest_step_and_must_lie_in_the_run() -> None:
    task = tiny_task()
    assert dense_steps(task) == 16
    assert [step_of_epoch(task, epoch) for epoch in (0, 0.5, 1.3, 4)] == [0, 2, 5, 16]
    with pytest.raises(UsageError, match=r"rewind_epoch is 4\.5, past the end .* of 4 epochs"):
        step_of_epoch(task, 4.5)
