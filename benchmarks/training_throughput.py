"""Examples trained in a second, against a DataLoader and torch.nn.utils.prune.

Both train the same masked network on the same examples, an epoch a turn, in one thread. The loop
is the usual one: a shuffling DataLoader over a TensorDataset in this process (workers only slow
down data that are in memory already), ``zero_grad``, ``backward``, ``step``.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import prune
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.measuring import Figure, interleaved_ms, ratios
from study.pruning.compact.network import compact_copy
from study.pruning.masking.choosing import mask_layers
from study.pruning.training.steps import Segment, train
from study.pruning.training.trajectory import build_model
from study.tasks import Task, make_task
from study.tasks.models import MODELS
from study.tasks.training.optimizers import build_optimizer

DENSITY = 0.1
CASES = {
    "MLP 64-64-32-10, batch 64": ("mlp", (64,), {"batch_size": 64}, 1_280, {"widths": [64, 32]}),
    "LeNet-300-100, batch 60": ("lenet300", (784,), {"batch_size": 60}, 6_000, {}),
    "LeNet-300-100, batch 128": ("lenet300", (784,), {"batch_size": 128}, 6_400, {}),
    "LeNet-300-100, batch 128, skip_pruned": (
        "lenet300",
        (784,),
        {"batch_size": 128, "skip_pruned": True},
        6_400,
        {},
    ),
    "small CNN, batch 128": ("small_cnn", (1, 28, 28), {"channels_last": True}, 512, {}),
    "small CNN, channels first": ("small_cnn", (1, 28, 28), {}, 512, {}),
}


def measure(quick: bool = False) -> list[Figure]:
    """Ratios of examples a second."""
    figures = []
    for name, (model_name, shape, recipe, examples, options) in CASES.items():
        torch.manual_seed(0)
        inputs, targets = torch.randn(examples, *shape), torch.randint(10, (examples,))
        task = make_task(
            lambda name=model_name, shape=shape, options=options: MODELS[name](
                shape, 10, **options
            ),
            (inputs, targets),
            (inputs[:100], targets[:100]),
            lr=0.01,
            **recipe,
        )
        ours, theirs = _Ours(task), _Loop(task)
        times = interleaved_ms({"ours": ours.epoch, "loop": theirs.epoch}, 5 if quick else 15)
        figures.append(
            Figure.of(name, "x DataLoader + prune", ratios(times["loop"], times["ours"]), ">= 1.7")
        )
    return figures


class _Ours:
    def __init__(self, task: Task) -> None:
        self._task, self._model, self._epoch = task, build_model(task, 0), 0
        masked = mask_layers(self._model)
        masks = {name: torch.rand(mask.shape) < DENSITY for name, mask in masked.masks.items()}
        masked.cut(masks, optimizer=None)
        self._optimizer = build_optimizer(task.recipe, self._model)
        if task.recipe.skip_pruned:
            compact = compact_copy(masked, self._optimizer, task.recipe)
            assert compact is not None
            self._model, self._optimizer = compact.model, compact.optimizer

    def epoch(self) -> None:
        steps = -(-len(self._task.data.train) // self._task.recipe.batch_size)
        segment = Segment(steps, 0, lr_moves=True, data_step=self._epoch * steps)
        train(self._model, self._optimizer, self._task, segment, data_seed=0)
        self._epoch += 1


class _Loop:
    def __init__(self, task: Task) -> None:
        self._model = task.build_model()
        for module in self._model.modules():
            if isinstance(module, (nn.Linear, nn.Conv2d)):
                prune.custom_from_mask(module, "weight", torch.rand_like(module.weight) < DENSITY)
        split = task.data.train
        self._loader = DataLoader(
            TensorDataset(split.inputs, split.targets), task.recipe.batch_size, shuffle=True
        )
        self._optimizer = torch.optim.SGD(self._model.parameters(), lr=0.01, momentum=0.9)

    def epoch(self) -> None:
        self._model.train()
        for inputs, targets in self._loader:
            self._optimizer.zero_grad()
            nn.functional.cross_entropy(self._model(inputs), targets).backward()
            self._optimizer.step()
