"""What the saliency of a round looks at in the training data, and the examples that it takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

import torch
from torch import Tensor

from study.errors import UsageError
from study.pruning.masking.masks import MaskedLayers
from study.pruning.plan import PruningPlan
from study.pruning.seeds import derive_seed
from study.pruning.selection.input_products import input_products
from study.pruning.selection.saliency import SaliencyInputs, score
from study.pruning.training.steps import epoch_order
from study.tasks.forward import working_dtype
from study.tasks.task import Task

SCORING_BATCHES = 10
"""Batches over which a saliency averages that looks at gradients or inputs."""


class Scoring:
    """A look at a few training batches, which is charged only if it is taken.

    Parameters
    ----------
    plan, task
        Whose round it is.
    masked
        The network, on the task's device.
    before
        Its weights at the start of the training that came before, by layer.
    round_
        The round whose cut it is for.
    """

    def __init__(
        self,
        plan: PruningPlan,
        task: Task,
        masked: MaskedLayers,
        before: Mapping[str, Tensor],
        round_: int,
    ) -> None:
        self._plan, self._task, self._masked = plan, task, masked
        self._before, self._round = before, round_
        self.samples = 0
        """Examples that were looked at."""

    @cached_property
    def inputs(self) -> SaliencyInputs:
        """What a saliency of weights may look at."""
        return SaliencyInputs(
            weights={name: w.detach() for name, w in self._masked.weights.items()},
            before={n: w.to(self._task.device) for n, w in self._before.items()},
            gradients=lambda: _mean(self.batch_gradients()),
            seed=derive_seed(self._plan.seeds.mask, "saliency", self._round),
            input_products=lambda: self._input_products,
        )

    @cached_property
    def scores(self) -> dict[str, Tensor]:
        """Scores of all weights by layer, by the plan's saliency, from one look."""
        return score(self._plan.saliency, self.inputs)

    def batch_gradients(self) -> Iterator[tuple[float, dict[str, Tensor]]]:
        """The gradient of the training loss by layer, batch after batch, with its share.

        Norms are in eval mode.
        """
        task, model, weights = self._task, self._masked.model, self._masked.weights
        model.eval()
        for index in self._batches:
            batch = task.data.train.take(index)
            with torch.enable_grad():
                inputs = task.prepared(batch.inputs, working_dtype(model))
                loss = task.loss(task.forward(model, inputs), batch.targets)
            if not loss.requires_grad:
                raise UsageError(
                    f"saliency {self._plan.saliency!r}: the loss in eval mode comes from no "
                    "weight, so it has no gradient; take magnitude, or mend the loss."
                )
            # A weight that the loss does not use, such as an auxiliary head's, has gradient 0.
            parts = torch.autograd.grad(
                loss, list(weights.values()), allow_unused=True, materialize_grads=True
            )
            self.samples += len(index)
            share = len(index) / sum(map(len, self._batches))
            yield share, dict(zip(weights, parts, strict=True))

    @cached_property
    def _input_products(self) -> dict[str, Tensor]:
        task, model = self._task, self._masked.model
        dtype = working_dtype(model)
        model.eval()

        def run() -> None:
            for index in self._batches:
                task.forward(model, task.prepared(task.data.train.take(index).inputs, dtype))
                self.samples += len(index)

        return input_products(model, self._masked.weights, run)

    @cached_property
    def _batches(self) -> tuple[Tensor, ...]:
        length, size = len(self._task.data.train), self._task.recipe.batch_size
        order = epoch_order(derive_seed(self._plan.seeds.mask, "scoring"), self._round, length)
        chosen: Tensor = order[: SCORING_BATCHES * size].to(self._task.device)
        return tuple(chosen.split(size))


def _mean(batches: Iterable[tuple[float, dict[str, Tensor]]]) -> dict[str, Tensor]:
    total: dict[str, Tensor] = {}
    for share, gradients in batches:
        for name, gradient in gradients.items():
            total[name] = total[name] + gradient * share if name in total else gradient * share
    return total
