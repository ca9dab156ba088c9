"""How much each layer can take: prune one to a level, leave the others, and evaluate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from study.errors import UsageError
from study.pruning.masking.masks import MaskedLayers, mask_layers
from study.pruning.seeds import Seeds
from study.pruning.selection.allocation import allocate
from study.pruning.selection.request import Request
from study.pruning.selection.saliency import SaliencyInputs, score
from study.pruning.training.steps import Segment, TrainState, load_model, samples_in, train
from study.pruning.training.trajectory import build_model, dense_steps
from study.records import MetricRecord, SensitivityRecord
from study.tasks.data.splits import Split
from study.tasks.data.structures import joined
from study.tasks.forward import working_dtype
from study.tasks.judging.evaluation import Evaluation, eval_size, evaluate, evaluating, in_order
from study.tasks.task import Task
from study.tasks.training.optimizers import build_optimizer
from study.tasks.training.recipe import steps_per_epoch
from study.telling import scale

FORWARD_SHARE = 1 / 3
"""What a forward example costs, as a share of a training example: the backward pass costs two."""

DEFAULT_LEVELS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.975, 0.99)


@dataclass(frozen=True)
class Scan:
    """What a scan found and what it cost.

    Parameters
    ----------
    records
        By layer, then by level; none of a network whose figures are not finite.
    train_samples
        Examples of training that it is worth: those of recovery, and of each example that was
        evaluated a third, which is the share of a forward pass in a training step.
    """

    records: tuple[SensitivityRecord, ...]
    train_samples: int


def scan(
    task: Task,
    state: TrainState,
    seeds: Seeds,
    *,
    levels: Sequence[float] = DEFAULT_LEVELS,
    recovery_epochs: float = 0.0,
    saliency: str = "magnitude",
    include: Iterable[str] | None = None,
    exclude: Iterable[str] | None = None,
    seed: int = 0,
    quality: MetricRecord | None = None,
    suffix_only: bool = True,
) -> Scan:
    """Scan the layers of a network on the validation split.

    Every level starts from a fresh copy of the state. With masks in the state the scan is
    conditional: the other layers keep theirs, and a level that the layer is already past cuts
    nothing more.

    Parameters
    ----------
    task
        Data and loss.
    state
        The network: weights, statistics, and masks if it has any.
    seeds
        The data stream orders the recovery's examples.
    levels
        Sparsities, each in [0, 1).
    recovery_epochs
        Epochs of fine-tuning at the last learning rate after each cut; 0: none.
    saliency
        A saliency that needs neither gradients nor a past, such as ``"magnitude"``.
    include, exclude
        Patterns of the layers that are masked.
    seed
        What the records say of the seed.
    quality
        Metric whose drop is told; None: the task's first.
    suffix_only
        Without recovery, evaluate only what comes after the layer, from its cached input, where
        the model is a ``Sequential`` and the layer one of its children. The results are equal.

    Returns
    -------
    Scan
        The records, and what they cost. An evaluation of what comes after a layer is charged as
        one of the whole network, and so is the making of its inputs.

    References
    ----------
    Han et al. 2015, "Learning both Weights and Connections", section 4.2; Li et al. 2017, "Pruning
    Filters for Efficient ConvNets", section 3.2.
    """
    for level in levels:
        if not 0 <= level < 1:
            raise UsageError(f"sensitivity.levels: {level} is not at least 0 and below 1")
    model = build_model(task, seeds.init)
    masked = mask_layers(model, include, exclude)
    load_model(model, state)
    quality = quality or task.quality
    dense = evaluate(model, task.data.validation, task).value(quality)
    examples, evaluated, trained = len(task.data.validation), 1, 0
    if not math.isfinite(dense):
        return Scan((), round(FORWARD_SHARE * examples))
    scores = score(
        saliency,
        SaliencyInputs(
            {name: weight.detach().clone() for name, weight in masked.weights.items()},
            before={},
            gradients=_no_gradients,
            seed=seeds.mask,
        ),
    )
    can_cache = not recovery_epochs and task.own_forward is None
    records = []
    for layer in masked.names:
        tail = _suffix(masked, layer) if suffix_only and can_cache else None
        inputs = None if tail is None else _inputs_of(tail[0], task)
        evaluated += inputs is not None
        for level in levels:
            copied = build_model(task, seeds.init)
            fresh = mask_layers(copied, include, exclude)
            load_model(copied, state)
            cut = allocate("per_layer", Request(scores, fresh.masks, {layer: level}))
            fresh.cut(cut.masks, optimizer=None)
            if recovery_epochs:
                trained += _recover(task, fresh, seeds, recovery_epochs)
            found = _evaluate(task, fresh, layer, inputs)
            evaluated += 1
            records.append(
                SensitivityRecord(
                    layer=layer,
                    sparsity=level,
                    **found.columns("val"),
                    **{quality.drop_column: quality.drop(dense, found.value(quality))},
                    seed=seed,
                    recovery_epochs=recovery_epochs,
                )
            )
    return Scan(tuple(records), trained + round(FORWARD_SHARE * evaluated * examples))


def sparsity_thresholds(
    records: Iterable[SensitivityRecord], tolerated_drop: float, quality: MetricRecord
) -> dict[str, float]:
    """Highest level of each layer up to which the mean drop of the quality stays tolerable.

    Levels beyond the first that is not tolerable do not count, even where the curve comes back.

    Parameters
    ----------
    records
        Of one or several seeds; drops are averaged over them.
    tolerated_drop
        Of a share or a score as it is, such as 0.01 for one point; of an amount relative to what
        it was before the cut.
    quality
        Metric whose drop it is.
    """
    drops: dict[str, dict[float, list[float]]] = {}
    for record in records:
        layer = drops.setdefault(record.layer, {})
        before = record.metric(quality.column) + record.drop * (
            1 if quality.direction == "max" else -1
        )
        layer.setdefault(record.sparsity, []).append(record.drop / scale(quality, before))
    highest = {}
    for name, curve in drops.items():
        highest[name] = 0.0
        for level in sorted(curve):
            if not sum(curve[level]) / len(curve[level]) <= tolerated_drop + 1e-12:
                break
            highest[name] = level
    return highest


def _recover(task: Task, masked: MaskedLayers, seeds: Seeds, epochs: float) -> int:
    """Fine-tune; how many examples were seen."""
    last = dense_steps(task)
    steps = round(epochs * steps_per_epoch(task.recipe, len(task.data.train)))
    segment = Segment(steps, max(last - 1, 0), lr_moves=False, data_step=last)
    train(masked.model, build_optimizer(task.recipe, masked.model), task, segment, seeds.data)
    return samples_in(task, segment)


def _evaluate(task: Task, masked: MaskedLayers, layer: str, inputs: Split | None) -> Evaluation:
    if inputs is None:
        return evaluate(masked.model, task.data.validation, task)
    tail = _suffix(masked, layer)
    assert tail is not None
    return evaluate(tail[1], inputs, replace(task, transform=None))


def _suffix(masked: MaskedLayers, layer: str) -> tuple[nn.Sequential, nn.Sequential] | None:
    """What comes before a layer and what begins with it, if the model is such a chain."""
    model = masked.model
    if type(model) is not nn.Sequential or layer not in model._modules:
        return None
    place = list(model._modules).index(layer)
    chain = list(model)
    head, tail = nn.Sequential(*chain[:place]), nn.Sequential(*chain[place:])
    if any(masked.weights[layer] is parameter for parameter in head.parameters()):
        return None  # a tied weight is cut in the head too
    return head, tail


def _inputs_of(head: nn.Sequential, task: Task) -> Split:
    """What the layer sees, batch by batch as an evaluation of the whole model would have it."""
    split, dtype = task.data.validation, working_dtype(task.build_model())
    inputs, targets = [], []
    with evaluating(head), torch.no_grad():
        for batch in split.batches(in_order(len(split), eval_size(task))):
            inputs.append(head(task.prepared(batch.inputs, dtype)))
            targets.append(batch.targets)
    return Split(torch.cat(inputs), joined(targets, [len(part) for part in inputs]))


def _no_gradients() -> Mapping[str, torch.Tensor]:
    raise UsageError("saliency: a sensitivity scan has no gradients; use magnitude or random")
