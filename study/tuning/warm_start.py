"""The known allocations as points of the space, to begin a search with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from search_spaces import Layer, SearchSpace
from search_spaces.values import options
from study.errors import UsageError
from study.pruning.allocation import Request, allocate
from study.pruning.masks import mask_layers
from study.pruning.training import load_model
from study.pruning.trajectory import Trajectory, build_model, dense_steps
from study.tasks.task import Task


def warm_start_points(
    space: SearchSpace,
    layers: Sequence[Layer],
    task: Task,
    dense: Trajectory,
    allocations: Sequence[str],
    densities: Sequence[float],
) -> list[dict[str, Any]]:
    """Parameters of the points nearest to known allocations of the dense network's weights.

    The plans have as many rounds as the space allows, on a geometric schedule where there is one,
    so that each of them shows its allocation at every density on the way. Points that the space
    makes the same (because it clips or groups) come once.

    Parameters
    ----------
    space, layers
        Where the points lie.
    task, dense
        The dense network, whose magnitudes decide what ``global`` and ``lamp`` keep.
    allocations
        Names of allocations that take one sparsity.
    densities
        Total densities of the last round. One that an allocation cannot reach is left out.
    """
    model = build_model(task, init_seed=0)
    load_model(model, dense.states[dense_steps(task)])
    masked = mask_layers(model, space.include or None, space.exclude or None)
    scores = {layer: weight.detach().abs() for layer, weight in masked.weights.items()}
    points: list[dict[str, Any]] = []
    for density in densities:
        for allocation in allocations:
            try:
                cut = allocate(allocation, Request(scores, masked.masks, 1.0 - density))
            except UsageError:
                continue  # uniform_plus protects more than is to be left
            sparsity = {n: 1.0 - int(m.sum()) / m.numel() for n, m in cut.masks.items()}
            point = space.nearest_parameters(_plan(space, allocation, sparsity, density), layers)
            if point not in points:
                points.append(point)
    return points


def _plan(
    space: SearchSpace, allocation: str, sparsity: dict[str, float], density: float
) -> dict[str, Any]:
    schedules, retrains = options(space.schedule), options(space.retrain)
    by_layer = space.form != "global"
    retrain = next(
        (way for way in ("lr_rewind", "weight_rewind", "finetune") if way in retrains), retrains[0]
    )
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
        fields["retrain_epochs"] = float(max(options(space.retrain_epochs)))
    return fields
