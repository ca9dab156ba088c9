"""The network without its dead channels learns what the masked one does, in each architecture."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from study.pruning.compact.narrow import narrow_copy
from study.pruning.masking.choosing import mask_layers
from study.pruning.structure.cutting import masks_of, with_companions
from study.pruning.structure.finding import separable_channels
from study.tasks import Task
from study.tasks.data.structures import map_leaves
from study.tasks.forward import call
from study.tasks.training.optimizers import build_optimizer
from tests.zoo.entry import Entry
from tests.zoo.models import ZOO

LONG = ("ResNet-56", "VGG-16", "two layers with one weight")
"""More of what others are made of, and one without channels to take out."""


def steps(model: nn.Module, optimizer: Any, entry: Entry, task: Task) -> None:
    inputs, targets = entry.examples(3)
    torch.manual_seed(0)  # dropout, which none of these has on channels that go
    for _ in range(2):
        optimizer.zero_grad()
        outputs = call(model, map_leaves(doubled, inputs))
        task.loss(outputs, targets).backward()
        optimizer.step()


def doubled(leaf: Tensor) -> Tensor:
    return leaf.double() if leaf.is_floating_point() else leaf


@pytest.mark.parametrize("name", [n for n, e in ZOO.items() if e.is_here and n not in LONG])
def test_training_the_narrow_copy_is_training_the_masked_network(name: str) -> None:
    entry = ZOO[name]
    task, model = entry.task(), entry.model()
    inputs = entry.examples(2)[0]
    structures, _ = separable_channels(model, lambda m: call(m, inputs))
    masked = with_companions(mask_layers(model), structures)
    alive = {s.name: torch.arange(s.units) % 3 != 1 for s in structures}
    masked.cut(masks_of(masked, structures, alive), optimizer=None)
    model.train().double()
    optimizer = build_optimizer(task.recipe, model)
    steps(model, optimizer, entry, task)  # so that there is a state to go on with
    twin, twin_optimizer = deepcopy((model, optimizer))
    narrow = narrow_copy(masked, optimizer, task.recipe, structures)
    assert narrow is not None
    steps(narrow.model, narrow.optimizer, entry, task)
    narrow.store()
    steps(twin, twin_optimizer, entry, task)
    for (key, one), other in zip(
        model.state_dict().items(), twin.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8, msg=key)
