import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from study.errors import UsageError
from study.tasks.data.splits import Draw
from study.tasks.data.streaming import DatasetSplit, as_pair, check_dataset


class Noisy(Dataset[Any]):
    """Draws from every generator that there is."""

    def __len__(self) -> int:
        return 20

    def __getitem__(self, i: int) -> Any:
        drawn = torch.rand(()), torch.tensor(np.random.rand()), torch.tensor(random.random())
        return torch.stack([torch.tensor(float(i)), *(x.float() for x in drawn)]), i


def draws(steps: range = range(6)) -> list[Draw]:
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    return [Draw(order[3 * step : 3 * step + 3], 100 + step) for step in steps]


def batches(workers: int, steps: range = range(6)) -> list[Any]:
    split = DatasetSplit(Noisy(), workers=workers)
    return [
        (batch.inputs.tolist(), batch.targets.tolist()) for batch in split.batches(draws(steps))
    ]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_give_the_batches_that_one_process_gives(workers: int) -> None:
    assert batches(workers) == batches(0)


@pytest.mark.parametrize("workers", [0, 2])
def test_going_on_in_the_middle_gives_the_batches_of_an_unbroken_run(workers: int) -> None:
    assert batches(workers, range(4, 6)) == batches(0)[4:]


def test_batches_are_drawn_examples_and_differ_in_what_they_draw() -> None:
    found = batches(0)
    assert [targets for _, targets in found] == [draw.examples.tolist() for draw in draws()]
    noise = {tuple(row[1:]) for inputs, _ in found for row in inputs}
    assert len(noise) == 18
    again = DatasetSplit(Noisy()).batches([Draw(torch.tensor([1]), seed) for seed in (1, 2)])
    first, second = (batch.inputs.tolist() for batch in again)
    assert first != second


@pytest.mark.parametrize("workers", [0, 2])
def test_loading_leaves_the_global_generators_alone(workers: int) -> None:
    for seed in (torch.manual_seed, random.seed, np.random.seed):
        seed(3)  # type: ignore[operator]
    wanted = torch.rand(()), np.random.rand(), random.random()
    for seed in (torch.manual_seed, random.seed, np.random.seed):
        seed(3)  # type: ignore[operator]
    batches(workers)
    DatasetSplit(Noisy()).take(torch.arange(3))
    assert (torch.rand(()), np.random.rand(), random.random()) == wanted


def test_the_same_examples_are_taken_each_time() -> None:
    split = DatasetSplit(Noisy(), chosen=torch.tensor([4, 7, 9]))
    one, again = (split.take(torch.tensor([2, 0])).inputs for _ in range(2))
    assert torch.equal(one, again)
    assert one[:, 0].tolist() == [9, 4]
    assert len(split) == 3


class Numbers(Dataset[Any]):
    """Gives Python's own numbers."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, i: int) -> Any:
        return torch.ones(2), float(i)


def test_targets_come_in_the_types_that_losses_take() -> None:
    assert DatasetSplit(Numbers()).take(torch.arange(4)).targets.dtype == torch.float32
    arrays = DatasetSplit(
        Numbers(), lambda batch: (torch.ones(len(batch), 2), np.zeros(len(batch)))
    )
    assert arrays.take(torch.arange(4)).targets.dtype == torch.float32


@pytest.mark.parametrize("key", ["labels", "label", "targets", "target"])
def test_a_mapping_names_its_targets(key: str) -> None:
    inputs, targets = as_pair({"x": 1, key: 2, "mask": 3})
    assert (inputs, targets) == ({"x": 1, "mask": 3}, 2)


@pytest.mark.parametrize(
    "loaded", [{"x": torch.zeros(2)}, {"label": 1, "target": 2}, (1, 2, 3), torch.zeros(2, 3), 5]
)
def test_a_batch_that_is_no_pair_is_refused(loaded: Any) -> None:
    with pytest.raises(UsageError, match=r"dataset: a batch must be \(inputs, targets\)"):
        as_pair(loaded)


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        yield 1


class WithoutLength(Dataset[Any]):
    def __getitem__(self, i: int) -> Any:
        return i


def test_what_cannot_be_read_in_any_order_is_refused() -> None:
    with pytest.raises(UsageError, match=r"train: a DataLoader fixes its own order"):
        check_dataset("train", DataLoader(Numbers()))
    for dataset in (Endless(), WithoutLength()):
        with pytest.raises(UsageError, match=f"train: {type(dataset).__name__} is iterable-style"):
            check_dataset("train", dataset)


class Broken(Dataset[Any]):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, i: int) -> Any:
        raise OSError(f"example {i} cannot be read")


@pytest.mark.parametrize("workers", [0, 1])
def test_an_example_that_cannot_be_read_says_so(workers: int) -> None:
    split = DatasetSplit(Broken(), workers=workers)
    with pytest.raises(OSError, match="example 2 cannot be read"):
        next(iter(split.batches([Draw(torch.tensor([2]), 0)])))


def test_data_sets_of_torch_are_taken_as_they_are() -> None:
    whole = TensorDataset(torch.arange(8)[:, None].float(), torch.arange(8))
    split = DatasetSplit(Subset(whole, [1, 3, 5]))
    assert split.take(torch.tensor([0, 2])).targets.tolist() == [1, 5]
