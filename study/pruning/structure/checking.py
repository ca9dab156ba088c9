"""Whether units may really be taken out: the network without them against the masked one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

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

    One unit of each is zeroed and then left out, and then half of them; where the outputs stay
    the same, the units are separable. What is left behind may count its channels (a mean over
    them, a layer norm), and the model's own code may count on them (a fixed view, the number of
    its outputs).

    Parameters
    ----------
    model
        In plain form, without masks. It is not changed.
    structures
        From tracing.
    run
        Runs a model on an example or two.
    """
    if not structures:
        return [], {}
    return _separable(_moved(model, run), structures, run)


def _separable(
    model: nn.Module, structures: Sequence[Structure], run: Run
) -> tuple[list[Structure], dict[str, str]]:
    reason = None
    for pattern in _PATTERNS:
        reason = reason or _difference(model, pattern, structures, run)
    if reason is None:
        return list(structures), {}
    if len(structures) == 1:
        return [], {structures[0].name: reason}
    half = len(structures) // 2
    fine, reasons = _separable(model, structures[:half], run)
    further, others = _separable(model, structures[half:], run)
    return fine + further, reasons | others


def _one_less(units: int, generator: torch.Generator) -> Tensor:
    return torch.arange(units) != torch.randint(units, (1,), generator=generator)


def _half(units: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(units, generator=generator) < (units + 1) // 2


_PATTERNS = (_one_less, _half)
"""One less shows what is to be divided by a number; half, what is to be at least so many."""


@torch.no_grad()
def _difference(
    model: nn.Module,
    pattern: Callable[[int, torch.Generator], Tensor],
    structures: Sequence[Structure],
    run: Run,
) -> str | None:
    """How the network without units of each structure differs from the one where they are zero."""
    if any(structure.units < 2 for structure in structures):
        return "there is only one"
    generator = torch.Generator().manual_seed(0)
    alive = {s.name: pattern(s.units, generator) for s in structures}
    copy = copy_of(model)
    zero_units(copy, structures, alive)
    whole = _tensors(_run_slowly(copy, run))
    try:
        slice_model(copy, places_left(structures, alive))
        smaller = _tensors(_run_slowly(copy, run))
    except Exception as error:  # whatever the model's own code says of another width
        return f"the model does not run with fewer: {error}"
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


@torch.no_grad()
def _moved(model: nn.Module, run: Run) -> nn.Module:
    """A copy whose values are off the initial ones, behind which a difference hides.

    Fresh weights may be so small, or zero, that nothing on their way moves an output. Where a
    network does not stay finite with weights of a usual size, such as one of a hundred sums without
    a norm, only its vectors are moved.
    """
    moved = copy_of(model).eval()
    _perturb(moved)
    louder = copy_of(moved)
    _randomise(louder)
    try:
        outputs = _tensors(_run_slowly(louder, run))
    except Exception:  # whatever the model's own code says of such weights
        return moved
    return louder if all(bool(each.isfinite().all()) for each in outputs) else moved


def _perturb(model: nn.Module) -> None:
    """Move biases, norms and their statistics off zeros and ones."""
    generator = torch.Generator().manual_seed(0)
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point() and tensor.dim() == 1:
            noise = torch.rand(tensor.shape, generator=generator).to(tensor.device, tensor.dtype)
            tensor.data.add_(noise / 4)


def _randomise(model: nn.Module) -> None:
    """Add noise to weights: as much as keeps the size of what comes in."""
    generator = torch.Generator().manual_seed(1)
    for weight in model.parameters():
        if weight.is_floating_point() and weight.dim() > 1 and weight.numel():
            noise = torch.randn(weight.shape, generator=generator).to(weight.device, weight.dtype)
            weight.data.add_(noise / math.sqrt(weight[0].numel()))


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
