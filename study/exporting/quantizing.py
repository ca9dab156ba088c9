"""int8 by ONNX Runtime, and what that costs in quality."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from study.errors import UsageError
from study.exporting.capturing import Captured, quiet_exporters
from study.exporting.interface import Interface
from study.exporting.onnx_files import feed_of
from study.exporting.parity import Run
from study.records import LOSS, MetricRecord
from study.tasks.data.splits import few
from study.tasks.forward import working_dtype
from study.tasks.judging.evaluation import eval_size, in_order
from study.tasks.task import Task

CALIBRATION_EXAMPLES = 512
"""Training examples by which the ranges of activations are found, at most."""

CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})


def quantized(data: bytes, captured: Captured, task: Task) -> bytes:
    """An ONNX file with int8 weights, a scale for each output channel.

    Zeros stay zeros: weights are quantized symmetrically. A network with convolutions is quantized
    statically (QDQ): ranges of activations are those of training examples. Any other is quantized
    dynamically: ranges are found anew in each run.

    Parameters
    ----------
    data
        The float32 file.
    captured
        Its network.
    task
        Whose training examples calibrate; nothing is chosen by others.

    Raises
    ------
    UsageError
        If ONNX Runtime cannot quantize it.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    model = onnx.load_from_string(data)
    has_convolutions = any(node.op_type in CONVOLUTIONS for node in model.graph.node)
    with tempfile.TemporaryDirectory() as folder:
        names = ("float.onnx", "ready.onnx", "int8.onnx")
        source, ready, target = (str(Path(folder) / name) for name in names)
        Path(source).write_bytes(data)
        try:
            with quiet_exporters():
                quant_pre_process(source, ready, skip_symbolic_shape=True)
                if has_convolutions:
                    reader = _Calibration(_calibration(captured, task))
                    quantize_static(ready, target, reader, per_channel=True)
                else:
                    quantize_dynamic(ready, target, per_channel=True, weight_type=QuantType.QInt8)
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
            raise UsageError(
                f"quantize: ONNX Runtime cannot quantize this network: {reason}"
            ) from error
        small = onnx.load(target)
    known = {each.key for each in small.metadata_props}
    for each in model.metadata_props:
        if each.key not in known:
            small.metadata_props.add(key=each.key, value=each.value)
    written: bytes = small.SerializeToString()
    return written


class _Calibration:
    """What ONNX Runtime asks for batches until there are no more."""

    def __init__(self, feeds: Iterator[dict[str, Any]]) -> None:
        self._feeds = feeds

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)


def _calibration(captured: Captured, task: Task) -> Iterator[dict[str, Any]]:
    split, dtype = task.data.train, working_dtype(captured.called.model)
    chosen = few(split, CALIBRATION_EXAMPLES)
    for part in chosen.split(eval_size(task)):
        yield feed_of(captured.interface, task.prepared(split.take(part).inputs, dtype))


def quality(
    run: Run, interface: Interface, model: nn.Module, task: Task, metric: MetricRecord
) -> float:
    """A metric of what a file gives, on the validation split.

    Parameters
    ----------
    run
        Runs the file.
    interface
        Of the network.
    model
        The network, for the types that it takes.
    task
        Whose metric it is.
    metric
        One of the task's, or its loss.

    Raises
    ------
    UsageError
        If it is a loss that the model itself computes: the file gives none.
    """
    is_loss = metric.name == LOSS.name
    if is_loss and interface.computes_loss:
        raise UsageError(
            "quantize: this study goes by a loss that the network computes itself, and an exported "
            "one does not, so what int8 costs cannot be told. Name a metric in [objectives]."
        )
    split, dtype = task.data.validation, working_dtype(model)
    accumulators = [one.start(task.judge.reading) for one in task.judge.metrics
                    if one.name == metric.name]  # fmt: skip
    loss, elements = 0.0, 0
    draws = list(in_order(len(split), eval_size(task)))
    for draw, batch in zip(draws, split.batches(draws), strict=True):
        outputs: list[Tensor] = run(task.prepared(batch.inputs, dtype))
        found, examples = interface.as_outputs(outputs), len(draw.examples)
        if is_loss:
            mean, counted = task.evaluation_loss(found, batch.targets, examples)
            loss, elements = loss + mean * counted, elements + counted
        for accumulator in accumulators:
            with torch.no_grad():
                accumulator.update(found, batch.targets, examples)
    return loss / elements if is_loss else float(accumulators[0].compute())
