"""Recurrent layers as torch-pruning is to see them: one operation each, from inputs to states.

torch computes a GRU on the CPU by many small operations that cut its gates apart; followed one by
one, these say nothing of channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence


class Recurrent(torch_pruning.BasePruningFunc):  # type: ignore[misc]
    """A GRU or RNN as a node of the graph, which knows LSTM alone.

    Only the names of the first two are needed: the graph is asked what is coupled, not to cut.
    """

    TARGET_MODULES = (nn.GRU, nn.RNN)

    def prune_out_channels(self, layer: Any, idxs: Sequence[int]) -> None:
        raise NotImplementedError

    def prune_in_channels(self, layer: Any, idxs: Sequence[int]) -> None:
        raise NotImplementedError

    def get_out_channels(self, layer: Any) -> int:
        return int(layer.hidden_size)

    def get_in_channels(self, layer: Any) -> int:
        return int(layer.input_size)


def as_single_operations(model: nn.Module) -> None:
    """Let each recurrent layer give outputs of its shapes by one operation, in place.

    The model computes nothing sensible any more: it is there to be traced.
    """
    for module in model.modules():
        if isinstance(module, nn.RNNBase):
            module.forward = partial(_forward, module)


def hidden_units(model: nn.Module) -> dict[str, str]:
    """Why the hidden units of recurrent layers must stay, by layer."""
    return {
        name: f"hidden units of a recurrent layer ({type(module).__name__}) are not taken out, "
        "only channels that it reads"
        for name, module in model.named_modules()
        if isinstance(module, (nn.RNNBase, nn.RNNCellBase))
    }


class _Operation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        return x.new_zeros(shape)


def _operation(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    made: Tensor = _Operation.apply(x, shape)  # type: ignore[no-untyped-call]
    return made


def _forward(module: nn.RNNBase, inputs: Any, hx: Any = None) -> Any:
    x = inputs.data if isinstance(inputs, PackedSequence) else inputs
    sides = 2 if module.bidirectional else 1
    width = module.proj_size or module.hidden_size
    out = _operation(x, (*x.shape[:-1], sides * width))
    if isinstance(inputs, PackedSequence):
        batch: tuple[int, ...] = (int(inputs.batch_sizes[0]),)
    else:
        batch = (x.shape[0 if module.batch_first else 1],) if x.dim() == 3 else ()
    last = (sides * module.num_layers, *batch)
    states: Any = _operation(out, (*last, width))
    if isinstance(module, nn.LSTM):
        states = (states, _operation(out, (*last, module.hidden_size)))
    return (inputs._replace(data=out) if isinstance(inputs, PackedSequence) else out), states
