"""Export a network: load it, write it, compare it with torch, and only then give it its name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from study.errors import UsageError
from study.exporting.capturing import capture, prepared_examples
from study.exporting.networks import (
    find_round,
    plain_network,
    small_network,
    study_config,
    task_on_cpu,
)
from study.exporting.onnx_files import need_packages, runner, to_onnx, with_metadata
from study.exporting.origins import origin_of
from study.exporting.parity import Parity, Run, check_parity
from study.exporting.program_files import program_runner, to_program
from study.exporting.quantizing import quality, quantized
from study.exporting.sizes import Sizes, sizes_of
from study.exporting.sparse_files import to_sparse
from study.exporting.weight_files import plain_state, to_weights
from study.files.outputs import refuse_output, write_output
from study.objectives import quality_of
from study.records import MetricRecord
from study.storage import Folder
from study.tasks.task import Task

SUFFIXES = (".onnx", ".safetensors", ".pt2")


@dataclass(frozen=True)
class Quantization:
    """What int8 costs: the study's quality on the validation split, before and after."""

    column: str
    before: float
    after: float
    examples: int


@dataclass(frozen=True)
class Exported:
    """A file that was written."""

    path: str
    study: str
    trial: str
    round: int
    sizes: Sizes
    parity: Parity | None = None
    quantization: Quantization | None = None


def export_network(
    study: Folder,
    trial_id: str,
    output: str,
    round_: int | None = None,
    *,
    shrink: bool = False,
    quantize: Literal["int8"] | None = None,
    sparse: bool = False,
) -> Exported:
    """Write the network of a trial after one of its rounds into a file.

    Parameters
    ----------
    study
        Folder of a study.
    trial_id, round_
        Which network, see :func:`study.exporting.networks.find_round`.
    output
        The file; its suffix says what is written. An older one is replaced when the new one is
        complete, and was compared with torch.
    shrink
        Without the channels, neurons and heads that are dead, see :func:`study.pruning.shrink`.
    quantize
        Of ``.onnx``: with int8 weights.
    sparse
        Of ``.safetensors``: in sparse storage, see :func:`study.load_sparse`.

    Raises
    ------
    UsageError
        If there is no such network, the file cannot be what is asked for, or it does not give
        what torch gives. Nothing is written then.
    """
    suffix = _checked_suffix(output, quantize, sparse)
    refuse_output(output)
    found = find_round(study, trial_id, round_, or_dense=True)
    config = study_config(study)
    task = task_on_cpu(config)
    model = dense = plain_network(study, task, found)
    metric = quality_of(task.metrics, config.objectives)
    example = prepared_examples(task, model, task.data.validation, 2)
    metadata = origin_of(config, found, metric, example)
    if shrink:
        model = small_network(study, task, found)
        metadata["shrunk"] = "true"
    parity = cost = None
    if suffix == ".safetensors":
        data = to_sparse(plain_state(model), metadata) if sparse else to_weights(model, metadata)
    else:
        data, parity, cost = _graph_file(suffix, model, task, metric, metadata, quantize)
    write_output(output, data)
    sizes = sizes_of(data, model, dense)
    return Exported(output, config.study.name, trial_id, found.round, sizes, parity, cost)


def _checked_suffix(output: str, quantize: str | None, sparse: bool) -> str:
    suffix = Path(output).suffix
    if suffix not in SUFFIXES:
        raise UsageError(f"output: {output!r} must end in one of {', '.join(SUFFIXES)}.")
    if quantize is not None and suffix != ".onnx":
        raise UsageError(f"quantize: {quantize} is written as .onnx alone, not as {suffix}.")
    if sparse and suffix != ".safetensors":
        raise UsageError(f"sparse: sparse storage is .safetensors alone, not {suffix}.")
    if suffix == ".onnx":
        need_packages()
    return suffix


def _graph_file(
    suffix: str,
    model: nn.Module,
    task: Task,
    metric: MetricRecord,
    metadata: dict[str, str],
    quantize: str | None,
) -> tuple[bytes, Parity, Quantization | None]:
    captured = capture(task, model)
    interface = captured.interface
    if suffix == ".pt2":
        data = to_program(captured, metadata)
        return (
            data,
            check_parity("the loaded program", program_runner(data, interface), captured, task),
            None,
        )
    data = to_onnx(captured, metadata)
    run = runner(data, interface)
    parity = check_parity("ONNX Runtime", run, captured, task)
    if quantize is None:
        return data, parity, None
    small = quantized(to_onnx(captured, {**metadata, "quantized": quantize}), captured, task)
    its_run = runner(small, interface)
    for size in parity.sizes:
        _check_runs(its_run, task, model, size)
    before, after = (quality(one, interface, model, task, metric) for one in (run, its_run))
    cost = Quantization(metric.column, before, after, len(task.data.validation))
    small = with_metadata(small, {metric.column: repr(after)})
    return small, parity, cost


def _check_runs(run: Run, task: Task, model: nn.Module, size: int) -> None:
    """A quantized file gives other numbers than torch, but numbers."""
    outputs = run(prepared_examples(task, model, task.data.validation, size))
    if any(bool(torch.isnan(output).any()) for output in outputs):
        raise UsageError(f"quantize: the int8 network gives NaN on a batch of {size}.")
