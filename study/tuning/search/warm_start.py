"""The known allocations as points of the space, to begin a search with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from search_spaces import Layer, SearchSpace
from search_spaces.values import options
from study.errors import UsageError
from study.pruning.masking.masks import mask_layers
from study.pruning.selection.additive_optimum import additive_optimum
from study.pruning.selection.allocation import Request, allocate
from study.pruning.training.steps import load_model
from study.pruning.training.trajectory import Trajectory, build_model, dense_steps
from study.records import SensitivityRecord
from study.tasks.task import Task

WAYS = ("lr_rewind", "weight_rewind", "finetune", "reinit")
"""The order in which ways of retraining are tried."""

LENGTHS = (0.2, 0.6, 1.0)
"""Places in the range of ``retrain_epochs`` that are tried in turn."""


def warm_start_points(
    space: SearchSpace,
    layers: Sequence[Layer],
    task: Task,
    dense: Trajectory,
    records: Sequence[SensitivityRecord],
    allocations: Sequence[str],
    densities: Sequence[float],
) -> list[dict[str, Any]]:
    """Parameters of the points nearest to known allocations of the dense network's weights.

    The plans have as many rounds as the space allows, on a geometric schedule where there is one,
    so that each of them shows its allocation at every density on the way down. They take turns in
    the ways of retraining (learning-rate rewinding first, which Renda et al. find to be the
    best where nothing is known; never reinit) and in how long they retrain, the shorter first.
    Points that the space makes the same (because it clips or groups) come once.

    Parameters
    ----------
    space, layers
        Where the points lie.
    task, dense
        The dense network, whose magnitudes decide what ``global`` and ``lamp`` keep.
    records
        The sensitivity scan; where there is none, ``sensitivity`` is left out.
    allocations
        Names of allocations that take one sparsity, and ``sensitivity`` for the additive optimum
        of the scan, where layers have sparsities of their own.
    densities
        Total densities of the last round. One that an allocation cannot reach is left out.

    References
    ----------
    Renda, Frankle and Carbin 2020, "Comparing Rewinding and Fine-tuning in Neural Network
    Pruning", arXiv:2003.02389.
    """
    model = build_model(task, init_seed=0)
    load_model(model, dense.states[dense_steps(task)])
    masked = mask_layers(model, space.include or None, space.exclude or None)
    scores = {layer: weight.detach().abs() for layer, weight in masked.weights.items()}
    ways = [way for way in WAYS if way in options(space.retrain)]
    ways = ways[:-1] if len(ways) > 1 and ways[-1] == "reinit" else ways
    points: list[dict[str, Any]] = []
    for density in densities:
        for allocation in allocations:
            if allocation == "sensitivity" and (not records or space.form == "global"):
                continue
            try:
                if allocation == "sensitivity":
                    sparsity = additive_optimum(records, masked.total, 1.0 - density)
                else:
                    cut = allocate(allocation, Request(scores, masked.masks, 1.0 - density))
                    sparsity = {n: 1.0 - int(m.sum()) / m.numel() for n, m in cut.masks.items()}
            except UsageError:
                continue  # uniform_plus protects more than is to be left, or the scan ends early
            turn = len(points)
            plan = _plan(space, allocation, sparsity, density, ways[turn % len(ways)], turn)
            point = space.nearest_parameters(plan, layers)
            if _cut_of(point) not in map(_cut_of, points):
                points.append(point)
    return points


def _cut_of(point: dict[str, Any]) -> dict[str, Any]:
    """What of a point decides the masks."""
    retraining = ("retrain", "rewind_epoch", "retrain_epochs", "retrain_lr", "retrain_lr_schedule")
    return {name: value for name, value in point.items() if name not in retraining}


def _plan(
    space: SearchSpace,
    allocation: str,
    sparsity: dict[str, float],
    density: float,
    retrain: str,
    turn: int,
) -> dict[str, Any]:
    schedules = options(space.schedule)
    by_layer = space.form != "global"
    fields: dict[str, Any] = {
        "allocation": "per_layer" if by_layer else allocation,
        "sparsity": sparsity if by_layer else 1.0 - density,
        "schedule": "geometric" if "geometric" in schedules else schedules[0],
        "rounds": max(options(space.rounds)),
        "retrain": retrain,
    }
    if retrain == "weight_rewind":
        fields["rewind_epoch"] = float(min(options(space.rewind_epoch)))
    if space.retrain_epochs is not None:
        epochs = [float(each) for each in options(space.retrain_epochs)]
        place = LENGTHS[turn % len(LENGTHS)]
        fields["retrain_epochs"] = min(epochs) + place * (max(epochs) - min(epochs))
    if space.retrain_lr is not None:
        rates = options(space.retrain_lr)
        fields["retrain_lr"] = math.sqrt(min(rates) * max(rates))
    return fields
