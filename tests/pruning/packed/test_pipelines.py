"""Packed pipelines give what each gives alone."""

import pytest
import torch
from torch import nn

from study.errors import UsageError
from study.pruning.packed.pipelines import run_packed
from study.pruning.pipeline import run_pipeline
from study.pruning.plan import PruningPlan
from study.pruning.training.trajectory import train_dense
from study.records import RoundRecord
from tests.pruning.tiny import Deep, Tiny, tiny_task

PLANS = [
    PruningPlan(sparsity=0.8, rounds=3, retrain_epochs=2),
    PruningPlan(sparsity=0.9, rounds=2, retrain="lr_rewind", optimizer_state="keep", seed=1),
    PruningPlan(sparsity=0.5, rounds=2, retrain="weight_rewind", rewind_epoch=0.5, data_seed=7),
    PruningPlan(sparsity=0.7, rounds=1, retrain="reinit", allocation="lamp", seed=2),
    PruningPlan(sparsity=0.6, rounds=2, saliency="movement", retrain_epochs=0.75),
]

RECIPES = [
    {"lr": 0.02},
    {"lr": 0.02, "momentum": 0.0, "clip_norm": 0.3},
    {"lr": 0.02, "nesterov": True, "channels_last": True},
    {"lr": 0.003, "optimizer": "adam"},
    {"lr": 0.003, "optimizer": "adamw", "weight_decay": 0.1, "drop_last": True},
]


def assert_alike(found: list[RoundRecord], expected: list[RoundRecord]) -> None:
    assert [record.round for record in found] == [record.round for record in expected]
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.val_loss == pytest.approx(theirs.val_loss, rel=2e-3)
        assert mine.train_loss == pytest.approx(theirs.train_loss, rel=2e-3)
        assert mine.nonzero_parameters == theirs.nonzero_parameters
        assert mine.train_samples == theirs.train_samples
        assert mine.train_epochs == theirs.train_epochs
        assert mine.requested_sparsity == theirs.requested_sparsity


@pytest.mark.parametrize("width", [2, 32])
@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_every_plan_gives_what_it_gives_alone(recipe: dict[str, object], width: int) -> None:
    task = tiny_task(model=Deep, epochs=2, **recipe)
    found: dict[int, list[RoundRecord]] = {index: [] for index in range(len(PLANS))}
    for index, record in run_packed(PLANS, task, width=width):
        found[index].append(record)
    for index, plan in enumerate(PLANS):
        assert_alike(found[index], list(run_pipeline(plan, task)))


def test_one_lane_alone_takes_the_masks_that_the_plan_takes() -> None:
    task = tiny_task(model=Deep, epochs=1, lr=0.01)
    plan = PruningPlan(sparsity=0.8, rounds=2, retrain_epochs=1)
    packed = [record.mask_hash for _, record in run_packed([plan], task)]
    assert packed == [record.mask_hash for record in run_pipeline(plan, task)]


def test_dense_runs_that_are_given_are_not_trained_again(monkeypatch: pytest.MonkeyPatch) -> None:
    task = tiny_task(model=Deep, epochs=1)
    plans = [PruningPlan(sparsity=0.5, retrain_epochs=0, seed=seed) for seed in (0, 1)]
    starts = [train_dense(task, plan.seeds) for plan in plans]
    monkeypatch.setattr("study.pruning.training.trajectory.train", None)
    found = [(index, record.round) for index, record in run_packed(plans, task, starts)]
    assert sorted(found) == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_the_dense_runs_are_not_written_to() -> None:
    task = tiny_task(model=Deep, epochs=1)
    plan = PruningPlan(sparsity=0.5, rounds=2, retrain="weight_rewind", rewind_epoch=0.5)
    dense = train_dense(task, plan.seeds, [0.5])
    before = {
        (step, name): value.clone()
        for step, state in dense.states.items()
        for name, value in state.model.items()
    }
    list(run_packed([plan, plan], task, [dense, dense]))
    assert all(torch.equal(dense.states[s].model[n], value) for (s, n), value in before.items())


def test_a_model_with_dropout_is_refused_with_the_reason() -> None:
    plans = [PruningPlan(sparsity=0.5)]
    with pytest.raises(UsageError, match="draws random numbers in training, as dropout does"):
        list(run_packed(plans, tiny_task(model=Tiny, epochs=1)))


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(36, 36), nn.Linear(36, 36)
        self.two.weight = self.one.weight
        self.out = nn.Linear(36, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.out(torch.relu(self.two(torch.relu(self.one(x.flatten(1))))))
        return out


def test_tied_weights_stay_tied() -> None:
    task = tiny_task(model=Tied, epochs=1, lr=0.01)
    plans = [PruningPlan(sparsity=s, rounds=2, retrain_epochs=1, seed=1) for s in (0.5, 0.8)]
    found: dict[int, list[RoundRecord]] = {0: [], 1: []}
    for index, record in run_packed(plans, task):
        found[index].append(record)
    for index, plan in enumerate(plans):
        assert_alike(found[index], list(run_pipeline(plan, task)))
