"""Carry training over into a smaller copy of a masked network, and back.

The copy holds only what is left of each tensor, takes the same steps with less work, and what it
learned is written back. The entries that it has not are pruned: they are zero and stay so, and so
is what the optimizer remembers of them. Masks, records and checkpoints keep their coordinates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from study.pruning.masking.choosing import mask_layers
from study.pruning.masking.masks import MaskedLayers
from study.pruning.training.model_state import copy_of, make_room, put_extra_state
from study.tasks.training.optimizers import build_optimizer
from study.tasks.training.recipe import Recipe


class Way(Protocol):
    """How what is left of a tensor is taken out of it and put back."""

    def take(self, whole: Tensor) -> Tensor:
        """A copy of what is left of a tensor of the whole shape."""

    def put(self, whole: Tensor, part: Tensor) -> None:
        """Write it back, in place."""


class SmallerCopy:
    """A smaller copy of a masked network, with an optimizer that goes on with its state.

    Parameters
    ----------
    masked
        The network. It and its optimizer are left alone until :meth:`store`.
    optimizer
        Its optimizer.
    recipe
        How the copy's optimizer is made.
    ways
        How parameters and buffers are taken and put back, by name; others are copied whole.
    make_smaller
        Given a plain copy without masks, it makes the tensors of ``ways`` smaller, in place.
    """

    def __init__(
        self,
        masked: MaskedLayers,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        ways: Mapping[str, Way],
        make_smaller: Callable[[nn.Module], None],
    ) -> None:
        self._whole, self._whole_optimizer, self._ways = masked.model, optimizer, ways
        self.model = copy_of(masked.model)
        MaskedLayers(self.model).remove()
        make_smaller(self.model)
        self._mask(masked)
        self.optimizer = build_optimizer(recipe, self.model)
        for whole, own, way in self._parameters():
            self.optimizer.state[own] = {
                slot: way.take(value)
                if way is not None and _is_like(value, whole)
                else _copied(value)
                for slot, value in optimizer.state.get(whole, {}).items()
            }

    @torch.no_grad()
    def store(self) -> None:
        """Write weights, statistics and the optimizer's state back into the network."""
        self._store_buffers()
        for whole, own, way in self._parameters():
            _put(whole, own, way)
            state = self._whole_optimizer.state[whole]
            for slot, value in self.optimizer.state.get(own, {}).items():
                if way is not None and _is_like(value, own):
                    way.put(state.setdefault(slot, torch.zeros_like(whole)), value)
                else:
                    state[slot] = _copied(value)

    def _store_buffers(self) -> None:
        """Write buffers back, also those that a forward pass made or made larger."""
        put_extra_state(self.model, self._whole)
        masks = {id(mask) for mask in MaskedLayers(self.model).buffers}
        own = {n: buffer for n, buffer in self.model.named_buffers() if id(buffer) not in masks}
        make_room(self._whole, own, [name for name in own if name not in self._ways])
        buffers = dict(self._whole.named_buffers())
        for name, buffer in own.items():
            # The model's own code may have made the buffer anew in inference mode.
            with torch.inference_mode(buffers[name].is_inference()):
                _put(buffers[name], buffer, self._ways.get(name))

    def _mask(self, masked: MaskedLayers) -> None:
        """Mask what is pruned within what is left."""
        masks = {}
        for layer, mask in masked.masks.items():
            way = self._ways.get(masked.parameter_names[layer])
            part = mask if way is None else way.take(mask)
            if not bool(part.all()):
                masks[layer] = part
        if masks:
            mask_layers(self.model, include=list(masks)).cut(masks, optimizer=None)

    def _parameters(self) -> Iterator[tuple[nn.Parameter, nn.Parameter, Way | None]]:
        """Each parameter of the network, what the copy has of it, and how it was taken."""
        own = dict(self.model.named_parameters())
        for name, whole in self._whole.named_parameters():
            yield whole, own[name], self._ways.get(name)


def _is_like(value: object, parameter: Tensor) -> bool:
    """Whether what an optimizer remembers is something of each entry of a parameter."""
    return isinstance(value, Tensor) and value.shape == parameter.shape


def _put(whole: Tensor, part: Tensor, way: Way | None) -> None:
    if way is None:
        whole.copy_(part)
    else:
        way.put(whole, part)


def _copied(value: object) -> object:
    return value.clone() if isinstance(value, Tensor) else value
