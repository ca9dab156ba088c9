"""What layers see: sums of products of their inputs over examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from study.errors import UsageError


def input_products(
    model: nn.Module, weights: Mapping[str, nn.Parameter], run: Callable[[], object]
) -> dict[str, Tensor]:
    """Sum of ``x x^T`` over all that each layer is given, float64.

    A convolution is taken as the matrix product that it is: its inputs are the patches that its
    kernel covers, zeros of the padding included. Where modules share a weight, or a module is
    called several times, all inputs count.

    Parameters
    ----------
    model
        Holds the weights.
    weights
        Parameters by layer name.
    run
        Sends examples through the model.

    Returns
    -------
    dict of Tensor
        By layer, shape (groups, inputs, inputs); inputs are ordered as a weight's dimensions after
        the first. Groups are those of a convolution, else 1.

    Raises
    ------
    UsageError
        If a layer is neither Linear nor Conv2d (:func:`check_layers`), or saw nothing.
    """
    modules = check_layers(model, weights)
    found: dict[str, Tensor] = {}

    def note(layer: str, module: nn.Module, inputs: Tensor) -> None:
        seen = _patches(module, inputs.detach())
        products = (seen @ seen.mT).double()
        found[layer] = found[layer] + products if layer in found else products

    with ExitStack() as hooks, torch.no_grad():
        for layer, holders in modules.items():
            for module in holders:

                def hook(module: nn.Module, args: Any, kwargs: Any, layer: str = layer) -> None:
                    note(layer, module, args[0] if args else kwargs["input"])

                handle = module.register_forward_pre_hook(hook, with_kwargs=True)
                hooks.callback(handle.remove)
        run()
    for layer in weights:
        if layer not in found:
            raise UsageError(
                f"layer {layer!r}: its module was never called, so its inputs are not known (as "
                "where attention uses the weight itself); exclude it, or take another saliency"
            )
    return found


def check_layers(
    model: nn.Module, weights: Mapping[str, nn.Parameter]
) -> dict[str, list[nn.Module]]:
    """The modules that hold each weight.

    Raises
    ------
    UsageError
        If one of them is no Linear and no Conv2d, or is parametrised.
    """
    holders: dict[str, list[nn.Module]] = {layer: [] for layer in weights}
    layer_of = {weight: layer for layer, weight in weights.items()}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            layer = None if parameter is None else layer_of.get(parameter)
            if layer is None:
                continue
            if name != "weight" or not isinstance(module, (nn.Linear, nn.Conv2d)):
                raise UsageError(
                    f"layer {layer!r} belongs to a {type(module).__name__}; saliencies that look "
                    "at inputs know plain Linear and Conv2d: exclude it, or take another saliency"
                )
            if module.weight.is_complex():
                raise UsageError(
                    f"layer {layer!r} is complex; saliencies that look at inputs know real "
                    "weights: exclude it, or take another saliency"
                )
            holders[layer].append(module)
    return holders


def by_group(values: Tensor, products: Tensor) -> Tensor:
    """Values of a weight's shape as (groups, outputs of one, inputs), as its products are."""
    groups, inputs, _ = products.shape
    return values.reshape(groups, -1, inputs)


def _patches(module: nn.Module, inputs: Tensor) -> Tensor:
    """What a layer multiplies its weight with, shape (groups, inputs, examples and places)."""
    if isinstance(module, nn.Linear):
        return inputs.reshape(1, -1, inputs.shape[-1]).mT
    assert isinstance(module, nn.Conv2d)
    images = inputs if inputs.dim() == 4 else inputs[None]
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    padded = functional.pad(images, module._reversed_padding_repeated_twice, mode=mode)
    patches = functional.unfold(
        padded, module.kernel_size, dilation=module.dilation, stride=module.stride
    )
    # (examples, channels * kernel, places), channels before the kernel as in the weight
    return patches.transpose(0, 1).reshape(module.groups, -1, patches.shape[0] * patches.shape[2])
