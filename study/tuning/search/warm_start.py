"""Known allocations as points of the space, crossed with how they are retrained, to begin with."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from search_spaces import Layer, Range, SearchSpace
from search_spaces.cuts import rounds_of, total_of
from search_spaces.structures import Structure, allocations_for, alternatives
from search_spaces.values import options
from study.errors import UsageError
from study.pruning.masking.choosing import mask_layers
from study.pruning.masking.masks import MaskedLayers
from study.pruning.selection.additive_optimum import additive_optimum
from study.pruning.selection.allocation import allocate
from study.pruning.selection.request import Request
from study.pruning.sensitivity.thresholds import scanned_drops
from study.pruning.training.train_state import load_model
from study.pruning.training.trajectory import Trajectory, build_model, dense_steps
from study.records import SensitivityRecord
from study.tasks.task import Task
from study.tuning.search.coupled import CoupledSets

WAYS = ("lr_rewind", "weight_rewind", "finetune", "reinit")
"""Ways of retraining, the one to be preferred first."""

LENGTHS = (0.2, 0.6, 1.0)
"""Places in the range of ``retrain_epochs``."""

USUAL_CUT = 0.3
"""Share of what remains that a round removes, where the space gives a number of rounds: in between
the fifth of Frankle and Carbin 2019 and the third or so of shorter descents."""

Descent = tuple[float, int]
"""Total density of the last round, and how many rounds there are."""


def warm_start_points(
    space: SearchSpace,
    layers: Sequence[Layer],
    task: Task,
    dense: Trajectory,
    records: Sequence[SensitivityRecord],
    allocations: Sequence[str],
    densities: Sequence[float],
    most: int,
    sets: CoupledSets | None = None,
) -> list[dict[str, Any]]:
    """Parameters of the points nearest to known allocations of the dense network's weights.

    Allocations, ways of retraining, lengths of retraining, final densities (or cuts) and structures
    are crossed: no factor follows from another, so that what is seen of one is not the other's
    doing.
    The most preferred comes first: learning-rate rewinding, which Renda et al. find to be the best
    where nothing is known; never reinit, where there is another way. On a geometric schedule each
    round removes a third or so of what remains, if the space has so many rounds, so that each plan
    shows its allocation at every density on the way down.

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
        of the scan, where layers have sparsities of their own. Where the space has a total and
        allocations, those that are none of them are left out; scores are moved by no offset.
    densities
        Total densities of the last round, unless the space is given by cuts. One that an
        allocation cannot reach is left out.
    most
        How many points there may be. Points that the space makes the same (because it clips or
        groups) come once.
    sets
        The coupled sets of channels, where the space takes channels out; layers are these then,
        unless the space is global.

    References
    ----------
    Renda, Frankle and Carbin 2020, "Comparing Rewinding and Fine-tuning in Neural Network
    Pruning", arXiv:2003.02389.
    """
    model = build_model(task, init_seed=0)
    load_model(model, dense.states[dense_steps(task)])
    masked = mask_layers(model, space.include or None, space.exclude or None)
    descents = _descents(space, densities)
    structures = alternatives(space.structure)
    cuts = {
        (kind, allocation, place): sparsity
        for place, (density, _) in enumerate(descents)
        for allocation in allocations
        for kind, structure in enumerate(structures)
        if (sparsity := _allocated(space, structure, allocation, density, masked, records, sets))
        is not None
    }
    factors: tuple[Sequence[Any], ...] = (
        _ways(space),
        allocations,
        range(len(descents)),
        _lengths(space),
        *([range(len(structures))] if len(structures) > 1 else []),
    )
    allowed = [
        levels
        for levels in itertools.product(*(range(len(factor)) for factor in factors))
        if (_kind(levels), allocations[levels[1]], levels[2]) in cuts
    ]
    points: list[dict[str, Any]] = []
    counts: Counter[tuple[int, int, int, int]] = Counter()
    while allowed and len(points) < most:
        levels = min(allowed, key=lambda each: (_repeats(each, counts), each))
        allowed.remove(levels)
        way, allocation, place, length, *_ = (f[n] for f, n in zip(factors, levels, strict=True))
        sparsity = cuts[_kind(levels), allocation, place]
        plan = _plan(space, allocation, sparsity, descents[place], way, length)
        plan["structure"] = structures[_kind(levels)]
        point = space.nearest_parameters(plan, layers)
        if point not in points:
            points.append(point)
            counts.update(_pairs(levels))
    return points


def _kind(levels: Sequence[int]) -> int:
    """Place of the structure, the last factor where there are several."""
    return levels[4] if len(levels) > 4 else 0


def _pairs(levels: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """Every two factors and the levels that they have."""
    return [
        (one, other, levels[one], levels[other])
        for one, other in itertools.combinations(range(len(levels)), 2)
    ]


def _repeats(levels: Sequence[int], counts: Mapping[tuple[int, int, int, int], int]) -> Any:
    """How often pairs of these levels came before: the sum of squares grows by this much."""
    seen = [counts.get(pair, 0) for pair in _pairs(levels)]
    return sum(2 * count + 1 for count in seen), max(seen)


def _descents(space: SearchSpace, densities: Sequence[float]) -> list[Descent]:
    """Where plans end, and in how many rounds."""
    if space.cut is not None:
        assert space.floor is not None
        cuts = options(space.cut)
        if isinstance(space.cut, Range):  # the smallest, and one half-way to the largest
            low, high = space.cut.low, space.cut.high
            cuts = (low, 1.0 - math.sqrt((1.0 - low) * (1.0 - high)))
        return [(total_of(cut, space.floor), rounds_of(cut, space.floor)) for cut in cuts]
    allowed = [int(rounds) for rounds in options(space.rounds)]
    return [
        (density, min(allowed, key=lambda rounds: abs(rounds - _usual_rounds(density))))
        for density in densities
    ]


def _usual_rounds(density: float) -> float:
    return rounds_of(USUAL_CUT, density) if density < 1.0 else 1.0


def _ways(space: SearchSpace) -> list[str]:
    ways = [way for way in WAYS if way in options(space.retrain)]
    return ways[:-1] if len(ways) > 1 and ways[-1] == "reinit" else ways


def _lengths(space: SearchSpace) -> list[float | None]:
    """Epochs of retraining to try; None alone where the space leaves them to the dense run."""
    if space.retrain_epochs is None:
        return [None]
    epochs = [float(each) for each in options(space.retrain_epochs)]
    low, high = min(epochs), max(epochs)
    return list(dict.fromkeys(low + place * (high - low) for place in LENGTHS))


def _allocated(
    space: SearchSpace,
    structure: Structure,
    allocation: str,
    density: float,
    masked: MaskedLayers,
    records: Sequence[SensitivityRecord],
    sets: CoupledSets | None,
) -> dict[str, float] | None:
    """Sparsity of each layer; None where the allocation has no answer."""
    if allocation == "sensitivity" and not records:
        return None
    if space.by_allocation and allocation not in options(space.allocation):
        return None
    if space.by_allocation and allocation not in allocations_for(structure):
        return None
    if space.by_allocation and structure != "weights":
        return {}  # which widths it comes to is found in the trial; the parameters need no such
    try:
        if sets is not None:
            if allocation not in allocations_for(structure):
                return None
            return sets.allocated(allocation, density, space, masked, scanned_drops(records))
        if allocation == "sensitivity":
            return additive_optimum(records, masked.total, 1.0 - density)
        scores = {layer: weight.detach().abs() for layer, weight in masked.weights.items()}
        cut = allocate(allocation, Request(scores, masked.masks, 1.0 - density))
        return {n: 1.0 - int(m.sum()) / m.numel() for n, m in cut.masks.items()}
    except UsageError:
        return None  # uniform_plus protects more than is to be left, or the scan ends early


def _plan(
    space: SearchSpace,
    allocation: str,
    sparsity: dict[str, float],
    descent: Descent,
    retrain: str,
    retrain_epochs: float | None,
) -> dict[str, Any]:
    schedules = options(space.schedule)
    by_layer = not space.by_allocation
    density, rounds = descent
    fields: dict[str, Any] = {
        "allocation": "per_layer" if by_layer else allocation,
        "sparsity": sparsity if by_layer else 1.0 - density,
        "schedule": "geometric" if "geometric" in schedules else schedules[0],
        "rounds": rounds,
        "retrain": retrain,
        "retrain_epochs": retrain_epochs,
    }
    if retrain == "weight_rewind":
        fields["rewind_epoch"] = float(min(options(space.rewind_epoch)))
    if space.retrain_lr is not None:
        rates = options(space.retrain_lr)
        fields["retrain_lr"] = math.sqrt(min(rates) * max(rates))
    return fields
