"""Which entries of matrices a round removes: single weights, blocks, or all but n of each m."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from search_spaces.structures import removals_by_layer
from study.errors import UsageError
from study.pruning.masking.masks import MaskedLayers
from study.pruning.masking.patterns import resolve_patterns
from study.pruning.plan import PruningPlan
from study.pruning.scoring import Scoring
from study.pruning.seeds import derive_seed
from study.pruning.selection.allocation import OWN_NUMBERS, allocate
from study.pruning.selection.costs import WeightCosts
from study.pruning.selection.ranking import pruned_count
from study.pruning.selection.regular_masks import (
    block_scores,
    living_blocks,
    spread_blocks,
    toward_n_of_m,
)
from study.pruning.selection.request import Cut, Request
from study.pruning.selection.saliency import chosen_anew, mended


@dataclass(frozen=True, eq=False)
class _Grid:
    """A layer's weights as outputs, inputs, and the places of its kernel, if it has one.

    ``rows`` are flat indices, shape (outputs, weights of one); ``kernel`` is its shape.
    """

    rows: Tensor
    kernel: tuple[int, ...]

    def of(self, values: Tensor) -> Tensor:
        divided: Tensor = values.flatten()[self.rows].unflatten(1, (-1, *self.kernel))
        return divided

    def back(self, mask: Tensor, like: Tensor) -> Tensor:
        whole = torch.zeros_like(like, memory_format=torch.contiguous_format).flatten()
        whole[self.rows.flatten()] = mask.flatten()
        return whole.view(like.shape)


def entry_layers(plan: PruningPlan, layers: Sequence[str]) -> list[str]:
    """The layers of which a plan removes entries.

    Raises
    ------
    UsageError
        If a table of structures does not fit the layers.
    """
    try:
        found = removals_by_layer(plan.structure, layers)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return [layer for layer, removal in found.items() if removal.entries]


def check_entries(plan: PruningPlan, masked: MaskedLayers) -> None:
    """Find out before the dense run whether layers can be divided as a plan's structure says.

    Raises
    ------
    UsageError
        If inputs (or with blocks also outputs) of a layer are no multiple of what they are divided
        into; it names all such layers.
    """
    layers = entry_layers(plan, masked.names)
    pattern, block = plan.removal.pattern, plan.block
    if pattern is None and block is None:
        return
    sides = (1, pattern[1]) if pattern is not None else block
    assert sides is not None
    uneven = []
    for layer, grid in _grids(masked, layers).items():
        outputs, inputs = grid.of(masked.masks[layer]).shape[:2]
        if outputs % sides[0] or inputs % sides[1]:
            uneven.append(f"{layer} ({outputs} outputs, {inputs} inputs)")
    if uneven:
        names = [each.partition(" ")[0] for each in uneven]
        wanted = (
            f"{pattern[0]}:{pattern[1]} needs inputs in multiples of {sides[1]}"
            if pattern is not None
            else f"blocks of {sides[0]} outputs and {sides[1]} inputs need multiples of these"
        )
        raise UsageError(
            f"structure: {wanted}, which {', '.join(uneven)} have not. Leave them whole: "
            f"exclude = {names}".replace("'", '"')
        )


@torch.no_grad()
def cut_entries(
    plan: PruningPlan,
    round_: int,
    masked: MaskedLayers,
    scoring: Scoring,
    costs: WeightCosts | None,
    left: Mapping[str, Tensor],
    room: Mapping[str, Tensor] | None,
) -> Cut:
    """The masks of a round that removes entries.

    Single weights and blocks are divided over layers by the plan's allocation. A pattern leaves
    nothing to divide: each layer removes the same share in a round, those of the lowest scores
    among the weights that the pattern lets go, and after the last round it holds everywhere.

    Parameters
    ----------
    plan, round_
        Whose round it is, from 1.
    masked
        The network as the last round left it.
    scoring
        What the saliency may look at.
    costs
        What weights cost; None where all cost the same.
    left
        Masks by layer, once the round has taken out units, if it does.
    room
        By layer what units leave, bool; None where all of them stay. Groups of a pattern are of
        inputs that lie side by side in the smaller network.
    """
    layers = entry_layers(plan, masked.names)
    masks = {layer: left[layer] for layer in layers}
    if plan.removal.pattern is not None:
        cut = _toward_pattern(plan, round_, masked, scoring, masks, room)
    elif plan.block is not None:
        cut = _cut_blocks(plan, round_, masked, scoring, masks, costs)
    else:
        cut = _cut_weights(plan, round_, masked, scoring, left, masks, costs)
    changed = mended(plan.saliency, scoring.inputs, {**left, **cut.masks})
    weights = None if changed is None else {layer: changed[layer] for layer in layers}
    return replace(cut, weights=weights)


def _cut_weights(
    plan: PruningPlan,
    round_: int,
    masked: MaskedLayers,
    scoring: Scoring,
    left: Mapping[str, Tensor],
    masks: Mapping[str, Tensor],
    costs: WeightCosts | None,
) -> Cut:
    cut = allocate(
        plan.allocation,
        Request(
            {layer: scoring.scores[layer] for layer in masks},
            masks,
            sparsity=_own_sparsity(plan, round_, left, masks, costs),
            threshold=plan.threshold,
            layer_floor=plan.layer_floor or 0.0,
            costs=costs,
            rows=masked.output_rows if plan.allocation == "per_output" else None,
        ),
    )
    if plan.shuffle_masks:
        return cut.shuffled(masks, _shuffle_seed(plan, round_))
    if plan.allocation in OWN_NUMBERS:
        anew = chosen_anew(plan.saliency, scoring.inputs, masks, cut.masks)
        return cut if anew is None else replace(cut, masks=anew)
    return cut


def _own_sparsity(
    plan: PruningPlan,
    round_: int,
    left: Mapping[str, Tensor],
    masks: Mapping[str, Tensor],
    costs: WeightCosts | None,
) -> float | dict[str, float] | None:
    """Sparsity of the layers that lose weights, so that all layers together meet the round's."""
    asked = plan.sparsity_at(round_)
    if not isinstance(asked, float) or len(masks) == len(left):
        return asked
    by_budget = None if costs is None else costs.in_budget
    each = dict.fromkeys(left, 1.0) if by_budget is None else by_budget
    whole = sum(each[layer] * mask.numel() for layer, mask in left.items())
    own = sum(each[layer] * mask.numel() for layer, mask in masks.items())
    others = sum(each[n] * int(mask.sum()) for n, mask in left.items() if n not in masks)
    keep = (1.0 - asked) * whole - others
    if keep <= 0:
        raise UsageError(
            f"sparsity {asked:.6g} of round {round_}: the layers that lose units alone still have "
            f"{others / whole:.3g} of the network, so the others would have to lose everything. "
            "Raise unit_sparsity, lower sparsity, or let more layers lose weights."
        )
    return max(1.0 - keep / own, 0.0)


def _cut_blocks(
    plan: PruningPlan,
    round_: int,
    masked: MaskedLayers,
    scoring: Scoring,
    masks: Mapping[str, Tensor],
    costs: WeightCosts | None,
) -> Cut:
    assert plan.block is not None
    grids = _grids(masked, masks)
    alive = {n: grids[n].of(mask) for n, mask in masks.items()}
    living = {n: living_blocks(each, plan.block) for n, each in alive.items()}
    scores = {
        n: block_scores(grids[n].of(scoring.scores[n]), each, plan.block)
        for n, each in alive.items()
    }
    cut = allocate(
        plan.allocation,
        Request(
            scores,
            living,
            sparsity=plan.sparsity_at(round_),
            layer_floor=plan.layer_floor or 0.0,
            costs=costs,
        ),
    )
    if plan.shuffle_masks:
        cut = cut.shuffled(living, _shuffle_seed(plan, round_))
    whole = {
        n: grids[n].back(spread_blocks(kept, alive[n], plan.block), masks[n])
        for n, kept in cut.masks.items()
    }
    return replace(cut, masks=whole)


def _toward_pattern(
    plan: PruningPlan,
    round_: int,
    masked: MaskedLayers,
    scoring: Scoring,
    masks: Mapping[str, Tensor],
    room: Mapping[str, Tensor] | None,
) -> Cut:
    pattern = plan.removal.pattern
    assert pattern is not None
    asked = plan.pattern_sparsity_at(round_)
    shares = (
        resolve_patterns(asked, list(masks))
        if isinstance(asked, dict)
        else dict.fromkeys(masks, asked)
    )
    found = {}
    for layer, grid in _grids(masked, masks).items():
        mask = masks[layer]
        scores = _draws(plan, round_, layer, mask) if plan.shuffle_masks else scoring.scores[layer]
        own = torch.ones_like(mask) if room is None else room[layer].to(mask.device)
        total = int(own.sum())
        count = total - pruned_count(shares.get(layer, 0.0), total)
        # What units have taken goes behind, so that groups are of what is left, side by side.
        order = (~grid.of(own)).byte().argsort(dim=1, stable=True)
        kept = toward_n_of_m(
            grid.of(scores).gather(1, order), grid.of(mask).gather(1, order), count, *pattern
        )
        in_place = torch.zeros_like(kept).scatter_(1, order, kept)
        found[layer] = grid.back(in_place, mask)
    return Cut(found, {} if plan.removal.units else shares)


def _grids(masked: MaskedLayers, layers: Mapping[str, object] | Sequence[str]) -> dict[str, _Grid]:
    rows, masks = masked.output_rows, masked.masks
    return {layer: _Grid(rows[layer], tuple(masks[layer].shape[2:])) for layer in layers}


def _draws(plan: PruningPlan, round_: int, layer: str, like: Tensor) -> Tensor:
    """A control's scores: noise."""
    generator = torch.Generator().manual_seed(derive_seed(_shuffle_seed(plan, round_), layer))
    return torch.rand(like.shape, generator=generator).to(like.device)


def _shuffle_seed(plan: PruningPlan, round_: int) -> int:
    return derive_seed(plan.seeds.mask, "shuffle", round_)
