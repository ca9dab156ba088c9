"""Channels, neurons and heads: narrow one coupled set of them, leave the others, and evaluate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from study.errors import UsageError
from study.pruning.channels import channels_of, run_examples, unit_request, unit_scores
from study.pruning.cost import dense_cost
from study.pruning.masking.choosing import mask_layers
from study.pruning.masking.masks import MaskedLayers
from study.pruning.plan import PruningPlan
from study.pruning.scoring import Scoring
from study.pruning.selection.ranking import keep_best
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
from study.pruning.sensitivity.savings import Clock, Level, savings
from study.pruning.sensitivity.trying import evaluate_from, inputs_of, recover, suffix
from study.pruning.structure.cutting import alive_units, masks_of, with_companions
from study.pruning.structure.request import UnitRequest
from study.pruning.structure.sizes import sizes_of
from study.pruning.structure.units import Alive, Structure
from study.pruning.training.train_state import TrainState, load_model
from study.pruning.training.trajectory import build_model
from study.records import MetricRecord, SensitivityRecord
from study.tasks.judging.evaluation import evaluate
from study.tasks.task import Task


def scan_channels(
    task: Task,
    state: TrainState,
    plan: PruningPlan,
    *,
    levels: Sequence[float] = DEFAULT_LEVELS,
    recovery_epochs: float = 0.0,
    quality: MetricRecord | None = None,
    start: TrainState | None = None,
    round_: int = 1,
    clock: Clock | None = None,
    suffix_only: bool = True,
    watcher: Watcher | None = None,
) -> Scan:
    """Scan the channels of a network on the validation split, one coupled set after the other.

    Every level starts from a fresh copy of the state. Of a set the lowest scores go first; widths
    that are left are multiples of the plan's ``width_multiple``, and one unit stays. Levels that
    leave as many units are one network, which is tried once. With masks in the state the scan is
    conditional: the other sets keep what they have, and a level that the set is already past cuts
    nothing more.

    Parameters
    ----------
    task
        Data and loss.
    state
        The network: weights, statistics, and masks if it has any.
    plan
        Says what is taken out (``structure``, ``width_multiple``, ``layer_floor``), from which
        layers, by which saliency, and the seeds. How far it goes is of no account.
    levels
        Shares of the units of a set, each in [0, 1).
    recovery_epochs
        Epochs of fine-tuning at the last learning rate after each cut; 0: none.
    quality
        Metric whose drop is told; None: the task's first.
    start
        The state before training, for saliencies that look at it.
    round_
        Of the plan, whose cut this would be: it decides on which examples a saliency looks.
    clock
        Predicts what narrower networks take; None: no time is told.
    suffix_only
        Without recovery, evaluate only what comes after the cut, as :func:`.weights.scan` does.
    watcher
        Knows the sets that were scanned before, and is told of each that is finished.

    Returns
    -------
    Scan
        The records, each with what it saves; and what they cost, a saliency's look at the data
        included.

    Raises
    ------
    UsageError
        If a level is out of range, no channels can be taken out, or the saliency has no answer.

    References
    ----------
    Li et al. 2017, "Pruning Filters for Efficient ConvNets", section 3.2.
    """
    check_levels(levels)
    masked = _masked(task, plan)
    structures = channels_of(plan, task, masked)  # of new weights, as a trial finds them
    load_model(masked.model, state)
    quality = quality or task.quality
    whole = evaluate(masked.model, task.data.validation, task)
    dense = whole.value(quality)
    examples = len(task.data.validation)
    if not math.isfinite(dense):
        return Scan((), round(FORWARD_SHARE * examples))
    scores, looked_at = _scores(task, masked, structures, plan, start, round_)
    alive = alive_units(masked, structures)
    costs = dense_cost(masked, partial(run_examples, task))
    by_macs = plan.model_copy(update={"budget": "macs"})
    request = unit_request(by_macs, masked, structures, costs, alive, scores, 0.0)
    cuts = _cuts(request, levels)
    macs = sizes_of(structures, masked.weights, masked.parameter_names, costs.macs_by_layer)
    saved = savings(task, masked, structures, macs, costs.other_macs, cuts, alive, clock)
    watcher, scanned = watcher or Unwatched(), list[ScannedLayer]()
    for structure in structures:
        before = watcher.known(structure.name)
        if before is not None:
            scanned.append(before)
            continue
        tensors = [part.tensor for part in structure.parts]
        is_quick = suffix_only and not recovery_epochs and task.own_forward is None
        tail = suffix(masked.model, tensors) if is_quick else None
        inputs = None if tail is None else inputs_of(tail[0], task)
        untouched = int(alive[structure.name].sum())
        found = {} if recovery_epochs else {untouched: whole}
        records, trained, evaluated = list[SensitivityRecord](), 0, int(inputs is not None)
        for level in levels:
            left = _left(request, structure, level)
            if left not in found:
                fresh = with_companions(_masked(task, plan), structures)
                load_model(fresh.model, state)
                fresh.cut(masks_of(fresh, structures, cuts[structure.name, left]), optimizer=None)
                if recovery_epochs:
                    trained += recover(task, fresh, plan.seeds, recovery_epochs)
                found[left] = evaluate_from(task, fresh.model, tensors, inputs)
                evaluated += 1
            records.append(
                SensitivityRecord(
                    layer=structure.name,
                    sparsity=level,
                    **found[left].columns("val"),
                    **{quality.drop_column: quality.drop(dense, found[left].value(quality))},
                    seed=plan.seed,
                    recovery_epochs=recovery_epochs,
                    units=structure.units,
                    units_left=left,
                    **saved[structure.name, left].columns,
                )
            )
            watcher.level_tried()
        scanned.append(ScannedLayer(structure.name, tuple(records), evaluated, trained))
        watcher.layer_scanned(scanned[-1])
    return together(scanned, examples, looked_at)


def _masked(task: Task, plan: PruningPlan) -> MaskedLayers:
    model = build_model(task, plan.seeds.init)
    return mask_layers(model, plan.include or None, plan.exclude or None)


def _left(request: UnitRequest, structure: Structure, level: float) -> int:
    """Units that a level leaves."""
    alive = int(request.alive[structure.name].sum())
    return min(request.width_at(structure, level), alive)


def _cuts(request: UnitRequest, levels: Sequence[float]) -> dict[Level, Alive]:
    """What is left of every structure where one alone is narrowed, for each width."""
    cuts: dict[Level, Alive] = {}
    for structure in request.structures:
        name = structure.name
        for left in {_left(request, structure, level) for level in levels}:
            kept = keep_best(request.scores[name].cpu(), request.alive[name].cpu(), left)
            cuts[name, left] = {**request.alive, name: kept}
    return cuts


def _scores(
    task: Task,
    masked: MaskedLayers,
    structures: Sequence[Structure],
    plan: PruningPlan,
    start: TrainState | None,
    round_: int,
) -> tuple[dict[str, Tensor], int]:
    """The score of each unit, and how many examples were looked at for it."""
    before = {}
    if start is not None:
        names = masked.parameter_names
        before = {layer: start.model[names[layer]] for layer in masked.names}
    scoring = Scoring(plan, task, masked, before, round_)
    try:
        with torch.no_grad():
            scores = unit_scores(plan, round_, masked, structures, scoring)
    except KeyError as error:
        if before:
            raise
        raise UsageError(
            f"saliency {plan.saliency!r} looks at the weights before training, which a scan of a "
            "pruned network does not have; scan the dense network, or take another saliency."
        ) from error
    return scores, scoring.samples
