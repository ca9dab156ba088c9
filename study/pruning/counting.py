"""Which weights the operations of a forward pass read, and what they cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from study.pruning.masking.masks import MaskedLayers
from study.pruning.multiply_adds import (
    OF_VECTORS,
    PICKS,
    elementwise_multiply_adds,
    keeps_zeros,
    multiply_adds,
    operation,
)


@dataclass(frozen=True, eq=False)
class _Region:
    """A piece of memory that holds a weight, or what was made of weights before it is used."""

    start: int
    end: int
    layer: str | None
    has_its_zeros: bool
    alive: Tensor
    """Keeps the memory from being given to another tensor."""


class Counter(TorchDispatchMode):
    """Counts multiply-adds of every operation below autograd, by the masked weight that it reads.

    What is computed of weights alone, such as a weight norm, is followed: where zeros stay zero
    the product with it is credited to the layer, otherwise to none, for it is a dense one.

    Parameters
    ----------
    masked
        The masked model, which is then run.
    """

    def __init__(self, masked: MaskedLayers) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs: dict[str, int] = {}
        self.other_macs = 0
        self.uncounted: dict[str, str] = {}
        self._regions: dict[int, list[_Region]] = {}
        layer_of: Mapping[Tensor, str] = {w: layer for layer, w in masked.weights.items()}
        for tensor in (*masked.model.parameters(), *masked.model.buffers()):
            self._note(tensor, layer_of.get(tensor), has_its_zeros=True)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        inputs = _tensors((*args, *kwargs.values()))
        regions = [self._region(tensor) for tensor in inputs]
        output = func(*args, **kwargs)
        # Of two masked weights the right one is the layer's: the left one is looked up or learned.
        of_layers = [r for r in reversed(regions) if r is not None and r.layer is not None]
        read = max(of_layers, key=lambda region: region.has_its_zeros, default=None)
        of_weights_alone = bool(regions) and all(region is not None for region in regions)
        if not (of_weights_alone and operation(func) in OF_VECTORS):
            self._count(func, args, kwargs, output, read, of_weights_alone)
        if of_weights_alone:
            source = None if read is None else (read, inputs[regions.index(read)])
            self._note_made(func, args, output, source)
        elif read is not None and operation(func) in PICKS and read.has_its_zeros:
            # Experts' matrices, picked by a router. Rows of a table are values, not weights.
            for tensor in _tensors([output]):
                if inputs[regions.index(read)].dim() > 2 and tensor.dim() > 2:
                    self._note(tensor, read.layer, has_its_zeros=True)
        elif func._schema.is_mutable:
            for tensor in _tensors([output]):
                self._forget(tensor)
        return output

    def _count(
        self,
        func: Any,
        args: Any,
        kwargs: Any,
        output: Any,
        read: _Region | None,
        of_weights_alone: bool,
    ) -> None:
        layer = None if read is None else read.layer
        macs = multiply_adds(func, args, kwargs, output)
        if macs is None and layer is not None and not of_weights_alone:
            macs = elementwise_multiply_adds(func, args, output)
            if macs is None:
                self.uncounted[layer] = operation(func)
        if read is not None and layer is not None and read.has_its_zeros:
            self.macs[layer] = self.macs.get(layer, 0) + (macs or 0)
        else:
            self.other_macs += macs or 0

    def _note_made(
        self, func: Any, args: Any, output: Any, source: tuple[_Region, Tensor] | None
    ) -> None:
        """Remember what was computed of weights alone; views are where the weights are."""
        for tensor in _tensors([output]):
            if self._region(tensor) is not None:
                continue
            if source is None:
                self._note(tensor, None, has_its_zeros=False)
                continue
            read, weight = source
            same_size = tensor.numel() == weight.numel()
            kept = read.has_its_zeros and same_size and keeps_zeros(func, args, weight)
            self._note(tensor, read.layer, kept)

    def _note(self, tensor: Tensor, layer: str | None, has_its_zeros: bool) -> None:
        place = _place(tensor)
        if place is not None:
            storage, start, end = place
            region = _Region(start, end, layer, has_its_zeros, tensor)
            self._regions.setdefault(storage, []).append(region)

    def _region(self, tensor: Tensor) -> _Region | None:
        place = _place(tensor)
        if place is None:
            return None
        storage, start, _ = place
        found = [r for r in self._regions.get(storage, ()) if r.start <= start < r.end]
        return max(found, key=lambda region: region.start, default=None)

    def _forget(self, tensor: Tensor) -> None:
        """Take a buffer for a value, where one was written into it."""
        place = _place(tensor)
        if place is not None and place[0] in self._regions:
            found = self._regions[place[0]]
            self._regions[place[0]] = [region for region in found if region.layer is not None]


def _place(tensor: Tensor) -> tuple[int, int, int] | None:
    """Address of a tensor's storage, and of its first and behind its last element."""
    try:
        storage, start = tensor.untyped_storage().data_ptr(), tensor.data_ptr()
    except (NotImplementedError, RuntimeError):  # sparse, nested: no weight of a dense layer
        return None
    if not storage or not tensor.numel():
        return None
    span = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True))
    return storage, start, start + (span + 1) * tensor.element_size()


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found.extend(_tensors(value))
    return found
