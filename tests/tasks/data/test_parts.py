import numpy as np
import pytest
import torch
from torch import nn

from study.errors import UsageError
from study.tasks import load_task, make_task
from study.tasks.data.parts import keep_back


def _labels(split: object) -> list[int]:
    return split.take(torch.arange(len(split))).targets.flatten().tolist()  # type: ignore[arg-type, attr-defined]


def test_what_is_kept_back_and_what_chooses_are_the_validation_split() -> None:
    whole, halved = (
        load_task(dataset="digits", model="mlp"),
        load_task(dataset="digits", model="mlp", held_back=0.5),
    )
    chooses, confirms = halved.data.validation, halved.data.confirms
    everything = whole.data.validation.take(torch.arange(len(whole.data.validation))).inputs
    parts = [split.take(torch.arange(len(split))).inputs for split in (chooses, confirms)]
    assert sorted(map(str, torch.cat(parts).flatten(1).tolist())) == sorted(
        map(str, everything.flatten(1).tolist())
    )
    for label in range(10):
        counts = [_labels(split).count(label) for split in (chooses, confirms)]
        assert abs(counts[0] - counts[1]) <= 1
    assert torch.equal(
        whole.data.train.take(torch.arange(9)).inputs,
        halved.data.train.take(torch.arange(9)).inputs,
    )


def test_where_nothing_is_kept_back_the_validation_split_confirms() -> None:
    data = load_task(dataset="digits", model="mlp").data
    assert data.confirms is data.validation


def test_no_group_is_torn_apart() -> None:
    groups = np.repeat(np.arange(40), 5)
    inputs = torch.from_numpy(groups).float()[:, None]
    task = make_task(
        lambda: nn.Linear(1, 2),
        (inputs, torch.zeros(200).long()),
        validation=0.5,
        groups=groups,
        epochs=1,
    )
    halved = keep_back(task.data, 0.5)
    seen = [
        set(split.take(torch.arange(len(split))).inputs.flatten().tolist())
        for split in (halved.train, halved.validation, halved.confirms)
    ]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 40
    known = halved.confirms.take(torch.arange(len(halved.confirms))).inputs.flatten()
    assert halved.confirming_groups is not None
    assert halved.confirming_groups.tolist() == known.tolist()


def test_a_share_that_leaves_nothing_is_named() -> None:
    task = make_task(
        lambda: nn.Linear(1, 2),
        (torch.zeros(8, 1), torch.zeros(8).long()),
        (torch.zeros(1, 1), torch.zeros(1).long()),
        epochs=1,
    )
    with pytest.raises(UsageError, match=r"confirm\.held_back: a share of 0\.5 of 1"):
        keep_back(task.data, 0.5)
