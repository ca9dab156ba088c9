"""What runs a network: torch on the CPU, ONNX Runtime, or torch on a GPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal, get_args

import torch
from torch import nn

from study.errors import UsageError, unknown_name
from study.pruning.latency.job import Job
from study.pruning.latency.onnx_runtime import onnx_calls
from study.pruning.latency.turns import Timed
from study.tasks.data.structures import to_device

Backend = Literal["eager", "onnxruntime", "cuda"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)

NO_GPU = "latency.backend: 'cuda', but torch finds no GPU. Allowed here: eager, onnxruntime."


@contextmanager
def ready(
    jobs: Mapping[str, Job], *, backend: str, threads: int, exported_at_once: bool = False
) -> Iterator[tuple[dict[str, Timed], torch.device]]:
    """Networks that can be timed while the context is open, and the device that they are on.

    The process has its number of threads again afterwards, and each module its mode.

    Parameters
    ----------
    jobs
        By name; at least one.
    backend, threads
        As in :func:`~study.pruning.latency.measuring.measure_latency`.
    exported_at_once
        Whether ONNX Runtime's graphs are cut out of one export: for many small networks a tenth of
        the time.

    Raises
    ------
    UsageError
        If the backend is unknown, or a network cannot run in it.
    """
    if backend not in BACKENDS:
        raise unknown_name("latency.backend", backend, BACKENDS)
    device = _device(jobs, backend)
    networks = [job.network for job in jobs.values()]
    with in_evaluation(networks), _threads_of_torch(threads):
        if backend == "onnxruntime":
            groups = [jobs] if exported_at_once else [{name: jobs[name]} for name in jobs]
            calls = {k: v for each in groups for k, v in onnx_calls(each, threads).items()}
        else:
            calls = {name: _eager_call(job, device) for name, job in jobs.items()}
        with torch.inference_mode():
            yield (
                {
                    name: _by_events(call, device) if backend == "cuda" else _by_the_clock(call)
                    for name, call in calls.items()
                },
                device,
            )


def _eager_call(job: Job, device: torch.device) -> Callable[[], object]:
    inputs = to_device(job.inputs, device)
    return lambda: job.run(job.network, inputs)


def _by_the_clock(call: Callable[[], object]) -> Timed:
    def timed(calls: int) -> float:
        begin_ns = time.perf_counter_ns()
        for _ in range(calls):
            call()
        return (time.perf_counter_ns() - begin_ns) / 1e6

    return timed


def _by_events(call: Callable[[], object], device: torch.device) -> Timed:
    def timed(calls: int) -> float:
        taken_ms = 0.0
        with torch.cuda.device(device):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize()
            for _ in range(calls):
                begin.record()
                call()
                end.record()
                # Else the next call would be sent off while this one runs: what counts is how long
                # one takes from its beginning, not how many are done in a while.
                end.synchronize()
                taken_ms += begin.elapsed_time(end)
        return taken_ms

    return timed


def _device(jobs: Mapping[str, Job], backend: str) -> torch.device:
    """Where the networks lie, if the backend can time them there."""
    wanted = "cuda" if backend == "cuda" else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UsageError(NO_GPU)
    found: set[torch.device] = set()
    for name, job in jobs.items():
        for tensor in (*job.network.parameters(), *job.network.buffers()):
            found.add(tensor.device)
            if tensor.device.type != wanted or len(found) > 1:
                raise UsageError(
                    f"latency.backend: {backend!r} measures networks on "
                    f"{'one GPU' if wanted == 'cuda' else 'the CPU'}; a tensor of {name!r} is on "
                    f"{tensor.device}."
                )
    return found.pop() if found else torch.device(wanted)


@contextmanager
def in_evaluation(networks: Sequence[nn.Module]) -> Iterator[None]:
    """Put networks into evaluation mode; afterwards each module is in its own mode again."""
    modes = [(module, module.training) for network in networks for module in network.modules()]
    for network in networks:
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
