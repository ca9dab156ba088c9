"""How an exported network is called: tensors in, tensors out, each with a name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from inspect import Parameter, Signature
from keyword import iskeyword
from typing import Any

import torch
from torch import Tensor, nn

from study.tasks.data.structures import leaves, map_leaves
from study.tasks.judging.outputs import given, own_loss_of, predictions
from study.tasks.task import Task

Arguments = tuple[tuple[Tensor, ...], dict[str, Tensor]]
Outputs = Tensor | dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Interface:
    """Names and forms of what a network takes and gives.

    Parameters
    ----------
    inputs, outputs
        A batch of each, prepared as the model takes it: their forms are kept, and whatever in them
        is no tensor.
    input_names, output_names
        Of their tensors, in order.
    by_name
        Whether tensors are given as keyword arguments; else one after the other.
    computes_loss
        Whether the model gives a loss of its own beside what is exported.
    """

    inputs: Any
    outputs: Any
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    by_name: bool
    computes_loss: bool

    def arguments(self, inputs: Any) -> Arguments:
        """Positional and keyword arguments of the exported network."""
        tensors = tuple(self.tensors(inputs))
        if self.by_name:
            return (), dict(zip(self.input_names, tensors, strict=True))
        return tensors, {}

    def tensors(self, inputs: Any) -> list[Tensor]:
        """The tensors of a batch in the order of their names."""
        return [torch.as_tensor(leaf) for leaf in leaves(inputs)]

    def as_inputs(self, args: tuple[Tensor, ...], kwargs: Mapping[str, Tensor]) -> Any:
        """What the task's forward pass takes, of the arguments of the exported network."""
        tensors = [kwargs[name] for name in self.input_names] if self.by_name else args
        return _refilled(self.inputs, iter(tensors))

    def as_outputs(self, tensors: list[Tensor]) -> Any:
        """What a metric takes, of the outputs of the exported network."""
        return _refilled(self.outputs, iter(tensors))


def interface_of(task: Task, model: nn.Module, inputs: Any) -> Interface:
    """Run a model on a prepared batch, and see what it takes and gives."""
    with torch.no_grad():
        raw = task.forward(model, inputs)
    outputs = given(raw)
    names = _names(inputs, "", "input")
    is_named = isinstance(inputs, Mapping) or dataclasses.is_dataclass(inputs)
    is_logits = outputs is not raw and outputs is predictions(raw)
    return Interface(
        inputs,
        outputs,
        names,
        _names(outputs, "", "logits" if is_logits else "output"),
        is_named and all(_can_be_argument(name) for name in names),
        own_loss_of(raw) is not None,
    )


class Called(nn.Module):
    """A model behind the interface that its export has.

    Parameters
    ----------
    model
        In eval mode.
    task
        By whose forward pass it is run.
    interface
        Of the model.
    """

    def __init__(self, model: nn.Module, task: Task, interface: Interface) -> None:
        super().__init__()
        self.model = model
        self._task, self._interface = task, interface
        self.eval()

    def forward(self, *args: Tensor) -> Outputs:
        """The output, or several by name."""
        return self._outputs(args, {})

    def _outputs(self, args: tuple[Tensor, ...], kwargs: Mapping[str, Tensor]) -> Outputs:
        inputs = self._interface.as_inputs(args, kwargs)
        found = given(self._task.forward(self.model, inputs))
        if isinstance(found, Tensor):
            return found
        tensors = self._interface.tensors(found)
        return dict(zip(self._interface.output_names, tensors, strict=True))


def called(model: nn.Module, task: Task, interface: Interface) -> Called:
    """A model behind its interface, with a signature that names its inputs where they have names.

    torch.export goes by the signature, and cannot free the axes of tensors in ``**kwargs``.
    """
    if not interface.by_name:
        return Called(model, task, interface)

    def forward(self: Called, **kwargs: Tensor) -> Outputs:
        return self._outputs((), kwargs)

    names = [Parameter(name, Parameter.KEYWORD_ONLY) for name in interface.input_names]
    itself = Parameter("self", Parameter.POSITIONAL_ONLY)
    forward.__signature__ = Signature([itself, *names])  # type: ignore[attr-defined]
    by_name: type[Called] = type("CalledByName", (Called,), {"forward": forward})
    return by_name(model, task, interface)


def tensors_of(outputs: Outputs) -> list[Tensor]:
    """What :class:`Called` gives, as a list."""
    return [outputs] if isinstance(outputs, Tensor) else list(outputs.values())


def _can_be_argument(name: str) -> bool:
    return name.isidentifier() and not iskeyword(name) and name != "self"


def _refilled(structure: Any, tensors: Iterator[Tensor]) -> Any:
    """The same form with other tensors in it."""
    return map_leaves(lambda _: next(tensors), structure)


def _names(structure: Any, path: str, base: str) -> tuple[str, ...]:
    """Names of the tensors in a structure, in the order of :func:`leaves`."""
    if isinstance(structure, Tensor):
        return (path or base,)
    parts: list[tuple[Any, Any]] = []
    if isinstance(structure, Mapping):
        parts = list(structure.items())
    elif isinstance(structure, (tuple, list)):
        fields = getattr(structure, "_fields", None)
        keys = fields or [str(i) if path else f"{base}_{i}" for i in range(len(structure))]
        parts = list(zip(keys, structure, strict=True))
    elif dataclasses.is_dataclass(structure) and not isinstance(structure, type):
        own = [field.name for field in dataclasses.fields(structure) if field.init]
        parts = [(name, getattr(structure, name)) for name in own]
    return tuple(
        name
        for key, part in parts
        for name in _names(part, f"{path}_{key}" if path else str(key), base)
    )
