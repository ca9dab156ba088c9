"""What a plan's coming rounds will cost: known before they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from search_spaces import Layer
from search_spaces.layers import look_up
from study.pruning.plan import PruningPlan
from study.pruning.selection.ranking import pruned_count


def coming_weights(plan: PruningPlan, round_: int, layers: Sequence[Layer]) -> int | None:
    """Prunable weights left after a round, as the plan asks for it.

    Parameters
    ----------
    plan
        The trial's plan.
    round_
        From 1 to the plan's rounds.
    layers
        The network's prunable layers.

    Returns
    -------
    int or None
        Exactly what the cut will leave. None with an absolute threshold, where the plan asks for a
        share of the multiply-adds or the latency, and where units or blocks go, which may be more.
    """
    asked = plan.sparsity_at(round_)
    removal = plan.removal
    if asked is None or plan.budget != "weights" or removal.units or removal.entries == "blocks":
        return None
    total = sum(layer.total for layer in layers)
    if isinstance(asked, float):
        return total - pruned_count(asked, total)
    removed = (pruned_count(look_up(layer.name, asked, 0.0), layer.total) for layer in layers)
    return total - sum(removed)


def coming_costs(
    plan: PruningPlan,
    round_: int,
    layers: Sequence[Layer],
    last: Mapping[str, Any],
    epochs_a_round: float,
    macs_exponent: float,
) -> dict[str, float] | None:
    """The least that a coming round can cost, by column.

    Parameters
    ----------
    plan, round_, layers
        As for :func:`coming_weights`.
    last
        Result of the last finished round.
    epochs_a_round
        Training epochs that each round takes.
    macs_exponent
        Multiply-adds fall no faster than density to this power.

    Returns
    -------
    dict or None
        None where the plan does not say how much it will remove, or prunes other layers than
        these (its own ``include`` or ``exclude``).
    """
    kept = coming_weights(plan, round_, layers)
    total = sum(layer.total for layer in layers)
    if kept is None or last["prunable_parameters"] != total:
        return None
    density = kept / total
    return {
        "density": density,
        "nonzero_parameters": last["nonzero_parameters"] - round(last["density"] * total) + kept,
        "train_epochs": last["train_epochs"] + (round_ - last["round"]) * epochs_a_round,
        "macs": last["macs"] * (density / last["density"]) ** macs_exponent,
        "dense_macs": last["dense_macs"],
        "latency_ms": last["latency_ms"] * (density / last["density"]) ** macs_exponent,
        "dense_latency_ms": last["dense_latency_ms"],
        "total_parameters": last["total_parameters"],
    }
