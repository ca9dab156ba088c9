from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from study.tasks import Task, make_task
from study.tuning.identity.keys import task_key
from tests.pruning.tiny import images


def task(
    activation: type[nn.Module] = nn.ReLU,
    dropout: float = 0.2,
    momentum: float = 0.1,
    data_seed: int = 0,
    epochs: int = 1,
) -> Task:
    def model() -> nn.Module:
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(36, 8),
            nn.BatchNorm1d(8, momentum=momentum),
            activation(),
            nn.Dropout(dropout),
            nn.Linear(8, 3),
        )

    return make_task(model, images(40, data_seed), images(20, 1), epochs=epochs, batch_size=16)


def weighted(pos_weight: float) -> Callable[[Tensor, Tensor], Tensor]:
    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.binary_cross_entropy_with_logits(
            outputs, targets, pos_weight=torch.tensor(pos_weight)
        )

    return loss


def rare(pos_weight: float) -> Task:
    """A task whose positives are the last examples of all."""
    inputs = torch.randn(2000, 4, generator=torch.Generator().manual_seed(0))
    targets = torch.zeros(2000, 1)
    targets[-1] = 1.0
    pair = (inputs, targets)
    return make_task(lambda: nn.Linear(4, 1), pair, pair, loss=weighted(pos_weight), epochs=1)


def test_tasks_that_train_otherwise_are_told_apart() -> None:
    found = [
        task_key({}, task()),
        task_key({}, task(activation=nn.Tanh)),
        task_key({}, task(dropout=0.5)),
        task_key({}, task(momentum=0.01)),
        task_key({}, task(data_seed=1)),
        task_key({}, task(epochs=2)),
        task_key({"dataset": "x"}, task()),
    ]
    assert len(set(found)) == len(found)
    assert task_key({}, task()) == found[0]


def test_a_loss_that_differs_in_what_it_closes_over_is_another_one() -> None:
    """Also where the examples that are looked at come out alike."""
    assert task_key({}, rare(1.0)) == task_key({}, rare(1.0))
    assert task_key({}, rare(1.0)) != task_key({}, rare(50.0))


def test_the_number_of_threads_has_no_say() -> None:
    before = torch.get_num_threads()
    try:
        names = set()
        for threads in (1, 2):
            torch.set_num_threads(threads)
            names.add(task_key({}, task()))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert len(names) == 1


def test_a_file_that_was_written_again_is_other_data(tmp_path: Path) -> None:
    def stored(value: float) -> Task:
        file = tmp_path / "inputs.npy"
        array = np.zeros((1000, 4), np.float32)
        array[501] = value
        np.save(file, array)
        targets = torch.arange(1000) % 2
        inputs = np.load(file, mmap_mode="r")
        return make_task(lambda: nn.Linear(4, 2), (inputs, targets), epochs=1)

    assert task_key({}, stored(0.0)) != task_key({}, stored(1.0))


def test_what_cannot_be_looked_into_is_never_shared() -> None:
    data = TensorDataset(torch.zeros(40, 4), torch.arange(40) % 2)
    made = make_task(lambda: nn.Linear(4, 2), data, data, epochs=1)
    assert task_key({}, made) != task_key({}, made)


def test_the_callers_random_numbers_are_left_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    task_key({}, task())
    assert torch.rand(1) == expected


@pytest.mark.parametrize("share", [0.25])
def test_two_splits_of_the_same_data_are_two_tasks(share: float) -> None:
    pair = images(40, 0)
    one, other = (
        make_task(lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 3)), pair, share, split_seed=n)
        for n in (0, 1)
    )
    assert task_key({}, one) != task_key({}, other)


def half(step: int, steps: int) -> float:
    return 1.0 if step < 5 else HALF


HALF = 0.5


def test_a_course_of_ones_own_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def made() -> Task:
        return make_task(
            lambda: nn.Linear(4, 2), (torch.zeros(40, 4), torch.arange(40) % 2), 0.2,
            epochs=2, lr_schedule=f"{__name__}:half",
        )  # fmt: skip

    before = task_key({}, made())
    assert task_key({}, made()) == before
    monkeypatch.setitem(globals(), "HALF", 0.001)
    assert task_key({}, made()) != before
