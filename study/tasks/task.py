"""A task: the model, its data, its loss, its metrics, and how it is trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from study.errors import UsageError
from study.records import MetricRecord
from study.tasks.data.splits import Data, Split, few
from study.tasks.forward import as_model_takes, call, working_dtype
from study.tasks.judging.judge import Judge, judge_of
from study.tasks.judging.losses import class_weights, counted, cross_entropy
from study.tasks.judging.metrics import Metric
from study.tasks.judging.outputs import given, own_loss_of
from study.tasks.training.checkpoints import load_checkpoint
from study.tasks.training.recipe import Recipe

FEW_EXAMPLES = 64
"""Examples by which a task's outputs are looked at before anything is trained."""


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
        ``(outputs, targets) -> mean loss``; unset: the one that the model computes itself, if it
        does, else cross entropy, with the recipe's label smoothing and class weights in training
        and without in evaluation.
    own_metrics
        By what networks are judged, the first most of all; empty: accuracy of a classifier, else
        the loss.
    own_forward
        ``(model, inputs) -> outputs`` instead of ``model(inputs)``.
    transform
        ``inputs -> inputs`` on every batch, in training and evaluation, on the device.
    augment
        ``(inputs, targets) -> (inputs, targets)`` on every batch of training, on the device; what
        it draws from torch's generators follows from the seed.
    """

    name: str
    build_model: Callable[[], nn.Module]
    data: Data
    recipe: Recipe = field(default_factory=Recipe)
    own_loss: Callable[[Any, Any], Tensor] | None = None
    own_metrics: tuple[Metric, ...] = ()
    own_forward: Callable[[nn.Module, Any], Any] | None = None
    transform: Callable[[Any], Any] | None = None
    augment: Callable[[Any, Any], tuple[Any, Any]] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", self.data.to(self.device))
        if self.own_loss is not None and self.recipe.class_weights is not None:
            raise UsageError(
                "task.class_weights: they weigh cross entropy; this task has a loss of its own. "
                "Weigh the classes there, or leave one of the two out."
            )
        if self.own_loss is not None and self.recipe.label_smoothing:
            raise UsageError(
                "task.label_smoothing: it smooths cross entropy; this task has a loss of its own. "
                "Smooth the targets there, or leave one of the two out."
            )

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

    @cached_property
    def judge(self) -> Judge:
        """The metrics, found out from a few outputs of a fresh model where none are named."""
        batch = self.data.train.take(few(self.data.train, FEW_EXAMPLES))
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.default_generator.manual_seed(0)
            model = self.build_model().to(self.device).eval()
            outputs = self.forward(model, self.prepared(batch.inputs, working_dtype(model)))
        train = self.data.train
        labels = train.labels if isinstance(train, Split) else None
        return judge_of(self.own_metrics, self.own_loss, outputs, batch.targets, labels)

    @property
    def metrics(self) -> tuple[MetricRecord, ...]:
        """By what networks are judged: the first is the task's quality, the last is the loss."""
        return self.judge.records

    @property
    def quality(self) -> MetricRecord:
        """The metric that counts where nothing else is asked for."""
        return self.metrics[0]

    @cached_property
    def checkpoint(self) -> Mapping[str, Tensor] | None:
        """The weights that the dense run begins with; None: freshly initialised ones."""
        path = self.recipe.weights
        return None if path is None else load_checkpoint(path)

    def prepared(self, inputs: Any, dtype: torch.dtype) -> Any:
        """Inputs of a batch as the model takes them: transformed, and in its types."""
        if self.transform is not None:
            inputs = self.transform(inputs)
        return as_model_takes(inputs, dtype)

    def forward(self, model: nn.Module, inputs: Any) -> Any:
        """What a model gives for prepared inputs."""
        return call(model, inputs) if self.own_forward is None else self.own_forward(model, inputs)

    def loss(self, outputs: Any, targets: Any) -> Tensor:
        """Mean training loss of a batch."""
        if self.own_loss is not None:
            return self.own_loss(given(outputs), targets)
        computed = own_loss_of(outputs)
        if computed is not None:
            return computed
        smoothing = self.recipe.label_smoothing
        return cross_entropy(
            outputs,
            targets,
            weights=self._class_weights,
            label_smoothing=smoothing,
            place=self.judge.reading.place,
        )

    def evaluation_loss(self, outputs: Any, targets: Any, examples: int) -> tuple[float, int]:
        """Mean loss of a batch as it is reported, and the elements that it is a mean of."""
        if self.own_loss is not None:
            return _one_number(self.own_loss(given(outputs), targets)), examples
        computed = own_loss_of(outputs)
        if computed is not None:
            return float(computed), examples
        elements = counted(targets)
        if not elements:
            return 0.0, 0
        place = self.judge.reading.place
        return float(cross_entropy(outputs, targets, place=place)), elements

    def with_recipe(self, recipe: Recipe) -> Task:
        """The same task, trained otherwise."""
        return replace(self, recipe=recipe)

    @cached_property
    def _class_weights(self) -> Tensor | None:
        return class_weights(self.recipe.class_weights, self.data.train, self.device)


def _one_number(loss: Any) -> float:
    if isinstance(loss, Tensor) and loss.numel() == 1:
        return float(loss)
    given = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
    raise UsageError(f"loss: must give one number, the mean over a batch, as a tensor; not {given}")
