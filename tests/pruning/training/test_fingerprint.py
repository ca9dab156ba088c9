from dataclasses import replace

import pytest
import torch
from torch import nn

from study.pruning.seeds import Seeds
from study.pruning.training.fingerprint import fingerprint
from study.tasks import make_task
from study.tasks.task import Task
from tests.pruning.tiny import images

SEEDS = Seeds(1, 2, 3)


def task(width: int = 8, data_seed: int = 0, device: str = "auto", **recipe: object) -> Task:
    def model() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(36, width), nn.ReLU(), nn.Linear(width, 3))

    fields = {"epochs": 1, "batch_size": 16, "device": device} | recipe
    return make_task(model, images(40, data_seed), images(20, 1), **fields)


def test_the_same_task_loaded_twice_has_the_same() -> None:
    assert fingerprint(task(), SEEDS) == fingerprint(task(device="cpu"), SEEDS)
    assert fingerprint(task(), SEEDS) == fingerprint(task(), SEEDS._replace(mask=9))


@pytest.mark.parametrize(
    ("other", "seeds", "field"),
    [
        (task(width=9), SEEDS, "model"),
        (task(data_seed=1), SEEDS, "data"),
        (task(lr=0.2), SEEDS, "recipe"),
        (task(), SEEDS._replace(init=7), "init_seed"),
        (task(), SEEDS._replace(data=7), "data_seed"),
    ],
)
def test_what_differs_is_named(other: Task, seeds: Seeds, field: str) -> None:
    assert fingerprint(task(), SEEDS).differences(fingerprint(other, seeds)) == [field]


def scaled(inputs: torch.Tensor, targets: torch.Tensor, by: float) -> Task:
    def model() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 3))

    return make_task(model, (inputs * by, targets), images(20, 1), epochs=1)


def test_what_differs_in_the_last_bit_is_the_same() -> None:
    inputs, targets = images(40, 0)
    one, other = scaled(inputs, targets, 1.0), scaled(inputs, targets, 1.0 + 1e-6)
    assert not torch.equal(one.data.train.inputs, other.data.train.inputs)
    assert fingerprint(one, SEEDS).differences(fingerprint(other, SEEDS)) == []
    assert fingerprint(one, SEEDS).differences(
        fingerprint(scaled(inputs, targets, 1.1), SEEDS)
    ) == ["data"]


def test_a_changed_loss_is_another_behaviour() -> None:
    def doubled(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return 2 * nn.functional.cross_entropy(outputs, targets)

    other = replace(task(), own_loss=doubled)
    assert fingerprint(task(), SEEDS).differences(fingerprint(other, SEEDS)) == ["behaviour"]


def test_the_callers_random_numbers_are_left_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    fingerprint(task(), SEEDS)
    assert torch.rand(1) == expected
