"""What a model costs: parameters and multiply-adds, dense and with masks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from study.errors import UsageError
from study.pruning.counting import Counter
from study.pruning.masking.masks import MaskedLayers


@dataclass(frozen=True)
class DenseCost:
    """Multiply-adds of one example through the dense model.

    Parameters
    ----------
    macs_by_layer
        Multiply-adds in which a masked weight takes part, by layer; NaN where they could not all
        be counted.
    other_macs
        All others: they cost the same whichever single weights are masked.
    uncounted
        Operations on masked weights for which there is no formula.
    """

    macs_by_layer: Mapping[str, float]
    other_macs: int
    uncounted: tuple[str, ...]

    @property
    def macs(self) -> float:
        """The sum; NaN where something could not be counted."""
        return sum(self.macs_by_layer.values()) + self.other_macs


@dataclass(frozen=True)
class Cost:
    """What is left of a model under its masks.

    ``macs`` are multiply-adds on nonzero weights, for one example: what an ideal sparse
    implementation would do, not what a dense one does; NaN where they could not be counted.
    ``compression_ratio`` and ``theoretical_speedup`` are as in Blalock et al. 2020, section 2.2.
    """

    prunable_parameters: int
    kept_parameters: int
    nonzero_parameters: int
    total_parameters: int
    macs: float
    dense_macs: float

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


def dense_cost(masked: MaskedLayers, run: Callable[[nn.Module, int], object]) -> DenseCost:
    """Run one example through the model and count.

    Padding, stride, groups and dilation are in the formulas; operations are credited to the
    masked weight that they read, wherever in the model they happen, so shared weights, attention,
    recurrent layers and functional calls are counted too.

    Parameters
    ----------
    masked
        The masked model.
    run
        Runs a model, which is in eval mode, on so many examples: on one, and where that fails on
        two, of which half is counted.
    """
    model = masked.model
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad(), _plain_operations():
            try:
                return _count(masked, run, 1)
            except UsageError:
                raise
            except Exception:  # such as of a model that squeezes a batch of one away
                return _count(masked, run, 2)
    finally:
        for module, training in modes:
            module.training = training


def _count(
    masked: MaskedLayers, run: Callable[[nn.Module, int], object], examples: int
) -> DenseCost:
    with Counter(masked) as counter:
        run(masked.model, examples)
    macs_by_layer = {
        layer: math.nan if layer in counter.uncounted else counter.macs.get(layer, 0) // examples
        for layer in masked.names
    }
    uncounted = sorted(f"{what} on {layer}" for layer, what in counter.uncounted.items())
    return DenseCost(macs_by_layer, counter.other_macs // examples, tuple(uncounted))


@contextmanager
def _plain_operations() -> Iterator[None]:
    """Keep torch from fusing attention and recurrent layers into operations without a formula."""
    attention, recurrent = torch.backends.mha.get_fastpath_enabled(), torch._C._get_mkldnn_enabled()
    on_gpu = torch._C._get_cudnn_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    torch._C._set_mkldnn_enabled(False)
    torch._C._set_cudnn_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(attention)
        torch._C._set_mkldnn_enabled(recurrent)
        torch._C._set_cudnn_enabled(on_gpu)


def masked_cost(masked: MaskedLayers, dense: DenseCost, other_macs: float | None = None) -> Cost:
    """Cost under the present masks: multiply-adds times density, layer by layer.

    Parameters
    ----------
    masked
        The masked model.
    dense
        Its cost without masks, from :func:`dense_cost`.
    other_macs
        What is left of the multiply-adds without a masked weight, where whole units are gone: a
        head that goes takes its products of queries and keys along. Unset: all of them.
    """
    kept, total = masked.kept, masked.total
    macs = (dense.other_macs if other_macs is None else other_macs) + sum(
        dense.macs_by_layer[layer] * kept[layer] / total[layer] for layer in masked.names
    )
    parameters = sum(parameter.numel() for parameter in masked.model.parameters())
    pruned = sum(total.values()) - sum(kept.values())
    beside = sum(int((~mask).sum()) for mask in masked.companions.values())
    return Cost(
        prunable_parameters=sum(total.values()),
        kept_parameters=sum(kept.values()),
        nonzero_parameters=parameters - pruned - beside,
        total_parameters=parameters,
        macs=macs,
        dense_macs=dense.macs,
    )


def dead_outputs(mask: Tensor) -> int:
    """Output units (first dimension, as ``masks_by_output`` has it) of which nothing is kept."""
    return int((~mask.flatten(1).any(dim=1)).sum())
