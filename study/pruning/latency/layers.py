"""Which layers a network runs, and of which exact sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from study.tasks.data.structures import leaves

ABSORBING = (nn.modules.conv._ConvNd, nn.Linear)

ABSORBED = (nn.modules.batchnorm._BatchNorm, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Sigmoid, nn.Tanh)
"""What ONNX Runtime makes part of the convolution or the product whose output it takes."""


@dataclass(frozen=True, eq=False)
class LayerCall:
    """One run of a layer within a network.

    Parameters
    ----------
    names
        Of its modules within the network: one, or those that are run as one.
    modules
        The same, in the order in which they run.
    args, kwargs
        What the first of them was given.
    """

    names: tuple[str, ...]
    modules: tuple[nn.Module, ...]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def size(self) -> str:
        """Kinds, sizes and inputs in words; layers of which they are the same take as long."""
        given = ", ".join(_in_words(each) for each in (*self.args, *self.kwargs.items()))
        return f"{' > '.join(map(_size_of, self.modules))} of {given}"


def layer_calls(
    model: nn.Module, inputs: Any, run: Callable[[nn.Module, Any], Any], *, fused: bool
) -> list[LayerCall]:
    """Run a network once and note its layers: the innermost modules that run, in their order.

    That is every leaf of the tree of modules that is called, and a module whose children are not
    called but read, as those of ``nn.MultiheadAttention``. One that runs twice is there twice.

    Parameters
    ----------
    model
        In the mode in which it is to run.
    inputs
        One batch.
    run
        ``(model, inputs) -> outputs``.
    fused
        Whether norms and activations belong to the convolution or dense layer whose output they
        take, where no other layer takes it.
    """
    with _noting(model) as noted, torch.no_grad():
        run(model, inputs)
    return [each.call for each in (_fused(noted) if fused else noted)]


@dataclass(eq=False)
class _Noted:
    """A call, what it gave, and the calls that took this."""

    call: LayerCall
    output: Any
    takers: list[_Noted] = field(default_factory=list)


@contextmanager
def _noting(model: nn.Module) -> Iterator[list[_Noted]]:
    noted: list[_Noted] = []
    calls_others: list[bool] = []  # of each module that is running
    giver: dict[int, _Noted] = {}  # of each tensor, the call that gave it last
    names = {module: name for name, module in model.named_modules()}

    def before(module: nn.Module, args: Any, kwargs: Any) -> None:
        del module, args, kwargs
        calls_others[:] = [True] * len(calls_others)
        calls_others.append(False)

    def after(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if calls_others.pop():
            return
        call = _Noted(LayerCall((names[module],), (module,), args, kwargs), output)
        for given in leaves([list(args), kwargs]):
            if id(given) in giver:
                giver[id(given)].takers.append(call)
        giver.update((id(given), call) for given in leaves(output))
        noted.append(call)  # which keeps its tensors, so that no other gets the id of one

    handles = []
    for module in names:
        handles += [
            module.register_forward_pre_hook(before, with_kwargs=True),
            module.register_forward_hook(after, with_kwargs=True),
        ]
    try:
        yield noted
    finally:
        for handle in handles:
            handle.remove()


def _fused(noted: Sequence[_Noted]) -> list[_Noted]:
    """Calls, each absorbing layer together with what follows it alone."""
    found: list[_Noted] = []
    taken: set[_Noted] = set()
    for first in noted:
        if first in taken:
            continue
        chain = [first]
        while isinstance(first.call.modules[0], ABSORBING) and len(chain[-1].takers) == 1:
            (after,) = chain[-1].takers
            if not isinstance(after.call.modules[0], ABSORBED):
                break
            chain.append(after)
        taken.update(chain)
        calls = [each.call for each in chain]
        names = tuple(name for call in calls for name in call.names)
        modules = tuple(module for call in calls for module in call.modules)
        whole = LayerCall(names, modules, calls[0].args, calls[0].kwargs)
        found.append(_Noted(whole, chain[-1].output))
    return found


def _size_of(module: nn.Module) -> str:
    """Kind and plain attributes of a module, and the shapes of the tensors that it has."""
    kind = type(module)
    own = kind.__module__.startswith("torch.")
    name = kind.__qualname__ if own else f"{kind.__module__}.{kind.__qualname__}"
    plain = {
        key: value
        for key, value in vars(module).items()
        if not key.startswith("_") and key not in ("training", "inplace") and _is_plain(value)
    }
    tensors = [*module.named_parameters(), *module.named_buffers()]
    sizes = [f"{key}={value}" for key, value in sorted(plain.items())]
    sizes += [f"{key}: {_in_words(tensor)}" for key, tensor in tensors]
    return f"{name}({', '.join(sizes)})"


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str, torch.dtype))


def _in_words(value: Any) -> str:
    if isinstance(value, Tensor):
        last = value.ndim == 4 and value.is_contiguous(memory_format=torch.channels_last)
        layout = " channels last" if last and not value.is_contiguous() else ""
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}{layout}"
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(_in_words, value))})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_in_words(each)}' for key, each in value.items())}}}"
    return str(value) if _is_plain(value) else type(value).__name__
