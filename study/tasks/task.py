"""A task: the model, its data, its loss, and how it is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from study.errors import UsageError
from study.records import LOSS, MetricRecord
from study.tasks.data import SPLIT_SEED, Data, Split, stratified_split
from study.tasks.recipe import Recipe

Pair = tuple[Tensor | ArrayLike, Tensor | ArrayLike]


def correct_classes(outputs: Tensor, targets: Tensor) -> Tensor:
    """Whether the highest output is the target class (or the highest of a one-hot row): bool."""
    classes = targets if targets.dim() == 1 else targets.argmax(1)
    return outputs.argmax(1) == classes


@dataclass(frozen=True, eq=False)
class Task:
    """What is pruned.

    Parameters
    ----------
    name
        How reports call it.
    build_model
        Builds a freshly initialised model; the pipeline seeds torch before it calls.
    data
        The splits.
    recipe
        How to train.
    own_loss
        ``(outputs, targets) -> mean loss``; unset: cross entropy, with the recipe's label
        smoothing in training and without in evaluation.
    correct
        ``(outputs, targets) -> tensor``, whose mean over examples is the accuracy.
    """

    name: str
    build_model: Callable[[], nn.Module]
    data: Data
    recipe: Recipe = field(default_factory=Recipe)
    own_loss: Callable[[Tensor, Tensor], Tensor] | None = None
    correct: Callable[[Tensor, Tensor], Tensor] = correct_classes

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", self.data.to(self.device))

    @cached_property
    def device(self) -> torch.device:
        """Where the model is trained: ``recipe.device``, resolved.

        Raises
        ------
        UsageError
            If there is no such device.
        """
        name = self.recipe.device
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            device = torch.device(name)
        except RuntimeError as error:
            raise UsageError(f"task.device: {name!r} is no device; cpu, cuda or cuda:N") from error
        if device.type == "cuda" and not torch.cuda.is_available():
            raise UsageError(f"task.device: {name!r}, but torch finds no GPU. Allowed here: cpu.")
        return device

    @property
    def metrics(self) -> tuple[MetricRecord, ...]:
        """By what networks are judged: the first is the task's quality, the last is the loss."""
        return (MetricRecord(name="accuracy", direction="max", unit="share"), LOSS)

    @property
    def quality(self) -> MetricRecord:
        """The metric that counts where nothing else is asked for."""
        return self.metrics[0]

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean training loss of a batch."""
        if self.own_loss is not None:
            return self.own_loss(outputs, targets)
        return nn.functional.cross_entropy(
            outputs, targets, label_smoothing=self.recipe.label_smoothing
        )

    def evaluation_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of a batch as it is reported."""
        if self.own_loss is not None:
            return self.own_loss(outputs, targets)
        return nn.functional.cross_entropy(outputs, targets)

    def with_recipe(self, recipe: Recipe) -> Task:
        """The same task, trained otherwise."""
        return replace(self, recipe=recipe)


def make_task(
    model: Callable[[], nn.Module],
    train: Pair,
    validation: Pair | float = 0.1,
    test: Pair | None = None,
    *,
    name: str = "own",
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    correct: Callable[[Tensor, Tensor], Tensor] = correct_classes,
    **recipe: Any,
) -> Task:
    """Make a task of a model and arrays: all that a user's own function has to return.

    Parameters
    ----------
    model
        Builds a fresh model, for example the class itself.
    train
        ``(inputs, targets)`` as tensors or arrays; floats become float32, integers int64.
    validation
        Likewise, or the share of the training examples to hold out (stratified by class).
    test
        Likewise. Without one, a study runs and a report has no test figures.
    name
        How reports call it.
    loss
        ``(outputs, targets) -> mean loss`` instead of cross entropy.
    correct
        ``(outputs, targets) -> tensor`` whose mean is the accuracy.
    **recipe
        Fields of :class:`~study.tasks.recipe.Recipe`, such as ``epochs=30, lr=0.05``.

    Raises
    ------
    UsageError
        If inputs and targets differ in length, or a share is not between 0 and 1.
    """
    train_split = _as_split("train", train)
    if isinstance(validation, float):
        if not 0 < validation < 1:
            raise UsageError(f"validation: {validation} is no share between 0 and 1")
        stays, held_out = stratified_split(train_split.targets, validation, SPLIT_SEED)
        validation_split = Split(train_split.inputs[held_out], train_split.targets[held_out])
        train_split = Split(train_split.inputs[stays], train_split.targets[stays])
    else:
        validation_split = _as_split("validation", validation)
    test_split = None if test is None else _as_split("test", test)
    is_classes = not train_split.targets.is_floating_point()
    data = Data(
        name,
        train_split,
        validation_split,
        _no_test if test_split is None else lambda: test_split,
        int(train_split.targets.max()) + 1 if is_classes else 0,
    )
    return Task(name, model, data, Recipe(**recipe), loss, correct)


def _no_test() -> NoReturn:
    raise UsageError("task: it has no test split, so nothing can be reported on test data")


def _as_split(name: str, pair: Pair) -> Split:
    inputs, targets = (_as_tensor(part) for part in pair)
    if len(inputs) != len(targets) or not len(inputs):
        raise UsageError(f"{name}: {len(inputs)} inputs and {len(targets)} targets")
    return Split(inputs, targets)


def _as_tensor(values: Tensor | ArrayLike) -> Tensor:
    tensor = values if isinstance(values, Tensor) else torch.from_numpy(np.asarray(values).copy())
    return tensor.float() if tensor.is_floating_point() else tensor.long()
