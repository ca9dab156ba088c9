"""Two smaller forms of a layer whose weights are largely pruned.

Each form says how its weights are taken out of a whole tensor and put back, and how the layer then
computes what the whole one would give.
"""

from __future__ import annotations

import warnings
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from study.pruning.compact.carrying import Way

Layer = nn.Linear | nn.Conv2d


class Form(Way, Protocol):
    """A smaller form of a layer, and the way to its weight."""

    def forward(self, layer: Layer, inputs: Tensor) -> Tensor:
        """What the whole layer would give, where ``layer.weight`` is of this form."""


class LiveUnits:
    """The rows and columns of a layer's matrix in which anything is kept.

    A row (an output unit or channel) whose weights are all pruned gives its bias whatever comes in,
    and a column whose weights are all pruned is never looked at.

    Parameters
    ----------
    mask
        Bool, shape (outputs, inputs, ...); True = kept.
    """

    def __init__(self, mask: Tensor) -> None:
        self._rows, self._columns = _live(mask, 0), _live(mask, 1)
        self._height, self._width = mask.shape[:2]
        self.share_left = len(self._rows) * len(self._columns) / (self._height * self._width)

    def take(self, whole: Tensor) -> Tensor:
        """The matrix that is left."""
        part = whole.index_select(0, self._rows).index_select(1, self._columns)
        return part.contiguous(memory_format=memory_format(whole))

    def put(self, whole: Tensor, part: Tensor) -> None:
        """Write the matrix that is left where it was."""
        whole[self._rows[:, None], self._columns] = part

    def forward(self, layer: Layer, inputs: Tensor) -> Tensor:
        """Multiply what is left; dead rows give their bias."""
        across = -1 if isinstance(layer, nn.Linear) else -3
        if len(self._columns) < self._width:
            inputs = inputs.index_select(across, self._columns)
        some_are_dead = len(self._rows) < self._height
        bias = None if some_are_dead else layer.bias
        if isinstance(layer, nn.Linear):
            outputs = functional.linear(inputs, layer.weight, bias)
        else:
            outputs = layer._conv_forward(inputs, layer.weight, bias)
        if not some_are_dead:
            return outputs
        shape = list(outputs.shape)
        shape[across] = self._height
        zeros = torch.empty(
            shape,
            dtype=outputs.dtype,
            device=outputs.device,
            memory_format=memory_format(outputs),
        ).zero_()
        wide = zeros.index_copy(across, self._rows, outputs)
        if layer.bias is None:
            return wide
        return wide + layer.bias.to(wide.dtype).reshape(-1, *[1] * (-across - 1))


class KeptWeights:
    """The kept weights of a dense layer alone, in a vector; its products are sparse ones.

    Parameters
    ----------
    mask
        Bool, shape (outputs, inputs); True = kept.
    """

    def __init__(self, mask: Tensor) -> None:
        self._places = mask.flatten().nonzero().flatten()
        self._shape = (mask.shape[0], mask.shape[1])
        order = torch.arange(len(self._places))
        numbered = torch.zeros(mask.shape, dtype=torch.int64)
        numbered[mask] = order
        turned = numbered.t()[mask.t()]
        self._pattern = (*_compressed(mask), *_compressed(mask.t()), turned)
        with warnings.catch_warnings():
            # torch says once that its sparse matrices are in beta: here, where nobody need read it.
            warnings.simplefilter("ignore", UserWarning)
            _sparse(*self._pattern[:2], torch.zeros(len(self._places)), self._shape)

    def take(self, whole: Tensor) -> Tensor:
        """The kept weights, row by row."""
        return whole.reshape(-1).index_select(0, self._places)

    def put(self, whole: Tensor, part: Tensor) -> None:
        """Write the kept weights where they were."""
        whole[self._places // self._shape[1], self._places % self._shape[1]] = part

    def forward(self, layer: Layer, inputs: Tensor) -> Tensor:
        """Multiply with the kept weights only."""
        flat = inputs.reshape(-1, self._shape[1])
        outputs: Tensor = _SparseProduct.apply(  # type: ignore[no-untyped-call]
            flat, layer.weight, self._shape, *self._pattern
        )
        if layer.bias is not None:
            outputs = outputs + layer.bias
        return outputs.reshape(*inputs.shape[:-1], self._shape[0])


class _SparseProduct(torch.autograd.Function):
    """``inputs @ W.T`` of which only the kept values exist, and its gradients at these alone."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, values: Tensor, shape: Any, *pattern: Tensor) -> Tensor:
        starts, columns = pattern[:2]
        ctx.shape = shape
        ctx.save_for_backward(inputs, values, *pattern)
        weight = _sparse(starts, columns, values, shape)
        return (weight @ inputs.t()).t()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        inputs, values, starts, columns, turned_starts, turned_columns, turned = ctx.saved_tensors
        (gradient,) = gradients
        height, width = ctx.shape
        of_inputs = None
        if ctx.needs_input_grad[0]:
            weight = _sparse(turned_starts, turned_columns, values[turned], (width, height))
            of_inputs = (weight @ gradient.t()).t()
        nothing = _sparse(starts, columns, torch.zeros_like(values), (height, width))
        of_values = torch.sparse.sampled_addmm(nothing, gradient.t(), inputs, beta=0.0).values()
        return of_inputs, of_values, *[None] * 6


def _sparse(starts: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    return torch.sparse_csr_tensor(starts, columns, values, shape, check_invariants=False)


def _live(mask: Tensor, dimension: int) -> Tensor:
    """Where anything is kept along a dimension; one place where nothing is: a layer has one."""
    others = [d for d in range(mask.dim()) if d != dimension]
    found = mask.any(dim=others).nonzero().flatten()
    return found if len(found) else found.new_zeros(1)


def _compressed(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Where each row starts, and the column of each kept weight: the CSR format."""
    starts = torch.zeros(mask.shape[0] + 1, dtype=torch.int64)
    starts[1:] = mask.sum(dim=1).cumsum(0)
    return starts, mask.nonzero()[:, 1]


def memory_format(values: Tensor) -> torch.memory_format:
    """How a tensor lies in memory: channels last only where it could be nothing else."""
    if values.is_contiguous() or values.dim() != 4:
        return torch.contiguous_format
    return torch.channels_last
