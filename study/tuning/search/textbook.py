"""The run that a textbook would make: what every study is compared with, and begins with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from search_spaces import Layer, SearchSpace
from search_spaces.cuts import rounds_of
from search_spaces.structures import FREE, UNIT_SPARSITY, Structure, alternatives, removal_of
from search_spaces.values import options
from study.pruning.plan import PruningPlan
from study.tasks.task import Task
from study.tasks.training.recipe import steps_per_epoch

TEXTBOOK_CUT = 0.2
"""Share of what remains that each round removes."""

SHARE_OF_DENSE = 0.2
"""Epochs of retraining after each cut, as a share of the dense run's."""

LEAST_EPOCHS = 2.0
"""Fewer only where the dense run itself has fewer."""


def textbook_plan(
    space: SearchSpace, layers: Sequence[Layer], task: Task, seed: int, floor: float | None = None
) -> PruningPlan:
    """Iterative magnitude pruning as the literature has it, down to where the space ends.

    A fifth of what remains goes each round, the lowest LAMP scores of all layers first; after each
    cut the network retrains for the last fifth of the dense schedule, or its last two epochs where
    these are more, with the learning rates that it had there. Of channels the same share of every
    layer goes, those of the least absolute weights first, in steps of a fifth at most that end just
    where the space does. A pattern of n:m is reached by such steps too. A search over several
    structures begins with single weights, or else the first.
    Nothing of it is searched, so what a search adds can be told beside it.

    Parameters
    ----------
    space
        Says how far to go down, which layers are pruned, and how long to retrain where there is no
        dense run. A ``layer_floor`` counts where it is fixed.
    layers
        The network's prunable layers.
    task
        Says how long the dense run is.
    seed
        Of the study's plans.
    floor
        Least density of the weights that the space allows, beyond which this run does not go; set
        where the space has a level for each coupled set of channels, from which it alone cannot
        tell. Unset: the space tells, and the run ends there, of entries at or just below that.

    Returns
    -------
    PruningPlan
        It need not be one of the space's own.

    Raises
    ------
    ValueError
        If the bounds of the space wait for a scan.

    References
    ----------
    Han et al. 2015, "Learning both Weights and Connections for Efficient Neural Networks": prune
    by magnitude, retrain, and again. Frankle and Carbin 2019, "The Lottery Ticket Hypothesis": a
    fifth of what remains each round. Renda et al. 2020, "Comparing Rewinding and Fine-tuning in
    Neural Network Pruning": learning-rate rewinding. Lee et al. 2021, "Layer-adaptive Sparsity for
    the Magnitude-based Pruning": LAMP. Li et al. 2017, "Pruning Filters for Efficient ConvNets":
    channels by the sum of their absolute weights.
    """
    layer_floor = space.layer_floor if isinstance(space.layer_floor, (int, float)) else 0.0
    total = sum(layer.total for layer in layers)
    least = sum(math.ceil(layer_floor * layer.total) for layer in layers)
    structures = alternatives(space.structure)
    structure = "weights" if "weights" in structures else structures[0]
    removal = removal_of(structure)
    fields = _fields_of(space, structure)
    most = removal.most(fields.get("unit_sparsity", 0.0))
    ends = space.floor_density(layers) if floor is None else floor
    if most is not None:
        ends = 1.0 - most
    rounds = 1 if ends >= 1 - TEXTBOOK_CUT else rounds_of(TEXTBOOK_CUT, ends)
    least = max(least, 1 if floor is None else math.ceil(floor * total))
    while rounds > 1 and (1 - TEXTBOOK_CUT) ** rounds * total < least:
        rounds -= 1  # a round more would leave less than must stay
    kept = (1 - TEXTBOOK_CUT) ** rounds
    if removal.units and not removal.entries:
        kept = max(kept, ends)  # whole steps may go below what any network can be narrowed to
    return PruningPlan(
        **fields,
        budget=space.budget,
        allocation="lamp" if removal.entries in FREE and not removal.units else "uniform",
        sparsity=1.0 - kept if most is None else most,
        saliency="magnitude",
        schedule="geometric",
        rounds=rounds,
        retrain="lr_rewind",
        retrain_epochs=_retrain_epochs(space, task),
        layer_floor=layer_floor,
        include=space.include,
        exclude=space.exclude,
        seed=seed,
    )


def _fields_of(space: SearchSpace, structure: Structure) -> dict[str, Any]:
    """What is removed; of a range the lower end says up to where units go."""
    removal = removal_of(structure)
    fields: dict[str, Any] = {"structure": structure}
    if removal.units:
        fields["width_multiple"] = space.width_multiple
    if removal.is_mixed:
        until = UNIT_SPARSITY if space.unit_sparsity is None else min(options(space.unit_sparsity))
        fields["unit_sparsity"] = until
    if removal.entries == "blocks":
        fields["block"] = space.block
    return fields


def _retrain_epochs(space: SearchSpace, task: Task) -> float:
    if task.recipe.epochs:
        step = 1.0 / steps_per_epoch(task.recipe, len(task.data.train))
        least = min(LEAST_EPOCHS, task.recipe.epochs)
        return max(SHARE_OF_DENSE * task.recipe.epochs, least, step)
    if space.function is not None or space.retrain_epochs is None:
        return 1.0
    lengths: list[Any] = sorted(options(space.retrain_epochs))
    return float(lengths[0] + lengths[-1]) / 2
