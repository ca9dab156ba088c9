"""Which channels a round takes out: score, and allocate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from search_spaces.structures import removals_by_layer
from study.errors import UsageError, unknown_name
from study.pruning.cost import DenseCost
from study.pruning.masking.masks import MaskedLayers
from study.pruning.masking.patterns import resolve_patterns
from study.pruning.plan import PruningPlan
from study.pruning.scoring import Scoring
from study.pruning.seeds import derive_seed
from study.pruning.selection.ranking import keep_best
from study.pruning.structure.allocation import RANKINGS, cut_units
from study.pruning.structure.cutting import alive_units
from study.pruning.structure.finding import Kind, prunable_units
from study.pruning.structure.request import (
    UnitRequest,
    refuse_unreachable,
    with_usual_floor,
)
from study.pruning.structure.scores import UNIT_SALIENCIES, UnitInputs, summed
from study.pruning.structure.sizes import Measure, Sizes, sizes_of
from study.pruning.structure.units import Alive, Structure
from study.tasks.forward import working_dtype
from study.tasks.task import Task


def channels_of(plan: PruningPlan, task: Task, masked: MaskedLayers) -> list[Structure]:
    """The channels and heads that a plan may take out; none where it removes entries alone.

    Raises
    ------
    UsageError
        If the plan is to take some out, and the network has none that can be.
    """
    kind = plan.removal.units
    if kind is None:
        return []
    by_layer = removals_by_layer(plan.structure, masked.names)
    made_by = [layer for layer, removal in by_layer.items() if removal.units]
    return prunable_units(
        masked, lambda model: run_examples(task, model, 2), cast(Kind, kind), made_by
    )


def run_examples(task: Task, model: nn.Module, examples: int) -> Any:
    """A forward pass of the first so many training examples."""
    batch = task.data.train.take(torch.arange(examples))
    return task.forward(model, task.prepared(batch.inputs, working_dtype(model)))


@torch.no_grad()
def choose_channels(
    plan: PruningPlan,
    round_: int,
    masked: MaskedLayers,
    structures: Sequence[Structure],
    dense: DenseCost,
    scoring: Scoring,
    latency: Measure | None = None,
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """The channels that a round leaves, bool, (units,), by structure.

    Beside them the share of each layer's weights that was asked to go, where that was by name.

    Parameters
    ----------
    plan
        Whose round it is.
    round_
        The round, from 1.
    masked
        The network as the last round left it.
    structures
        Its channels.
    dense
        What its layers cost when nothing is pruned.
    scoring
        What the saliency may look at.
    latency
        What it takes in milliseconds, where that counts.
    """
    alive = alive_units(masked, structures)
    scores = unit_scores(plan, round_, masked, structures, scoring)
    sparsity = plan.unit_sparsity_at(round_)
    request = unit_request(plan, masked, structures, dense, alive, scores, sparsity, latency)
    if plan.layer_floor is None and plan.allocation in RANKINGS:
        request = with_usual_floor(request)
    left = cut_units(plan.allocation, request)
    if plan.shuffle_masks:
        left = _shuffled(left, alive, derive_seed(plan.seeds.mask, "shuffle", round_))
    return left, _requested(request, masked)


def reachable_widths(plan: PruningPlan, structures: Sequence[Structure]) -> dict[str, list[int]]:
    """How many channels a plan's cuts may leave of each structure, the most first."""
    nothing = sizes_of((), {}, {}, {})
    asked = UnitRequest(
        structures,
        {},
        {},
        nothing,
        0.0,
        nothing,
        layer_floor=plan.layer_floor or 0.0,
        width_multiple=plan.width_multiple,
    )
    return {structure.name: asked.widths(structure) for structure in structures}


def check_channels(
    plan: PruningPlan,
    masked: MaskedLayers,
    structures: Sequence[Structure],
    dense: DenseCost,
    latency: Measure | None = None,
) -> None:
    """Find out before the dense run whether a plan's cuts can be made.

    Raises
    ------
    UsageError
        If floors and multiples of widths leave more than the plan ends with, or the saliency reads
        a norm that there is not.
    """
    parameters = {name: p.detach() for name, p in masked.model.named_parameters()}
    if plan.saliency == "norm_scale":
        inputs = UnitInputs(parameters, frozenset(masked.parameter_names.values()), list, 0)
        UNIT_SALIENCIES["norm_scale"](structures, inputs)
    for name in plan.scanned_drops:
        if name not in (known := [structure.name for structure in structures]):
            raise unknown_name("scanned_drops", name, known)
    sparsity = plan.unit_sparsity_at(plan.rounds)
    if not isinstance(sparsity, float):
        return
    alive = {s.name: torch.ones(s.units, dtype=torch.bool) for s in structures}
    request = unit_request(plan, masked, structures, dense, alive, {}, sparsity, latency)
    least = {structure.name: request.floor(structure) for structure in structures}
    until_entries = plan.has_entries_at(plan.rounds) and plan.unit_sparsity is not None
    refuse_unreachable(request, least, "unit_sparsity" if until_entries else "sparsity")


def _requested(request: UnitRequest, masked: MaskedLayers) -> dict[str, float]:
    """Share of each layer's weights that goes with the units asked for, where they were by name."""
    if not isinstance(request.sparsity, Mapping):
        return {}
    names = [structure.name for structure in request.structures]
    sparsity = resolve_patterns(request.sparsity, names)
    left = {s.name: s.units * (1.0 - sparsity.get(s.name, 0.0)) for s in request.structures}
    weights = _weights(masked, request.structures)
    return {layer: 1.0 - weights.share(layer, left) for layer in weights.sides}


def _weights(masked: MaskedLayers, structures: Sequence[Structure]) -> Sizes:
    dense = {layer: float(total) for layer, total in masked.total.items()}
    return sizes_of(structures, masked.weights, masked.parameter_names, dense)


def unit_request(
    plan: PruningPlan,
    masked: MaskedLayers,
    structures: Sequence[Structure],
    dense: DenseCost,
    alive: Alive,
    scores: Mapping[str, Tensor],
    sparsity: float | Mapping[str, float],
    latency: Measure | None = None,
) -> UnitRequest:
    """What a cut of channels is asked to do; the arguments are those of :func:`choose_channels`."""

    def sizes(measure: str | None) -> Measure:
        if measure == "latency_ms":
            assert latency is not None
            return latency
        if measure == "macs":
            macs = dense.macs_by_layer
            return sizes_of(structures, masked.weights, masked.parameter_names, macs)
        return _weights(masked, structures)

    return UnitRequest(
        structures,
        alive,
        scores,
        sizes(plan.budget),
        sparsity,
        cost=sizes(_cost(plan)),
        cost_exponent=plan.cost_exponent,
        offsets=resolve_patterns(
            plan.score_offsets, [structure.name for structure in structures], "score_offsets"
        ),
        layer_floor=plan.layer_floor or 0.0,
        width_multiple=plan.width_multiple,
        drops=plan.scanned_drops,
    )


def _cost(plan: PruningPlan) -> str | None:
    """By what scores are divided, if by anything."""
    return plan.cost if plan.cost_exponent else None


def unit_scores(
    plan: PruningPlan,
    round_: int,
    masked: MaskedLayers,
    structures: Sequence[Structure],
    scoring: Scoring,
) -> dict[str, Tensor]:
    """The saliency of each channel before a round's cut; arguments as of :func:`choose_channels`.

    Raises
    ------
    UsageError
        If scores are not finite, or the saliency does not fit the network.
    """
    names = masked.parameter_names

    def by_parameter() -> Iterable[tuple[float, dict[str, Tensor]]]:
        for share, gradients in scoring.batch_gradients():
            yield share, {names[layer]: gradient for layer, gradient in gradients.items()}

    inputs = UnitInputs(
        {name: parameter.detach() for name, parameter in masked.model.named_parameters()},
        frozenset(names.values()),
        by_parameter,
        derive_seed(plan.seeds.mask, "saliency", round_),
    )
    if plan.saliency in UNIT_SALIENCIES:
        scores = UNIT_SALIENCIES[plan.saliency](structures, inputs)
    else:
        of_weights = {names[layer]: values for layer, values in scoring.scores.items()}
        scores = summed(structures, inputs, of_weights)
    for name, values in scores.items():
        if not bool(torch.isfinite(values).all()):
            raise UsageError(
                f"saliency {plan.saliency!r} gave scores that are not finite for the channels of "
                f"{name!r}: the weights or gradients have diverged"
            )
    return scores


def _shuffled(left: Alive, alive: Alive, seed: int) -> dict[str, Tensor]:
    """A control: as many channels of each structure, drawn from those that were alive."""
    found = {}
    for name, units in left.items():
        generator = torch.Generator().manual_seed(derive_seed(seed, name))
        draws = torch.rand(units.shape, generator=generator)
        found[name] = keep_best(draws, alive[name], int(units.sum()))
    return found
