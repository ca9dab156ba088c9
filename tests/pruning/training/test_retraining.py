import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from study.pruning.masking.choosing import mask_layers
from study.pruning.masking.masks import MaskedLayers
from study.pruning.plan import PruningPlan
from study.pruning.training.retraining import go_back, retrain_optimizer, retrain_segment
from study.pruning.training.steps import Segment, lr_in
from study.pruning.training.train_state import TrainState, load_model, load_optimizer
from study.pruning.training.trajectory import Trajectory, build_model, train_dense
from study.tasks.training.optimizers import build_optimizer
from tests.pruning.tiny import tiny_task

TASK = tiny_task()


def plan(retrain: str, **fields: object) -> PruningPlan:
    return PruningPlan(sparsity=0.5, rounds=2, retrain=retrain, **fields)


@pytest.mark.parametrize(
    ("made", "segment"),
    [
        (plan("finetune"), Segment(16, 15, False, 40)),
        (plan("finetune", retrain_epochs=1.5), Segment(6, 15, False, 40)),
        (plan("lr_rewind"), Segment(16, 0, True, 40)),
        (plan("lr_rewind", retrain_epochs=1), Segment(4, 12, True, 40)),
        (plan("lr_rewind", rewind_epoch=3), Segment(4, 12, True, 40)),
        (plan("lr_rewind", rewind_epoch=1, retrain_epochs=2), Segment(8, 4, True, 40)),
        (plan("weight_rewind", rewind_epoch=0.5), Segment(14, 2, True, 2)),
        (plan("weight_rewind", rewind_epoch=1, retrain_epochs=2), Segment(8, 4, True, 4)),
        (plan("reinit"), Segment(16, 0, True, 0)),
        (plan("reinit", retrain_epochs=3), Segment(12, 0, True, 0)),
    ],
)
def test_learning_rate_and_data_order_begin_where_the_table_says(
    made: PruningPlan, segment: Segment
) -> None:
    assert retrain_segment(made, TASK, data_step=40) == segment


def test_new_weights_rise_to_a_course_of_their_own_as_the_dense_run_did() -> None:
    task = replace(TASK, recipe=TASK.recipe.model_copy(update={"warmup_epochs": 0.5}))
    fitted = {"retrain_epochs": 3, "retrain_lr_schedule": "cosine"}
    segment = retrain_segment(plan("reinit", **fitted), task, data_step=40)
    assert segment == Segment(12, 0, True, 0, None, "cosine", warmup_steps=2)
    rates = [lr_in(segment, step, task.recipe, 4) / task.recipe.lr for step in range(12)]
    least = task.recipe.min_lr_fraction
    cosine = [least + (1 - least) * (1 + math.cos(math.pi * k / 12)) / 2 for k in range(12)]
    assert rates == pytest.approx([cosine[0] / 2, *cosine[1:]])
    assert retrain_segment(plan("lr_rewind", **fitted), task, data_step=40).warmup_steps == 0
    assert retrain_segment(plan("reinit"), task, data_step=40).warmup_steps == 0  # at its place


def trained(made: PruningPlan) -> tuple[MaskedLayers, torch.optim.Optimizer, Trajectory]:
    """A dense model at the end of its run, half of it cut."""
    rewind = [] if made.rewind_epoch is None else [made.rewind_epoch]
    trajectory = train_dense(TASK, made.seeds, rewind)
    model = build_model(TASK, 0)
    masked = mask_layers(model)
    optimizer = build_optimizer(TASK.recipe, model)
    load_model(model, trajectory.states[16])
    load_optimizer(optimizer, model, trajectory.states[16])
    halves = {name: torch.arange(m.numel()).view_as(m) % 2 == 0 for name, m in masked.masks.items()}
    masked.cut(halves, optimizer=optimizer)
    return masked, optimizer, trajectory


def assert_masked_copy(masked: MaskedLayers, state: TrainState) -> None:
    """The model is the state, but zero where it is masked: weights, biases, norms, statistics."""
    found = masked.model.state_dict()
    masks = {f"{name}.weight": mask for name, mask in masked.masks.items()}
    for name, value in state.model.items():
        expected = value * masks[name] if name in masks else value
        assert torch.equal(found[name], expected), name


def test_weight_rewind_brings_back_everything_but_the_masks() -> None:
    made = plan("weight_rewind", rewind_epoch=1)
    masked, _, trajectory = trained(made)
    stored = {name: value.clone() for name, value in trajectory.states[4].model.items()}
    go_back(made, TASK, 1, masked, trajectory)
    assert_masked_copy(masked, trajectory.states[4])
    assert masked.density == 0.5
    with torch.no_grad():
        for parameter in masked.model.parameters():
            parameter.add_(1.0)
        masked.model.get_buffer("norm.running_mean").add_(1.0)
    assert all(torch.equal(trajectory.states[4].model[name], stored[name]) for name in stored)


@pytest.mark.parametrize("retrain", ["finetune", "lr_rewind"])
def test_otherwise_weights_stay(retrain: str) -> None:
    made = plan(retrain)
    masked, _, trajectory = trained(made)
    go_back(made, TASK, 1, masked, trajectory)
    assert_masked_copy(masked, trajectory.states[16])


def test_reinit_draws_weights_that_are_new_in_each_round_and_follow_from_the_seed() -> None:
    made = plan("reinit")
    weights = []
    for round_ in (1, 2, 1):
        masked, _, trajectory = trained(made)
        go_back(made, TASK, round_, masked, trajectory)
        weights.append(masked.weights["fc"].detach().clone())
        assert masked.density == 0.5
        running = masked.model.get_buffer("norm.running_mean")
        assert not running.any()  # statistics begin anew too
        assert not torch.equal(weights[-1], trajectory.states[0].model["fc.weight"])
    assert torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], weights[1])


def moments(optimizer: torch.optim.Optimizer, weight: nn.Parameter) -> torch.Tensor:
    found: torch.Tensor = optimizer.state[weight]["momentum_buffer"]
    return found


def test_a_fresh_optimizer_remembers_nothing() -> None:
    made = plan("finetune")
    masked, before, trajectory = trained(made)
    assert not retrain_optimizer(made, TASK, masked, before, trajectory).state


@pytest.mark.parametrize(
    ("made", "step"),
    [
        (plan("finetune", optimizer_state="keep"), 16),
        (plan("lr_rewind", optimizer_state="keep"), 16),
        (plan("weight_rewind", rewind_epoch=1, optimizer_state="keep"), 4),
    ],
)
def test_a_kept_state_is_that_of_the_weights_and_zero_where_they_are_masked(
    made: PruningPlan, step: int
) -> None:
    masked, before, trajectory = trained(made)
    optimizer = retrain_optimizer(made, TASK, masked, before, trajectory)
    for name, weight in masked.weights.items():
        stored = trajectory.states[step].optimizer[f"momentum_buffer/{name}.weight"]
        assert torch.equal(moments(optimizer, weight), stored * masked.masks[name])
