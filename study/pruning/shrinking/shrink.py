"""The smaller network that computes the same: without the units that pruning has left dead."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from study.errors import UsageError
from study.pruning.masking.masks import MaskedLayers
from study.pruning.shrinking.constants import Arriving, arriving, fold, why_not_folded
from study.pruning.shrinking.dead import Verdict, dead_units
from study.pruning.shrinking.variations import variations
from study.pruning.structure.finding import separable_channels
from study.pruning.structure.slicing import Places, places_left, slice_model
from study.pruning.structure.tracing import Run
from study.pruning.structure.units import Part, Structure, kept_along
from study.pruning.training.model_state import copy_of
from study.tasks.data.structures import leaves
from study.tasks.forward import call

TOLERANCE = 1e-5
"""Largest difference of an output, relative to its largest value, in float32."""


@dataclass(frozen=True, eq=False)
class Shrunk:
    """A network without dead units.

    Parameters
    ----------
    model
        Plain, without masks, in eval mode. Single weights that were pruned in units that are left
        are still zeros in it.
    places
        Where what is left was in the original tensors: int64 indices by tensor and dimension.
        Tensors and dimensions that are whole are not named.
    removed
        Channels or neurons removed, counted in the original, by the first layer that makes them.
    kept_because
        Why dead units had to stay, by that layer and counted in the smaller network, and why none
        of another layer can be removed.
    """

    model: nn.Module
    places: Places
    removed: Mapping[str, tuple[int, ...]]
    kept_because: Mapping[str, str]


def shrink(
    model: nn.Module, example: Any, *, forward: Callable[[nn.Module, Any], Any] = call
) -> Shrunk:
    """Remove the units (channels, neurons) of a network that are dead.

    A unit is dead where all weights that make it are zero, or all that read it. What its bias
    still sends on becomes part of the biases of what reads it, if it is the same whatever comes in.
    Whether it is the same is tried on the example, on noise in its place and on other lengths.
    Where it is not, or a convolution reads it that pads with zeros, the unit stays.

    Parameters
    ----------
    model
        With masks or without. It is not changed.
    example
        A batch of inputs as the model takes them: a tensor, a tuple of arguments, a mapping of
        named ones; or a function that is given a model and returns its outputs: then other inputs
        cannot be tried, and units stay that send anything but zeros on.
    forward
        ``(model, inputs) -> outputs``, where the model is called in a way of its own.

    Returns
    -------
    Shrunk
        The smaller network and where its entries come from.

    Raises
    ------
    UsageError
        If the model cannot be traced, or the outputs for the example are not those of the original
        within 1e-5 of the largest (float32).

    Examples
    --------
    >>> small = shrink(model, images[:8]).model  # doctest: +SKIP
    """
    run: Run = example if callable(example) else lambda m: forward(m, example)
    varied: list[Run] | None = None
    if not callable(example):
        varied = [partial(_run_on, forward, other) for other in variations(example)]
    small = copy_of(model).eval()
    MaskedLayers(small).remove()
    sizes = {name: tensor.shape for name, tensor in small.state_dict().items()}
    whole = _outputs(small, run)
    places: dict[str, dict[int, Tensor]] = {}
    made_by: dict[str, Part] = {}
    while True:  # a grouped convolution that has become a depthwise one couples fewer channels
        step, structures = _step(small, run, whole, varied)
        for structure in structures:
            made_by.setdefault(structure.name, structure.of_role("writes")[0])
        if not step.places:
            return Shrunk(step.model, places, _removed(places, made_by, sizes), step.kept_because)
        small, places = step.model, _composed(places, step.places)


def _run_on(forward: Callable[[nn.Module, Any], Any], inputs: Any, model: nn.Module) -> Any:
    return forward(model, inputs)


@dataclass(frozen=True, eq=False)
class _Step:
    """A network without the units that were seen to be dead, all at once."""

    model: nn.Module
    places: dict[str, dict[int, Tensor]]
    kept_because: dict[str, str]


def _step(
    plain: nn.Module, run: Run, whole: list[Tensor], varied: Sequence[Run] | None
) -> tuple[_Step, list[Structure]]:
    structures, reasons = separable_channels(plain, run)
    readers = [p.tensor.rpartition(".")[0] for s in structures for p in s.of_role("reads")]
    seen = arriving(plain, readers, run)
    for other in varied or ():
        try:
            found = arriving(plain, readers, other)
        except Exception:
            continue
        for name, values in found.items():
            seen[name] = seen[name].joined(values) if name in seen else values
    if varied is None:
        seen = {name: values.of_one_input for name, values in seen.items()}
    step = _without_dead(plain, structures, seen)
    if _difference(whole, _outputs(step.model, run)) is not None:
        structures, others = _agreeing(plain, structures, seen, whole, run)
        reasons |= others
        step = _without_dead(plain, structures, seen)
        difference = _difference(whole, _outputs(step.model, run))
        if difference is not None:
            raise UsageError(
                f"shrink: {difference} whatever is removed: the model "
                f"{type(plain).__name__} gives other outputs each time it runs."
            )
    return _Step(step.model, step.places, reasons | step.kept_because), structures


def _composed(
    before: Mapping[str, Mapping[int, Tensor]], after: Mapping[str, Mapping[int, Tensor]]
) -> dict[str, dict[int, Tensor]]:
    """Where it was before both, of what two steps have left."""
    found = {tensor: dict(along) for tensor, along in before.items()}
    for tensor, along in after.items():
        first = found.setdefault(tensor, {})
        for dimension, places in along.items():
            first[dimension] = first[dimension][places] if dimension in first else places
    return found


def _removed(
    places: Mapping[str, Mapping[int, Tensor]],
    made_by: Mapping[str, Part],
    sizes: Mapping[str, torch.Size],
) -> dict[str, tuple[int, ...]]:
    found = {}
    for name, part in made_by.items():
        left = places.get(part.tensor, {}).get(part.dimension)
        if left is not None:
            gone = set(range(sizes[part.tensor][part.dimension])) - set(left.tolist())
            found[name] = tuple(sorted(gone))
    return found


def _without_dead(
    plain: nn.Module, structures: Sequence[Structure], seen: Mapping[str, Arriving]
) -> _Step:
    """The network without the dead units of some structures, unchecked."""
    small = copy_of(plain)
    tensors = {
        **dict(small.named_parameters(remove_duplicate=False)),
        **dict(small.named_buffers(remove_duplicate=False)),
    }
    verdict = dead_units(
        structures,
        {name: tensor.detach() for name, tensor in tensors.items()},
        lambda part, places: why_not_folded(small, part, places, seen),
    )
    places = places_left(structures, verdict.alive)
    kept = kept_along(structures, verdict.alive)
    reading = {p.tensor: p for s in structures for p in s.of_role("reads")}
    for tensor, part in reading.items():
        gone = (~kept[tensor][part.dimension]).nonzero().flatten()
        new_bias = fold(small, part, gone, kept[tensor].get(0), seen) if len(gone) else None
        if new_bias is not None and 0 in places.get(tensor, {}):
            places[new_bias] = {0: places[tensor][0]}
    slice_model(small, places)
    return _Step(small, places, _told(verdict))


def _told(verdict: Verdict) -> dict[str, str]:
    """Reasons by structure, units that share one together."""
    found = {}
    for name, by_unit in verdict.kept.items():
        units: dict[str, list[str]] = {}
        for unit, reason in by_unit.items():
            units.setdefault(reason, []).append(str(unit))
        told = [f"unit {', '.join(each)}: {reason}" for reason, each in units.items()]
        found[name] = "; ".join(told)
    return found


def _agreeing(
    plain: nn.Module,
    structures: Sequence[Structure],
    seen: Mapping[str, Arriving],
    whole: list[Tensor],
    run: Run,
) -> tuple[list[Structure], dict[str, str]]:
    """The structures whose dead units nothing else depends on: one after the other is added.

    Zeros say nothing of such a dependence where it is a sum over the units, as in a division by
    their norm.
    """
    fine: list[Structure] = []
    reasons = {}
    for structure in structures:
        step = _without_dead(plain, [*fine, structure], seen)
        difference = _difference(whole, _outputs(step.model, run))
        if difference is None:
            fine.append(structure)
        else:
            reasons[structure.name] = f"{difference} without those that are dead"
    return fine, reasons


@torch.no_grad()
def _outputs(model: nn.Module, run: Run) -> list[Tensor]:
    return [leaf.clone() for leaf in leaves(run(model)) if isinstance(leaf, Tensor)]


def _difference(whole: list[Tensor], smaller: list[Tensor]) -> str | None:
    """The first output that differs, and by how much."""
    if len(whole) != len(smaller):
        return f"there are {len(smaller)} outputs instead of {len(whole)}"
    for place, (a, b) in enumerate(zip(whole, smaller, strict=True)):
        if a.shape != b.shape:
            return f"output {place} has the shape {tuple(b.shape)} instead of {tuple(a.shape)}"
        if not a.numel():
            continue
        wide = torch.complex128 if a.is_complex() else torch.float64
        a, b = a.to(wide), b.to(wide)
        scale = float(a.abs().nan_to_num().max())
        limit = TOLERANCE * scale * _coarseness(whole[place].dtype)
        if not torch.allclose(a, b, rtol=0.0, atol=limit, equal_nan=True):
            most = float((a - b).abs().max())
            return f"output {place} differs by {most:.2g} where the largest value is {scale:.2g}"
    return None


def _coarseness(dtype: torch.dtype) -> float:
    """How much coarser than float32 a type is."""
    if not (dtype.is_floating_point or dtype.is_complex):
        return 1.0
    return max(1.0, torch.finfo(dtype).eps / torch.finfo(torch.float32).eps)
