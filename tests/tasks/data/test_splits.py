import numpy as np
import pytest
import torch

from study.tasks.data.splits import Data, Draw, Split, few


def test_the_test_split_is_read_once_and_only_when_asked_for() -> None:
    reads = []

    def load_test() -> Split:
        reads.append(1)
        return Split(torch.zeros(1, 1), torch.zeros(1))

    part = Split(torch.zeros(2, 1), torch.zeros(2))
    data = Data("x", part, part, load_test, 1).to(torch.device("cpu"))
    assert not reads
    data.load_test()
    data.load_test()
    assert len(reads) == 1


def test_chosen_rows_are_all_that_a_split_has() -> None:
    inputs, targets = torch.randn(10, 2), torch.arange(10)
    split = Split(inputs, targets, torch.tensor([7, 2, 2]))
    assert len(split) == 3
    assert split.labels.tolist() == [7, 2, 2]
    batch = split.take(torch.tensor([2, 0]))
    assert batch.targets.tolist() == [2, 7]
    assert torch.equal(batch.inputs, inputs[[2, 7]])


def test_rows_on_disk_come_in_the_types_that_losses_take() -> None:
    for kind, wanted in (("<i4", torch.int64), (">f8", torch.float32), ("u1", torch.uint8)):
        array = np.arange(12).reshape(6, 2).astype(kind)
        found = Split(array, array).take(torch.tensor([5, 0]))
        assert found.targets.dtype == wanted
        assert found.inputs.tolist() == [[10, 11], [0, 1]]


def test_batches_come_in_the_order_in_which_they_are_drawn() -> None:
    split = Split(torch.arange(6)[:, None], torch.arange(6))
    draws = [Draw(torch.tensor(places), 0) for places in ([5, 1], [0], [2, 3, 4])]
    found = [batch.targets.tolist() for batch in split.batches(draws)]
    assert found == [[5, 1], [0], [2, 3, 4]]


@pytest.mark.parametrize(("examples", "most"), [(1, 64), (64, 64), (65, 64), (1000, 64)])
def test_few_examples_are_spread_from_the_first_to_the_last(examples: int, most: int) -> None:
    places = few(Split(torch.zeros(examples, 1), torch.zeros(examples)), most).tolist()
    assert len(places) == min(examples, most) == len(set(places))
    assert (places[0], places[-1]) == (0, examples - 1)
    assert places == sorted(places)
