"""A network in ONNX Runtime: exported by torch in memory, and run on the CPU."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from study.errors import UsageError
from study.tasks.data.structures import leaves, map_leaves

_NEEDED = ("onnx", "onnxscript", "onnxruntime")


def onnx_call(
    name: str,
    network: nn.Module,
    inputs: Any,
    threads: int,
    run: Callable[[nn.Module, Any], Any],
) -> Callable[[], list[Any]]:
    """A function that runs the network once on these inputs and gives its outputs as arrays.

    Parameters
    ----------
    name
        Of the network, for messages.
    network
        In evaluation mode, on the CPU.
    inputs
        Of any structure; its tensors become the graph's inputs, in their order.
    threads
        Within an operation; operations run one after the other.
    run
        ``(model, inputs) -> outputs``.

    Raises
    ------
    UsageError
        If the extra ``onnx`` is not installed, or torch cannot export the network.
    """
    missing = [package for package in _NEEDED if find_spec(package) is None]
    if missing:
        raise UsageError(
            f"latency.backend: 'onnxruntime' needs {', '.join(missing)}. Install the extra onnx: "
            "pip install 'prune-study[onnx]'."
        )
    import onnxruntime

    session = onnxruntime.InferenceSession(
        _exported(name, network, inputs, run),
        _options(onnxruntime.SessionOptions(), threads),
        providers=["CPUExecutionProvider"],
    )
    arrays = [leaf.numpy() if isinstance(leaf, Tensor) else leaf for leaf in leaves(inputs)]
    names = [each.name for each in session.get_inputs()]
    feeds = dict(zip(names, arrays, strict=True))
    return lambda: session.run(None, feeds)  # type: ignore[no-any-return]


def _options(options: Any, threads: int) -> Any:
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Else the threads of the network before would still spin while the next one is timed.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _exported(
    name: str, network: nn.Module, inputs: Any, run: Callable[[nn.Module, Any], Any]
) -> bytes:
    tensors = tuple(torch.as_tensor(leaf) for leaf in leaves(inputs))
    with _quiet():
        try:
            program = torch.onnx.export(
                _OfTensors(network, inputs, run).eval(), tensors, dynamo=True, verbose=False
            )
        except torch.onnx.errors.OnnxExporterError as error:
            reason = f"{error.__cause__ or error}".strip().partition("\n")[0]
            raise UsageError(
                f"latency.backend: torch cannot export the network {name!r} to ONNX: {reason}"
            ) from error
    content: bytes = program.model_proto.SerializeToString()
    return content


class _OfTensors(nn.Module):
    """A network as a graph has it: tensors in, tensors out, whatever structure it takes."""

    def __init__(
        self, network: nn.Module, inputs: Any, run: Callable[[nn.Module, Any], Any]
    ) -> None:
        super().__init__()
        self.network, self.structure, self.run = network, inputs, run

    def forward(self, *tensors: Tensor) -> tuple[Tensor | np.ndarray, ...]:
        given: Iterator[Tensor] = iter(tensors)
        inputs = map_leaves(lambda _: next(given), self.structure)
        return tuple(leaves(self.run(self.network, inputs)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says of packages that it does not need, and of torch itself."""
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    before = registration.level
    registration.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
            yield
    finally:
        registration.setLevel(before)
