"""int8 networks, in the real ONNX Runtime."""

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor

from study.errors import UsageError
from study.exporting.capturing import capture, prepared_examples
from study.exporting.interface import Interface
from study.exporting.onnx_files import runner, to_onnx
from study.exporting.quantizing import quality, quantized
from study.records import LOSS
from study.tasks import Task, evaluate
from tests.exporting.tasks import network_of, pair, reader
from tests.pruning.tiny import tiny_task


def small_of(task: Task) -> tuple[torch.nn.Module, Interface, bytes, bytes]:
    """A network with zeros in it, its interface, and its files in float32 and int8."""
    model = network_of(task)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter[torch.rand_like(parameter) < 0.5] = 0
    captured = capture(task, model)
    data = to_onnx(captured, {"trial": "0042"})
    return model, captured.interface, data, quantized(data, captured, task)


def weights_in(data: bytes) -> dict[str, np.ndarray]:
    return {
        one.name: onnx.numpy_helper.to_array(one)
        for one in onnx.load_from_string(data).graph.initializer
    }


@pytest.mark.parametrize(
    ("make", "operation"), [(pair, "MatMulInteger"), (tiny_task, "DequantizeLinear")]
)
def test_weights_become_int8_and_zeros_stay_zeros(make: type[Task], operation: str) -> None:
    task = make()
    model, interface, data, small = small_of(task)
    written = onnx.load_from_string(small)
    assert operation in {node.op_type for node in written.graph.node}
    assert {"trial": "0042"}.items() <= {p.key: p.value for p in written.metadata_props}.items()
    names = [n for n, parameter in model.named_parameters() if parameter.dim() > 1]
    before, after = weights_in(data), weights_in(small)
    found = [array for array in after.values() if array.dtype == np.int8 and array.ndim > 1]
    assert len(found) == len(names)
    zeros = sorted(int((before[f"model.{name}"] == 0).sum()) for name in names)
    kept = sorted(int((array == 0).sum()) for array in found)  # some become zero by rounding
    assert all(least <= number for least, number in zip(zeros, kept, strict=True))
    batch = prepared_examples(task, model, task.data.validation, 30)
    with torch.no_grad():
        wanted = task.forward(model, batch)
    wanted = wanted[0] if isinstance(wanted, tuple) else wanted
    (got, *_) = runner(small, interface)(batch)
    assert 0 < (got - wanted).norm() < 0.1 * wanted.norm()


def test_ranges_are_those_of_training_examples_and_nothing_else_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = tiny_task()
    captured = capture(task, network_of(task))
    data = to_onnx(captured, {})

    def refuse(index: Tensor) -> None:
        raise AssertionError("the validation split was read")

    object.__setattr__(task.data.validation, "take", refuse)
    small = quantized(data, captured, task)
    scale = next(a for name, a in weights_in(small).items() if name == "input_scale")
    every = task.data.train.take(torch.arange(50)).inputs
    assert float(scale) == pytest.approx(float(every.max() - every.min()) / 255, rel=1e-4)


def test_the_quality_of_a_float32_file_is_that_of_the_network() -> None:
    for task in (pair(), reader()):
        model = network_of(task)
        captured = capture(task, model)
        run = runner(to_onnx(captured, {}), captured.interface)
        wanted = evaluate(model, task.data.validation, task)
        for metric in task.metrics:
            found = quality(run, captured.interface, model, task, metric)
            assert found == pytest.approx(wanted.value(metric), rel=1e-5)


def test_a_loss_that_the_network_computes_itself_is_refused() -> None:
    task = pair()
    model = network_of(task)
    interface = capture(task, model).interface
    owning = Interface(**{**vars(interface), "computes_loss": True})
    with pytest.raises(UsageError, match="a loss that the network computes itself"):
        quality(lambda _: [], owning, model, task, LOSS)
