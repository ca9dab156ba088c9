import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from study.errors import UsageError
from study.pruning import PruningPlan, mask_layers, train_dense
from study.pruning.sensitivity.weights import scan
from study.pruning.training.train_state import TrainState, load_model
from study.pruning.training.trajectory import build_model
from study.tasks import Task, evaluate, make_task
from tests.pruning.tiny import images, tiny_task

SEEDS = PruningPlan(sparsity=0.5).seeds
LEVELS = (0.0, 0.5, 0.9)


def chain_task() -> Task:
    """A chain with batch norm, dropout, and a layer that is used twice."""

    def model() -> nn.Module:
        tied = nn.Linear(36, 36, bias=False)
        return nn.Sequential(
            nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1), nn.ReLU(), nn.Flatten(),
            tied, nn.Dropout(0.2), tied, nn.ReLU(), nn.Linear(36, 3),
        )  # fmt: skip

    return make_task(model, images(60, 0), images(30, 1), epochs=3, batch_size=16, lr=0.05)


def dense_state(task: Task) -> TrainState:
    states = train_dense(task, SEEDS).states
    return states[max(states)]


def by_hand(task: Task, state: TrainState, layer: str, level: float) -> float:
    """Accuracy with the smallest weights of one layer set to zero, without any mask."""
    model = build_model(task, 0)
    load_model(model, state)
    weight = model.get_parameter(f"{layer}.weight")
    gone = round(level * weight.numel())
    with torch.no_grad():
        weight.view(-1)[weight.abs().flatten().argsort(stable=True)[:gone]] = 0
    return evaluate(model, task.data.validation, task).metrics["accuracy"]


@pytest.mark.parametrize("make", [tiny_task, chain_task])
def test_each_level_of_each_layer_is_what_pruning_it_alone_gives(make: type[Task]) -> None:
    task = make()
    state = dense_state(task)
    for record in scan(task, state, SEEDS, levels=LEVELS).records:
        expected = by_hand(task, state, record.layer, record.sparsity)
        assert record.val_accuracy == pytest.approx(expected)
        if record.sparsity == 0:
            assert record.accuracy_drop == 0


def test_evaluating_the_suffix_alone_gives_the_same_to_the_last_bit() -> None:
    task = chain_task()
    state = dense_state(task)
    quick = scan(task, state, SEEDS, levels=LEVELS).records
    plain = scan(task, state, SEEDS, levels=LEVELS, suffix_only=False).records
    assert quick == plain
    assert [record.layer for record in quick[::3]] == ["0", "4", "8"]


def test_the_state_that_is_scanned_is_left_as_it_was() -> None:
    task = tiny_task()
    state = dense_state(task)
    before = copy.deepcopy(dict(state.model))
    scan(task, state, SEEDS, levels=LEVELS, recovery_epochs=1)
    assert all(torch.equal(state.model[name], before[name]) for name in before)


def test_a_short_recovery_starts_anew_at_each_level_and_helps() -> None:
    task = tiny_task()
    state = dense_state(task)
    together = scan(task, state, SEEDS, levels=(0.5, 0.9), recovery_epochs=1).records
    alone = scan(task, state, SEEDS, levels=(0.9,), recovery_epochs=1).records
    assert tuple(r for r in together if r.sparsity == 0.9) == alone
    plain = scan(task, state, SEEDS, levels=(0.9,)).records
    assert sum(r.val_loss for r in alone) < sum(r.val_loss for r in plain)


def counted(task: Task) -> tuple[Task, list[int]]:
    """The task, with the size of every batch that goes through its model noted."""
    seen: list[int] = []

    def forward(model: nn.Module, inputs: Tensor) -> Tensor:
        seen.append(len(inputs))
        outputs: Tensor = model(inputs)
        return outputs

    return replace(task, own_forward=forward), seen


def test_every_example_that_is_evaluated_is_charged_as_a_third_of_one_of_training() -> None:
    task, seen = counted(tiny_task())
    state = dense_state(task)
    seen.clear()
    assert scan(task, state, SEEDS, levels=LEVELS).train_samples == round(sum(seen) / 3)
    assert sum(seen) == 30 * (1 + 2 * len(LEVELS))
    seen.clear()
    found = scan(task, state, SEEDS, levels=(0.5,), recovery_epochs=1.5)
    evaluated = 30 * (1 + 2)
    assert found.train_samples == (sum(seen) - evaluated) + round(evaluated / 3)


def test_a_network_that_diverged_is_charged_for_the_look_at_it() -> None:
    task = tiny_task()
    state = dense_state(task)
    broken = TrainState({k: v * torch.nan for k, v in state.model.items()}, {})
    found = scan(task, broken, SEEDS, levels=LEVELS)
    assert (found.records, found.train_samples) == ((), 10)


def test_a_scan_can_start_from_masks() -> None:
    task = tiny_task()
    model = build_model(task, 0)
    masked = mask_layers(model)
    load_model(model, dense_state(task))
    half: dict[str, Tensor] = {"fc": torch.rand(masked.masks["fc"].shape) < 0.3}
    masked.cut(half, optimizer=None)
    state = TrainState({k: v.clone() for k, v in model.state_dict().items()}, {})
    base = evaluate(model, task.data.validation, task)
    for record in scan(task, state, SEEDS, levels=(0.0, 0.5)).records:
        if record.layer == "fc" or record.sparsity == 0:
            assert record.accuracy_drop == 0  # fc is past that level already
        assert record.val_accuracy + record.accuracy_drop == pytest.approx(base.metrics["accuracy"])


@pytest.mark.parametrize("level", [-0.1, 1.0])
def test_a_level_outside_zero_and_one_is_refused(level: float) -> None:
    task = tiny_task()
    with pytest.raises(UsageError, match="at least 0 and below 1"):
        scan(task, dense_state(task), SEEDS, levels=(level,))
