"""What a model costs: parameters and multiply-adds, dense and with masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from study.pruning.masking.masks import MaskedLayers


@dataclass(frozen=True)
class DenseCost:
    """Multiply-adds of one example through the dense model.

    Parameters
    ----------
    macs_by_layer
        Multiply-adds in which a masked weight takes part, by layer.
    other_macs
        All others that could be counted: they cost the same whatever is masked.
    uncounted
        Operations on masked weights for which torch has no formula.
    """

    macs_by_layer: Mapping[str, int]
    other_macs: int
    uncounted: tuple[str, ...]

    @property
    def macs(self) -> int:
        """All that could be counted."""
        return sum(self.macs_by_layer.values()) + self.other_macs


@dataclass(frozen=True)
class Cost:
    """What is left of a model under its masks.

    ``macs`` are multiply-adds on nonzero weights, for one example: what an ideal sparse
    implementation would do, not what a dense one does. ``compression_ratio`` and
    ``theoretical_speedup`` are as in Blalock et al. 2020, section 2.2.
    """

    prunable_parameters: int
    kept_parameters: int
    nonzero_parameters: int
    total_parameters: int
    macs: float
    dense_macs: int

    @property
    def density(self) -> float:
        """Share of the prunable weights that the masks keep."""
        return self.kept_parameters / self.prunable_parameters

    @property
    def compression_ratio(self) -> float:
        """All parameters over nonzero parameters, biases and norms included."""
        return self.total_parameters / max(self.nonzero_parameters, 1)

    @property
    def theoretical_speedup(self) -> float:
        """Dense multiply-adds over multiply-adds on nonzero weights; inf when none are left."""
        return self.dense_macs / self.macs if self.macs else float("inf")


def dense_cost(masked: MaskedLayers, example: Tensor) -> DenseCost:
    """Run one example through the model and count, with torch's own formulas.

    Padding, stride, groups and dilation are in the formulas; operations are credited to the
    masked weight that they read, wherever in the model they happen, so shared weights, attention
    and functional calls are counted too.

    Parameters
    ----------
    masked
        The masked model.
    example
        Inputs of a batch of one.
    """
    model = masked.model
    layer_of = {
        weight.untyped_storage().data_ptr(): layer for layer, weight in masked.weights.items()
    }
    was_training, fast_attention = model.training, torch.backends.mha.get_fastpath_enabled()
    model.eval()
    torch.backends.mha.set_fastpath_enabled(False)  # one fused operation, without a formula
    try:
        with torch.no_grad(), _Counter(layer_of) as counter:
            model(example)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_attention)
        model.train(was_training)
    macs_by_layer = {layer: counter.macs.get(layer, 0) for layer in masked.names}
    return DenseCost(macs_by_layer, counter.other_macs, tuple(sorted(counter.uncounted)))


def masked_cost(masked: MaskedLayers, dense: DenseCost) -> Cost:
    """Cost under the present masks: multiply-adds times density, layer by layer.

    Parameters
    ----------
    masked
        The masked model.
    dense
        Its cost without masks, from :func:`dense_cost`.
    """
    kept, total = masked.kept, masked.total
    macs = dense.other_macs + sum(
        dense.macs_by_layer[layer] * kept[layer] / total[layer] for layer in masked.names
    )
    parameters = sum(parameter.numel() for parameter in masked.model.parameters())
    pruned = sum(total.values()) - sum(kept.values())
    return Cost(
        prunable_parameters=sum(total.values()),
        kept_parameters=sum(kept.values()),
        nonzero_parameters=parameters - pruned,
        total_parameters=parameters,
        macs=macs,
        dense_macs=dense.macs,
    )


def dead_outputs(mask: Tensor) -> int:
    """Output units (first dimension, as ``masks_by_output`` has it) of which nothing is kept."""
    return int((~mask.flatten(1).any(dim=1)).sum())


class _Counter(TorchDispatchMode):
    """Counts multiply-adds of every operation below autograd, by the weight that it reads."""

    def __init__(self, layer_of: Mapping[int, str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.layer_of = layer_of
        self.macs: dict[str, int] = {}
        self.other_macs = 0
        self.uncounted: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        packet = func._overloadpacket
        layers = [layer for layer in map(self._layer, _tensors(args)) if layer is not None]
        if packet in flop_registry:
            macs = flop_registry[packet](*args, **kwargs, out_val=output) // 2
            if layers:
                self.macs[layers[0]] = self.macs.get(layers[0], 0) + macs
            else:
                self.other_macs += macs
        elif layers and not _is_bookkeeping(func):
            self.uncounted.add(f"{packet.__name__} on {layers[0]}")
        return output

    def _layer(self, tensor: Tensor) -> str | None:
        return self.layer_of.get(tensor.untyped_storage().data_ptr())


def _tensors(values: Any) -> list[Tensor]:
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found.extend(_tensors(value))
    return found


def _is_bookkeeping(func: Any) -> bool:
    """Views and copies of a weight compute nothing."""
    return func.is_view or func._overloadpacket.__name__ in {"clone", "_to_copy", "detach"}
