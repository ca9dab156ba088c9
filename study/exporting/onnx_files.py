"""ONNX by torch's own exporter, run by ONNX Runtime."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from study.errors import UsageError
from study.exporting.capturing import Captured, quiet_exporters
from study.exporting.interface import Interface
from study.exporting.parity import Run

if TYPE_CHECKING:
    import onnx

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
MOST_BYTES = 2**31 - 1
"""Of a file without others beside it: protocol buffers have no longer messages."""


def need_packages() -> None:
    """Make sure that what writes and runs ONNX is here.

    Raises
    ------
    UsageError
        It names the extra that brings what is missing.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"output: a .onnx file needs {', '.join(missing)}: pip install 'prune-study[onnx]'"
        )


def to_onnx(captured: Captured, metadata: Mapping[str, str]) -> bytes:
    """Write a network as ONNX.

    Parameters
    ----------
    captured
        The network. Its free axes are called ``batch`` and ``sequence``.
    metadata
        Kept in the file, as ``metadata_props``.

    Raises
    ------
    UsageError
        If the exporter has no translation for an operation, or the file would pass 2 GiB.
    """
    interface = captured.interface
    try:
        with quiet_exporters():
            program = torch.onnx.export(
                captured.program,
                dynamo=True,
                verbose=False,
                input_names=list(interface.input_names),
                output_names=list(interface.output_names),
            )
            assert program is not None
            model = program.model_proto
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise UsageError(f"export: torch.onnx cannot translate this network: {reason}") from error
    _forget_whereabouts(model)
    _name_axes(model)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    if model.ByteSize() > MOST_BYTES:
        raise UsageError(
            f"output: this network takes {model.ByteSize():,} bytes, and one .onnx file holds at "
            f"most {MOST_BYTES:,}. Allowed: .safetensors, .pt2."
        )
    data: bytes = model.SerializeToString()
    return data


def with_metadata(data: bytes, changed: Mapping[str, str]) -> bytes:
    """The same file with other values of some of its metadata."""
    import onnx

    model = onnx.load_from_string(data)
    for each in model.metadata_props:
        each.value = changed.get(each.key, each.value)
    written: bytes = model.SerializeToString()
    return written


def runner(data: bytes, interface: Interface) -> Run:
    """What runs an ONNX file, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    def run(inputs: Any) -> list[Tensor]:
        feed = feed_of(interface, inputs)
        taken = [one.name for one in session.get_inputs()]  # not those that nothing depends on
        found = session.run(list(interface.output_names), {name: feed[name] for name in taken})
        return [torch.from_numpy(array) for array in found]

    return run


def feed_of(interface: Interface, inputs: Any) -> dict[str, Any]:
    """Arrays by name, as ONNX Runtime takes them."""
    tensors = interface.tensors(inputs)
    return {n: t.numpy() for n, t in zip(interface.input_names, tensors, strict=True)}


def _forget_whereabouts(model: onnx.ModelProto) -> None:
    """Leave out where on this machine each operation was traced: paths, and half of a small file.

    The exporter writes its stack traces into every node and value.
    """
    graphs = [model.graph]
    while graphs:
        graph = graphs.pop()
        for node in graph.node:
            del node.metadata_props[:]
            node.ClearField("doc_string")
            for attribute in node.attribute:
                graphs += [attribute.g] if attribute.HasField("g") else []
                graphs += list(attribute.graphs)
        for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
            del value.metadata_props[:]
    for function in model.functions:
        for node in function.node:
            del node.metadata_props[:]
            node.ClearField("doc_string")


def _name_axes(model: onnx.ModelProto) -> None:
    """Call free axes batch and sequence, in place of the tracer's s77."""
    names: dict[str, str] = {}
    for value in model.graph.input:
        for dim, name in zip(value.type.tensor_type.shape.dim, ("batch", "sequence"), strict=False):
            if dim.dim_param and not dim.dim_param.isdecimal():
                names.setdefault(dim.dim_param, name)
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param.isdecimal():  # an axis that turned out to be fixed
                dim.dim_value = int(dim.dim_param)
            elif dim.dim_param:
                dim.dim_param = re.sub(r"\w+", lambda m: names.get(m[0], m[0]), dim.dim_param)
