"""Whether units may really be taken out: the network without them against the masked one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from study.pruning.structure.slicing import places_left, slice_model
from study.pruning.structure.tracing import Run
from study.pruning.structure.units import Structure, kept_along, kept_entries
from study.pruning.training.model_state import copy_of
from study.tasks.data.structures import leaves

TOLERANCE = 1e-4
"""Largest difference of an output, relative to the largest output, that rounding may make."""


def separable(
    model: nn.Module, structures: Sequence[Structure], run: Run
) -> tuple[list[Structure], dict[str, str]]:
    """The structures whose units may be taken out, and why the others may not.

    One unit of each is zeroed in one copy of the model and left out of another; where the two
    give the same outputs, the units are separable. What is left behind may count its channels (a
    mean over them, a layer norm), and the model's own code may count on them (a fixed view, the
    number of its outputs).

    Parameters
    ----------
    model
        In plain form, without masks. It is not changed.
    structures
        From tracing.
    run
        Runs a model on an example or two.
    """
    untied, tied = _untied(model, structures)
    fine, others = _agreeing(model, untied, run)
    return fine, tied | others


def _untied(
    model: nn.Module, structures: Sequence[Structure]
) -> tuple[list[Structure], dict[str, str]]:
    """Structures that say the same of a parameter under each of its names, and why others stay.

    Where two layers share a weight, a unit of one is a unit of the other too, by its place alone:
    taking out the same place of both would hide that.
    """
    names: dict[nn.Parameter, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(parameter, []).append(name)
    shared = {name: every for every in names.values() if len(every) > 1 for name in every}
    fine, reasons = [], {}
    for structure in structures:
        said: dict[str, set[tuple[int, tuple[int, ...]]]] = {}
        for part in structure.parts:
            own = said.setdefault(part.tensor, set())
            own.add((part.dimension, tuple(part.unit_of.tolist())))
        split = [
            (name, other)
            for name in said
            for other in shared.get(name, ())
            if said.get(other) != said[name]
        ]
        if split:
            name, other = split[0]
            reasons[structure.name] = f"{name} is {other} too, where these are other units"
        else:
            fine.append(structure)
    return fine, reasons


def _agreeing(
    model: nn.Module, structures: Sequence[Structure], run: Run
) -> tuple[list[Structure], dict[str, str]]:
    if not structures:
        return [], {}
    reason = _difference(model, structures, run)
    if reason is None:
        return list(structures), {}
    if len(structures) == 1:
        return [], {structures[0].name: reason}
    half = len(structures) // 2
    fine, reasons = _agreeing(model, structures[:half], run)
    further, others = _agreeing(model, structures[half:], run)
    return fine + further, reasons | others


@torch.no_grad()
def _difference(model: nn.Module, structures: Sequence[Structure], run: Run) -> str | None:
    """How the network without a unit of each structure differs from the one where it is zero."""
    alive = {s.name: torch.arange(s.units) != s.units // 2 for s in structures}
    if any(structure.units < 2 for structure in structures):
        return "there is only one"
    zeroed, sliced = copy_of(model).eval(), copy_of(model).eval()
    _perturb(zeroed)
    _perturb(sliced)
    zero_units(zeroed, structures, alive)
    try:
        slice_model(sliced, places_left(structures, alive))
        smaller = _tensors(_run_slowly(sliced, run))
    except Exception as error:  # whatever the model's own code says of another width
        return f"the model does not run with one less: {error}"
    whole = _tensors(_run_slowly(zeroed, run))
    if [w.shape for w in whole] != [s.shape for s in smaller]:
        return "they are the network's outputs"
    for a, b in zip(whole, smaller, strict=True):
        scale = float(a.abs().max()) if a.numel() else 0.0
        if not math.isfinite(scale):
            return "the network's outputs are not finite"
        if not torch.allclose(a, b, rtol=0.0, atol=TOLERANCE * max(scale, 1e-6)):
            return "the rest of the network depends on how many there are"
    return None


def _run_slowly(model: nn.Module, run: Run) -> object:
    """Run without the fast path of TransformerEncoder, which has zeros at padded positions."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        return run(model)
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _perturb(model: nn.Module) -> None:
    """Move biases and norms off their initial zeros and ones, behind which a difference hides."""
    generator = torch.Generator().manual_seed(0)
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point() and tensor.dim() == 1:
            noise = torch.rand(tensor.shape, generator=generator).to(tensor.device, tensor.dtype)
            tensor.data.add_(noise / 4)


def zero_units(
    model: nn.Module, structures: Sequence[Structure], alive: Mapping[str, Tensor]
) -> None:
    """Make every entry of dead units zero, in place."""
    tensors = {
        **dict(model.named_parameters(remove_duplicate=False)),
        **dict(model.named_buffers()),
    }
    for name, along in kept_along(structures, alive).items():
        tensor = tensors[name]
        tensor.data.masked_fill_(~kept_entries(tensor.shape, along).to(tensor.device), 0)


def _tensors(outputs: object) -> list[Tensor]:
    return [leaf for leaf in leaves(outputs) if isinstance(leaf, Tensor)]
