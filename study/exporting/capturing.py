"""The graph of a network, for any number of examples."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export
from torch.fx.experimental.symbolic_shapes import is_concrete_int

from study.errors import UsageError
from study.exporting.interface import Called, Interface, called, interface_of
from study.tasks.data.splits import Examples, few
from study.tasks.forward import working_dtype
from study.tasks.task import Task

SIZES = (1, 2, 7)
"""Examples in the batches on which an export is compared with torch."""


@dataclass(frozen=True, eq=False)
class Captured:
    """A network as torch.export sees it.

    Parameters
    ----------
    program
        The graph; the first axis of its inputs is free.
    called
        The network behind the interface of the graph.
    interface
        What both take and give.
    has_sequences
        Whether the second axis of the inputs is free too.
    """

    program: ExportedProgram
    called: Called
    interface: Interface
    has_sequences: bool


def prepared_examples(task: Task, model: nn.Module, split: Examples, count: int) -> Any:
    """Some examples of a split as a model takes them."""
    taken = split.take(few(split, count))
    return task.prepared(taken.inputs, working_dtype(model))


def capture(task: Task, model: nn.Module) -> Captured:
    """Record the graph of a network with ``torch.export``, from real validation examples.

    The number of examples is left free. So is the length of sequences, where the inputs are
    tokens, (n, length) each, and the network allows it.

    Parameters
    ----------
    task
        By whose forward pass the network is run.
    model
        In eval mode, on the CPU.

    Raises
    ------
    UsageError
        If torch.export cannot follow the network, or it fixes the number of examples.
    """
    inputs = prepared_examples(task, model, task.data.validation, max(SIZES))
    interface = interface_of(task, model, inputs)
    network = called(model, task, interface)
    tensors = interface.tensors(inputs)
    args, kwargs = interface.arguments(inputs)
    axes = [_free_axes(tensor, len(tensors[0]), _are_sequences(tensors)) for tensor in tensors]
    shapes: dict[str, Any] = {"args": tuple(axes)}
    if interface.by_name:
        shapes = dict(zip(interface.input_names, axes, strict=True))
    try:
        with quiet_exporters(), torch.no_grad():
            program = export(network, args, kwargs, dynamic_shapes=shapes, strict=False)
    except Exception as error:  # of any kind: whatever the network's own code does to a tracer
        raise UsageError(
            "export: torch.export cannot record this network for any number of examples: "
            f"{_why(error)}"
        ) from error
    _forget_whereabouts(program)
    return Captured(program, network, interface, _is_second_axis_free(program))


def _why(error: Exception) -> str:
    text = str(error).strip()
    if "specialized it to be a constant" in text:
        return "its code makes a constant of it, as len(tensor) does; tensor.shape[0] does not."
    return text.partition("\n")[0]


def _are_sequences(tensors: list[Tensor]) -> bool:
    lengths = {tensor.shape[1] for tensor in tensors if tensor.dim() > 1}
    is_token = any(tensor.dtype == torch.int64 and tensor.dim() == 2 for tensor in tensors)
    return is_token and len(lengths) == 1 and all(tensor.dim() > 1 for tensor in tensors)


def _free_axes(tensor: Tensor, examples: int, are_sequences: bool) -> dict[int, Any]:
    is_batch = tensor.dim() > 0 and len(tensor) == examples
    free = {0: Dim.DYNAMIC} if is_batch else {}  # an error where the network fixes it
    return {**free, 1: Dim.AUTO} if are_sequences else free  # fixed where the network does


def _is_second_axis_free(program: ExportedProgram) -> bool:
    inputs = set(program.graph_signature.user_inputs)
    shapes = [node.meta["val"].shape for node in program.graph.nodes if node.name in inputs]
    return all(len(shape) > 1 and not is_concrete_int(shape[1]) for shape in shapes)


def _forget_whereabouts(program: ExportedProgram) -> None:
    """Leave the examples, and the paths of this machine, out of what is written."""
    program.example_inputs = None
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)


@contextmanager
def quiet_exporters() -> Iterator[None]:
    """Keep exporters from warning of their own insides; whether a file is right is compared."""
    logger = logging.getLogger("torch.onnx")
    folding = logging.getLogger("onnxscript.optimizer._constant_folding")
    level = logger.level
    logger.setLevel(logging.ERROR)
    folding.addFilter(_is_more_than_unfolded)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        folding.removeFilter(_is_more_than_unfolded)


def _is_more_than_unfolded(record: logging.LogRecord) -> bool:
    """Whether a record is a warning: that a split of constants stays in the graph is none."""
    return not record.getMessage().startswith("Skipping constant folding for op ")
