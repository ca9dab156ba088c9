"""What runs a network: torch on the CPU, ONNX Runtime, or torch on a GPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from study.errors import UsageError, unknown_name
from study.pruning.latency.onnx_runtime import onnx_call
from study.pruning.latency.turns import Timed
from study.tasks.data.structures import leaves, to_device

Backend = Literal["eager", "onnxruntime", "cuda"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)

Run = Callable[[nn.Module, Any], Any]
"""``(model, inputs) -> outputs``."""


@contextmanager
def ready(
    networks: Mapping[str, nn.Module], inputs: Any, *, backend: str, threads: int, run: Run
) -> Iterator[tuple[dict[str, Timed], torch.device]]:
    """Networks that can be timed while the context is open, and the device that they are on.

    The process has its number of threads again afterwards, and each module its mode.
    """
    if backend not in BACKENDS:
        raise unknown_name("latency.backend", backend, BACKENDS)
    device = _device(networks, inputs, backend)
    inferring = torch.inference_mode(backend != "onnxruntime")  # torch.export needs real tensors
    with _in_evaluation(networks), _threads_of_torch(threads), inferring:
        own = to_device(inputs, device)
        timed: dict[str, Timed] = {}
        for name, network in networks.items():
            if backend == "onnxruntime":
                timed[name] = _by_the_clock(onnx_call(name, network, own, threads, run))
            elif backend == "cuda":
                timed[name] = _by_events(_eager_call(network, own, run), device)
            else:
                timed[name] = _by_the_clock(_eager_call(network, own, run))
        yield timed, device


def _eager_call(network: nn.Module, inputs: Any, run: Run) -> Callable[[], object]:
    return lambda: run(network, inputs)


def _by_the_clock(call: Callable[[], object]) -> Timed:
    def timed(calls: int) -> float:
        begin_ns = time.perf_counter_ns()
        for _ in range(calls):
            call()
        return (time.perf_counter_ns() - begin_ns) / 1e6

    return timed


def _by_events(call: Callable[[], object], device: torch.device) -> Timed:
    def timed(calls: int) -> float:
        with torch.cuda.device(device):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize()
            begin.record()
            for _ in range(calls):
                call()
            end.record()
            end.synchronize()
            return float(begin.elapsed_time(end))

    return timed


def _device(networks: Mapping[str, nn.Module], inputs: Any, backend: str) -> torch.device:
    """Where the networks lie, if the backend can time them there."""
    wanted = "cuda" if backend == "cuda" else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "latency.backend: 'cuda', but torch finds no GPU. Allowed here: eager, onnxruntime."
        )
    found: torch.device | None = None
    for name, network in networks.items():
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.device.type != wanted or (found is not None and tensor.device != found):
                raise UsageError(
                    f"latency.backend: {backend!r} measures networks on "
                    f"{'one GPU' if wanted == 'cuda' else 'the CPU'}; a tensor of {name!r} is on "
                    f"{tensor.device}."
                )
            found = tensor.device
    if found is not None:
        return found
    of_inputs = (leaf.device for leaf in leaves(inputs) if isinstance(leaf, Tensor))
    return next((each for each in of_inputs if each.type == wanted), torch.device(wanted))


@contextmanager
def _in_evaluation(networks: Mapping[str, nn.Module]) -> Iterator[None]:
    modes = [
        (module, module.training) for network in networks.values() for module in network.modules()
    ]
    for network in networks.values():
        network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def _threads_of_torch(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
