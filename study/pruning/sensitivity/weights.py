"""Single weights: prune one layer to a level, leave the others, and evaluate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch

from study.errors import UsageError
from study.pruning.masking.choosing import mask_layers
from study.pruning.seeds import Seeds
from study.pruning.selection.allocation import allocate
from study.pruning.selection.request import Request
from study.pruning.selection.saliency import SaliencyInputs, score
from study.pruning.sensitivity.found import (
    DEFAULT_LEVELS,
    FORWARD_SHARE,
    Scan,
    ScannedLayer,
    Unwatched,
    Watcher,
    check_levels,
    together,
)
from study.pruning.sensitivity.trying import evaluate_from, inputs_of, recover, suffix
from study.pruning.training.train_state import TrainState, load_model
from study.pruning.training.trajectory import build_model
from study.records import MetricRecord, SensitivityRecord
from study.tasks.judging.evaluation import evaluate
from study.tasks.task import Task


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
    watcher: Watcher | None = None,
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
    watcher
        Knows the layers that were scanned before, and is told of each that is finished.

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
    check_levels(levels)
    model = build_model(task, seeds.init)
    masked = mask_layers(model, include, exclude)
    load_model(model, state)
    quality = quality or task.quality
    dense = evaluate(model, task.data.validation, task).value(quality)
    examples = len(task.data.validation)
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
    watcher, found = watcher or Unwatched(), list[ScannedLayer]()
    for layer in masked.names:
        before = watcher.known(layer)
        if before is not None:
            found.append(before)
            continue
        weight = [masked.parameter_names[layer]]
        tail = suffix(model, weight) if suffix_only and can_cache else None
        inputs = None if tail is None else inputs_of(tail[0], task)
        records, trained = list[SensitivityRecord](), 0
        for level in levels:
            copied = build_model(task, seeds.init)
            fresh = mask_layers(copied, include, exclude)
            load_model(copied, state)
            cut = allocate("per_layer", Request(scores, fresh.masks, {layer: level}))
            fresh.cut(cut.masks, optimizer=None)
            if recovery_epochs:
                trained += recover(task, fresh, seeds, recovery_epochs)
            figures = evaluate_from(task, copied, weight, inputs)
            records.append(
                SensitivityRecord(
                    layer=layer,
                    sparsity=level,
                    **figures.columns("val"),
                    **{quality.drop_column: quality.drop(dense, figures.value(quality))},
                    seed=seed,
                    recovery_epochs=recovery_epochs,
                )
            )
            watcher.level_tried()
        evaluated = len(records) + (inputs is not None)
        found.append(ScannedLayer(layer, tuple(records), evaluated, trained))
        watcher.layer_scanned(found[-1])
    return together(found, examples)


def _no_gradients() -> Mapping[str, torch.Tensor]:
    raise UsageError("saliency: a sensitivity scan has no gradients; use magnitude or random")
