"""Train smaller forms of the layers of a network whose single weights are largely pruned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from study.pruning.compact.carrying import SmallerCopy
from study.pruning.compact.layers import Form, KeptWeights, Layer, LiveUnits, memory_format
from study.pruning.masking.masks import MaskedLayers
from study.tasks.training.recipe import Recipe


@dataclass(frozen=True)
class Limits:
    """Up to where a smaller form of a layer pays; the defaults are what the benchmarks found.

    Parameters
    ----------
    linear_units, conv_units
        Live rows times live columns, as a share of the matrix, below which the dead ones are left
        out.
    channels_last
        Output channels that a convolution has at least, where channels are last in memory: picking
        channels out of such images costs more than a small convolution saves.
    sparse_density
        Density of a dense layer below which its products are made sparse ones, on a CPU.
    sparse_weights
        Weights that such a layer has at least, pruned ones included.
    """

    linear_units: float = 0.6
    conv_units: float = 0.35
    channels_last: int = 64
    sparse_density: float = 0.12
    sparse_weights: int = 10_000


def compact_copy(
    masked: MaskedLayers,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    limits: Limits | None = None,
) -> SmallerCopy | None:
    """A copy of a masked network with smaller forms of its layers, or None where none pays.

    Parameters
    ----------
    masked
        The network.
    optimizer
        Its optimizer, whose state the copy goes on with.
    recipe
        How the copy's optimizer is made.
    limits
        Up to where a form pays; None for what was measured.
    """
    forms = smaller_forms(masked, limits)
    if not forms:
        return None
    ways = {f"{name}.weight": form for name, form in forms.items()}
    return SmallerCopy(masked, optimizer, recipe, ways, partial(_give_forms, forms=forms))


def _give_forms(model: nn.Module, forms: Mapping[str, Form]) -> None:
    for name, form in forms.items():
        layer: Layer = model.get_submodule(name)  # type: ignore[assignment]
        layer.weight = nn.Parameter(form.take(layer.weight.detach()))
        layer.forward = partial(form.forward, layer)  # type: ignore[method-assign]


def smaller_forms(masked: MaskedLayers, limits: Limits | None = None) -> dict[str, Form]:
    """Smaller forms of the layers for which one pays.

    Only layers of torch's own types Linear and Conv2d have one. Grouped convolutions, those that
    pad with anything but zeros, and weights that layers share are left as they are.

    Parameters
    ----------
    masked
        The network.
    limits
        Up to where a form pays; None for what was measured.

    Returns
    -------
    dict of str to Form
        By layer name.
    """
    limits = limits or Limits()
    modules = dict(masked.model.named_modules())
    holders: dict[nn.Parameter, list[nn.Module]] = {}
    for module in modules.values():
        for parameter in module.parameters(recurse=False):
            holders.setdefault(parameter, []).append(module)
    weights = masked.weights
    forms: dict[str, Form] = {}
    for name, mask in masked.masks.items():
        layer, *others = holders[weights[name]]
        # Its weight may be one of several, or be computed of a parameter of another name.
        if others or modules.get(name) is not layer or not _is_plain(layer, limits):
            continue
        if layer._parameters.get("weight") is not weights[name]:
            continue
        if type(layer) is nn.Linear and _is_sparse_enough(layer, mask, limits):
            forms[name] = KeptWeights(mask)
            continue
        units = LiveUnits(mask)
        most = limits.linear_units if type(layer) is nn.Linear else limits.conv_units
        if units.share_left <= most:
            forms[name] = units
    return forms


def _is_plain(layer: nn.Module, limits: Limits) -> bool:
    if type(layer) is nn.Conv2d:
        is_last = memory_format(layer.weight) == torch.channels_last
        is_wide = not is_last or layer.out_channels >= limits.channels_last
        return layer.groups == 1 and layer.padding_mode == "zeros" and is_wide
    return type(layer) is nn.Linear


def _is_sparse_enough(layer: nn.Linear, mask: torch.Tensor, limits: Limits) -> bool:
    return (
        0 < float(mask.float().mean()) <= limits.sparse_density
        and mask.numel() >= limits.sparse_weights
        and layer.weight.device.type == "cpu"
        and layer.weight.dtype in (torch.float32, torch.float64)
        and torch.backends.mkl.is_available()
    )
