"""The fields of a pruning plan that a space decides, and when two plans are the same.

A space does not know the class of a plan, only its fields: what it draws is a plain table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from search_spaces.layers import Layer, check_patterns, look_up

PLAN_DEFAULTS: dict[str, Any] = {
    "sparsity": None,
    "allocation": "global",
    "threshold": None,
    "budget": "weights",
    "cost": "macs",
    "cost_exponent": 0.0,
    "score_offsets": {},
    "saliency": "magnitude",
    "structure": "weights",
    "unit_sparsity": None,
    "block": None,
    "width_multiple": 1,
    "schedule": "geometric",
    "rounds": 1,
    "retrain": "finetune",
    "rewind_epoch": None,
    "retrain_epochs": None,
    "retrain_lr": None,
    "retrain_lr_schedule": None,
    "optimizer_state": "fresh",
    "layer_floor": None,
    "shuffle_masks": False,
    "include": (),
    "exclude": (),
}
"""What a plan has where a field is left out. Seeds and what a scan found are no part of it."""

TOLERANCE = 1e-9
"""Largest difference of numbers that are the same: more than rounding, less than a weight."""


def resolved(fields: Mapping[str, Any], layers: Sequence[Layer]) -> dict[str, Any]:
    """All fields that a space decides, with tables by layer instead of pattern.

    Offsets of scores are told from that of the largest layer: to move all alike changes nothing.
    """
    plan = {key: fields.get(key, default) for key, default in PLAN_DEFAULTS.items()}
    if isinstance(plan["sparsity"], Mapping):
        plan["allocation"] = fields.get("allocation", "per_layer")
        check_patterns("sparsity", plan["sparsity"], layers)
        plan["sparsity"] = {
            layer.name: look_up(layer.name, plan["sparsity"], 0.0) for layer in layers
        }
    elif plan["threshold"] is not None:
        plan["allocation"] = fields.get("allocation", "threshold")
    check_patterns("score_offsets", plan["score_offsets"], layers)
    offsets = {layer.name: look_up(layer.name, plan["score_offsets"], 0.0) for layer in layers}
    largest = offsets[max(layers, key=lambda layer: layer.total).name]
    plan["score_offsets"] = {name: offset - largest for name, offset in offsets.items()}
    return plan


def same_plan(one: Mapping[str, Any], other: Mapping[str, Any], layers: Sequence[Layer]) -> bool:
    """Whether two plans ask for the same, rounding aside."""
    first, second = resolved(one, layers), resolved(other, layers)
    return all(_same(first[key], second[key]) for key in PLAN_DEFAULTS)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return list(one) == list(other)
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=0.0, abs_tol=TOLERANCE)
    return bool(one == other)
