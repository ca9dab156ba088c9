"""Networks in ONNX Runtime: exported by torch in memory, and run on the CPU."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from study.errors import UsageError
from study.pruning.latency.job import Job
from study.tasks.data.structures import leaves, map_leaves

_NEEDED = ("onnx", "onnxscript", "onnxruntime")

_TALKATIVE = (
    "torch.onnx._internal.exporter._registration",
    "onnxscript.optimizer._constant_folding",
)


def onnx_calls(jobs: Mapping[str, Job], threads: int) -> dict[str, Callable[[], object]]:
    """Functions that run each job's network once in ONNX Runtime, all cut out of one export.

    Parameters
    ----------
    jobs
        By name. Networks are in evaluation mode and on the CPU; the tensors of their inputs become
        a graph's inputs, in their order.
    threads
        Within an operation; operations run one after the other.

    Raises
    ------
    UsageError
        If the extra ``onnx`` is not installed, or torch cannot export a network.
    """
    check_onnx_runtime()
    return {
        name: _call(graph, _tensors(job), threads)
        for (name, job), graph in zip(jobs.items(), _graphs(jobs), strict=True)
    }


def check_onnx_runtime() -> None:
    """Say what is missing, if ONNX Runtime cannot be used.

    Raises
    ------
    UsageError
        If the extra ``onnx`` is not installed.
    """
    missing = [package for package in _NEEDED if find_spec(package) is None]
    if missing:
        raise UsageError(
            f"latency.backend: 'onnxruntime' needs {', '.join(missing)}. Install the extra onnx: "
            "pip install 'prune-study[onnx]'."
        )


def _call(graph: bytes, tensors: Sequence[Tensor], threads: int) -> Callable[[], object]:
    # Else it reports to its maker what it runs, from a thread beside what is timed.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    session = onnxruntime.InferenceSession(
        graph, _options(onnxruntime.SessionOptions(), threads), providers=["CPUExecutionProvider"]
    )
    names = [each.name for each in session.get_inputs()]
    feeds = {name: tensor.numpy() for name, tensor in zip(names, tensors, strict=True)}
    return lambda: session.run(None, feeds)


def _tensors(job: Job) -> list[Tensor]:
    """The inputs' tensors, each its own, so that each becomes an input of the graph."""
    return [torch.as_tensor(leaf).clone() for leaf in leaves(job.inputs)]


def _options(options: Any, threads: int) -> Any:
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Else the threads of the network before would still spin while the next one is timed.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _graphs(jobs: Mapping[str, Job]) -> list[bytes]:
    """Each job's graph."""
    import onnx

    whole = _exported(jobs)
    if len(jobs) == 1:
        return [whole.SerializeToString()]
    inputs, outputs = (iter([each.name for each in side]) for side in _ends(whole))
    extractor = onnx.utils.Extractor(whole)
    found = []
    for job in jobs.values():
        with torch.no_grad():
            given = len(leaves([job.run(job.network, job.inputs)]))
        own = [list(islice(inputs, len(_tensors(job)))), list(islice(outputs, given))]
        found.append(extractor.extract_model(*own).SerializeToString())
    return found


def _ends(whole: Any) -> tuple[Any, Any]:
    return whole.graph.input, whole.graph.output


def _exported(jobs: Mapping[str, Job]) -> Any:
    """All jobs as one ``ModelProto``, side by side."""
    tensors = tuple(tensor for job in jobs.values() for tensor in _tensors(job))
    with _quiet():
        try:
            program: Any = torch.onnx.export(
                _SideBySide(list(jobs.values())).eval(), tensors, dynamo=True, verbose=False
            )
        except torch.onnx.errors.OnnxExporterError as error:
            if len(jobs) > 1:  # say which
                for name, job in jobs.items():
                    _exported({name: job})
            reason = f"{error.__cause__ or error}".strip().partition("\n")[0]
            raise UsageError(
                f"latency.backend: torch cannot export {', '.join(jobs)} to ONNX: {reason}"
            ) from error
    return program.model_proto


class _SideBySide(nn.Module):
    """Networks as a graph has them: tensors in, tensors out, whatever structures they take."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        super().__init__()
        self.jobs = jobs
        self.networks = nn.ModuleList(job.network for job in jobs)

    def forward(self, *tensors: Tensor) -> tuple[Any, ...]:
        given = iter(tensors)
        found: list[Any] = []
        for job, network in zip(self.jobs, self.networks, strict=True):
            inputs = map_leaves(lambda _: next(given), job.inputs)
            found += leaves([job.run(network, inputs)])
        return tuple(found)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says of packages that it does not need, and of torch itself."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
