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
from study.pruning.shrinking.comparing import Trial, difference_of, outputs_of, tried
from study.pruning.shrinking.constants import Arriving, arriving, fold, why_not_folded
from study.pruning.shrinking.dead import Verdict, dead_units
from study.pruning.shrinking.dependence import dependence
from study.pruning.shrinking.variations import variations
from study.pruning.structure.finding import separable_units
from study.pruning.structure.slicing import Places, places_left, slice_model
from study.pruning.structure.tracing import Run
from study.pruning.structure.units import Part, Structure, kept_along
from study.pruning.training.model_state import copy_of
from study.tasks.forward import call


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
        Channels or neurons removed, counted in the original, by the first layer that makes them;
        heads by their attention module.
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
    """Remove the units of a network that are dead.

    Units are channels, neurons, and heads of attention. One is dead where all weights that make it
    are zero, or all that read it. What its bias still sends on becomes part of the biases of what
    reads it, if it is the same whatever comes in: it is followed from operation to operation
    whether anything of the input comes to it, see :mod:`study.pruning.shrinking.dependence`, and
    tried on other values and lengths whether it is the same at all positions. Where it is not, or
    a convolution reads it that pads with zeros, the unit stays. All units stay where the model's
    own code looks at values of the input and may go another way for others.

    At last the outputs are compared with those of the original, for the example and for inputs of
    other values and lengths. Hidden units of recurrent layers are not removed.

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
    small = copy_of(model).eval()
    MaskedLayers(small).remove()
    sizes = {name: tensor.shape for name, tensor in small.state_dict().items()}
    trials = [Trial(run, outputs_of(small, run))]
    if not callable(example):
        others = [partial(_run_on, forward, other) for other in variations(small, example, run)]
        trials += tried(small, others)
    places: dict[str, dict[int, Tensor]] = {}
    made_by: dict[str, Structure] = {}
    while True:  # a grouped convolution that has become a depthwise one couples fewer channels
        step, structures = _step(small, trials, is_of_one_input=callable(example))
        for structure in structures:
            made_by.setdefault(structure.name, structure)
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
    plain: nn.Module, trials: Sequence[Trial], is_of_one_input: bool
) -> tuple[_Step, list[Structure]]:
    run = trials[0].run
    structures, reasons = separable_units(plain, run, "units")
    readers = [p.tensor.rpartition(".")[0] for s in structures for p in s.of_role("reads")]
    known = dependence(plain, readers, run)
    if known.unclear is not None:
        reasons |= {s.name: f"{known.unclear} for other inputs" for s in structures}
        structures, readers = [], []
    seen = _seen(plain, readers, trials, known.arriving)
    if is_of_one_input:
        seen = {name: values.of_one_input for name, values in seen.items()}
    step = _without_dead(plain, structures, seen)
    if difference_of(step.model, trials) is not None:
        structures, others = _agreeing(plain, structures, seen, trials)
        reasons |= others
        step = _without_dead(plain, structures, seen)
        difference = difference_of(step.model, trials)
        if difference is not None:
            raise UsageError(
                f"shrink: {difference} whatever is removed: the model "
                f"{type(plain).__name__} gives other outputs each time it runs."
            )
    return _Step(step.model, step.places, reasons | step.kept_because), structures


def _seen(
    plain: nn.Module,
    readers: Sequence[str],
    trials: Sequence[Trial],
    depends: Mapping[str, Tensor],
) -> dict[str, Arriving]:
    """What arrives at readers, for all inputs together."""
    seen: dict[str, Arriving] = {}
    for trial in trials if readers else ():
        for name, values in arriving(plain, readers, trial.run, depends).items():
            seen[name] = seen[name].joined(values) if name in seen else values
    return seen


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
    made_by: Mapping[str, Structure],
    sizes: Mapping[str, torch.Size],
) -> dict[str, tuple[int, ...]]:
    found = {}
    for name, structure in made_by.items():
        part = structure.of_role("writes")[0]
        left = places.get(part.tensor, {}).get(part.dimension)
        if left is not None:
            gone = set(range(sizes[part.tensor][part.dimension])) - set(left.tolist())
            if structure.of_heads:
                gone = set(part.unit_of[sorted(gone)].tolist())
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

    def refusal(structure: Structure, unit: int, part: Part, places: Tensor) -> str | None:
        if structure.of_heads and _sends_zeros(structure, unit, tensors):
            return None  # whatever its scores are: its values are zero
        return why_not_folded(small, part, places, seen)

    values = {name: tensor.detach() for name, tensor in tensors.items()}
    verdict = dead_units(structures, values, refusal)
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


def _sends_zeros(structure: Structure, unit: int, tensors: Mapping[str, Tensor]) -> bool:
    """Whether all that makes a unit is zero, biases too."""
    return not any(
        bool(tensors[part.tensor][part.unit_of == unit].any())
        for part in structure.of_role("writes")
    )


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
    trials: Sequence[Trial],
) -> tuple[list[Structure], dict[str, str]]:
    """The structures whose dead units nothing else depends on: one after the other is added.

    Zeros say nothing of such a dependence where it is a sum over the units, as in a division by
    their norm.
    """
    fine: list[Structure] = []
    reasons = {}
    for structure in structures:
        step = _without_dead(plain, [*fine, structure], seen)
        difference = difference_of(step.model, trials)
        if difference is None:
            fine.append(structure)
        else:
            reasons[structure.name] = f"{difference} without those that are dead"
    return fine, reasons
