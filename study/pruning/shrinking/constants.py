"""What dead units still send on, seen where it arrives, and how it becomes part of a bias."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from study.pruning.shrinking.dependence import input_dimension
from study.pruning.shrinking.rules import SAME
from study.pruning.structure.tracing import Run
from study.pruning.structure.units import Part

_Conv = nn.modules.conv._ConvNd
_FOLDING = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True, eq=False)
class Arriving:
    """What arrives at a module, over all examples, positions and calls.

    Parameters
    ----------
    least, most
        Of each input feature or channel, (inputs,).
    depends
        Bool, (inputs,): what may be another value for other inputs, see
        :func:`study.pruning.shrinking.dependence.dependence`.
    is_of_one_input
        Whether no other inputs could be tried.
    """

    least: Tensor
    most: Tensor
    depends: Tensor
    is_of_one_input: bool = False

    @property
    def of_one_input(self) -> Arriving:
        """The same, said to be of one input alone: whether it is a constant is not known."""
        return replace(self, is_of_one_input=True)

    @property
    def value(self) -> Tensor:
        """The constant, where it is one; float64."""
        return (self.least.double() + self.most.double()) / 2

    @property
    def varies(self) -> Tensor:
        """Bool, (inputs,): where it is none."""
        largest = torch.maximum(self.least.abs(), self.most.abs()).max()
        return ~(self.most - self.least <= SAME * largest)

    def joined(self, other: Arriving) -> Arriving:
        """Of two calls."""
        return replace(
            self,
            least=torch.minimum(self.least, other.least),
            most=torch.maximum(self.most, other.most),
        )


def arriving(
    model: nn.Module, readers: Iterable[str], run: Run, depends: Mapping[str, Tensor]
) -> dict[str, Arriving]:
    """Run a model and look at what its readers are given.

    Parameters
    ----------
    model
        In eval mode.
    readers
        Names of modules.
    run
        Runs it.
    depends
        What may be another value for other inputs, by reader; all of one that is not in it.

    Returns
    -------
    dict of str to Arriving
        A module that is never called is not in it.
    """
    seen: dict[str, Arriving] = {}
    handles = []
    for name in dict.fromkeys(readers):
        module = model.get_submodule(name)

        def look(module: nn.Module, args: Any, kwargs: Any, name: str = name) -> None:
            least, most = _extremes(module, args[0] if args else kwargs["input"])
            here = Arriving(
                least, most, depends.get(name, torch.ones_like(least, dtype=torch.bool))
            )
            seen[name] = seen[name].joined(here) if name in seen else here

        handles.append(module.register_forward_pre_hook(look, with_kwargs=True))
    try:
        with torch.enable_grad():  # without, a TransformerEncoder may not call its layers
            run(model)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _extremes(module: nn.Module, inputs: Any) -> tuple[Tensor, Tensor]:
    values = (inputs.data if isinstance(inputs, PackedSequence) else inputs).detach()
    across = input_dimension(module, values)
    flat = values.movedim(across, -1).flatten(0, -2) if values.dim() > 1 else values[None]
    return flat.amin(dim=0).cpu(), flat.amax(dim=0).cpu()


def why_not_folded(
    model: nn.Module, part: Part, places: Tensor, seen: Mapping[str, Arriving]
) -> str | None:
    """Why what arrives at a reader cannot become part of its bias; None where it can.

    Parameters
    ----------
    model
        Whose reader it is.
    part
        The reading weights.
    places
        Those of the part's dimension at which it arrives.
    seen
        What arrives.
    """
    name, _, _ = part.tensor.rpartition(".")
    module = model.get_submodule(name)
    if name not in seen:
        return f"{name!r}, which reads it, is not called as a module"
    at = _inputs_at(module, places)
    if bool(seen[name].varies[at].any()):
        return f"what it sends to {name!r} differs between positions, examples or calls"
    if bool(seen[name].depends[at].any()):
        return f"what it sends to {name!r} may be something else for other inputs"
    constant = seen[name].value[at]
    if not bool(constant.any()):
        return None
    if seen[name].is_of_one_input:
        return f"what it sends to {name!r} is known for one input alone"
    if not _has_plain_bias(module):
        return f"{name!r}, which it sends {_largest(constant):.3g}, has no bias that could take it"
    if isinstance(module, _Conv) and _pads_with_zeros(module):
        return f"{name!r}, which it sends {_largest(constant):.3g}, pads with zeros"
    return None


def _has_plain_bias(module: nn.Module) -> bool:
    """Whether a constant that a module reads is the same as another bias."""
    if isinstance(module, nn.LSTM):
        return bool(module.bias)
    return any(isinstance(module, t) and type(module).forward is t.forward for t in _FOLDING)


def _pads_with_zeros(module: _Conv) -> bool:
    return module.padding_mode == "zeros" and any(module._reversed_padding_repeated_twice)


def _largest(constant: Tensor) -> float:
    return float(constant[constant.abs().argmax()])


def _inputs_at(module: nn.Module, places: Tensor) -> Tensor:
    """Inputs that arrive at places along a weight's dimension: one in each group."""
    if not isinstance(module, _Conv) or module.transposed:
        return places
    width = module.in_channels // module.groups
    return (places[None] + width * torch.arange(module.groups)[:, None]).flatten()


@torch.no_grad()
def fold(
    model: nn.Module, part: Part, places: Tensor, rows: Tensor | None, seen: Mapping[str, Arriving]
) -> str | None:
    """Add to a reader's bias what its weights at some places make of the constants there.

    Parameters
    ----------
    model
        Changed in place.
    part
        The reading weights.
    places
        Those of the part's dimension that will be taken out.
    rows
        Bool, (outputs,): which outputs are left; None for all.
    seen
        What arrives.

    Returns
    -------
    str or None
        Name of the bias, where the reader had none.
    """
    name, _, tensor = part.tensor.rpartition(".")
    module = model.get_submodule(name)
    if name not in seen or not _has_plain_bias(module):
        return None  # what arrives there is zero, or is multiplied with zeros
    weight = module.get_parameter(tensor).double().cpu()
    taps = weight.flatten(2).sum(dim=2) if weight.dim() > 2 else weight
    groups = module.groups if isinstance(module, _Conv) else 1
    constants = seen[name].value.view(groups, -1)[:, places]
    by_group = taps[:, places].view(groups, -1, len(places))
    more = (by_group @ constants[:, :, None]).flatten()
    if rows is not None:
        more = torch.where(rows.cpu(), more, 0.0)
    if not bool(more.any()):
        return None
    own = tensor.replace("weight", "bias")
    before = module._parameters[own]
    like = module.get_parameter(tensor)
    whole = more if before is None else more + before.double().cpu()
    # A parameter of its own: another module may share the old one.
    bias = nn.Parameter(whole.to(like.device, like.dtype), like.requires_grad)
    setattr(module, own, bias)  # an LSTM notes it in a list too
    return f"{name}.{own}" if before is None else None
