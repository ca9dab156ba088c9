"""ONNX files, run by the real ONNX Runtime beside torch."""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from study.errors import UsageError
from study.exporting.capturing import capture, prepared_examples
from study.exporting.onnx_files import need_packages, runner, to_onnx
from study.exporting.parity import check_parity
from study.tasks import Task, make_task
from tests.exporting.tasks import bag, fixed, network_of, own_forward, pair, reader
from tests.pruning.tiny import tiny_task


def shapes(values: object) -> dict[str, list[str | int]]:
    return {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in values  # type: ignore[attr-defined]
    }


@pytest.mark.parametrize(
    ("make", "inputs", "outputs", "lengths"),
    [
        (tiny_task, {"input": ["batch", 1, 6, 6]}, {"output": ["batch", 3]}, ()),
        (
            reader,
            {"input_ids": ["batch", "sequence"], "attention_mask": ["batch", "sequence"]},
            {"logits": ["batch", 3]},
            (6, 12),
        ),
        (bag, {"input": ["batch", 12]}, {"output": ["batch", 3]}, ()),
        (
            pair,
            {"wide": ["batch", 4], "narrow": ["batch", 2]},
            {"output_0": ["batch", 3], "output_1": ["batch", 8]},
            (),
        ),
        (
            own_forward,
            {"a": ["batch", 2], "b": ["batch", 4]},
            {"output_0": ["batch", 3], "output_1": ["batch", 8]},
            (),
        ),
    ],
)
def test_a_network_of_any_form_gives_in_onnx_what_it_gives_in_torch(
    make: Callable[[], Task],
    inputs: dict[str, list[str | int]],
    outputs: dict[str, list[str | int]],
    lengths: tuple[int, ...],
) -> None:
    task = make()
    model = network_of(task)
    captured = capture(task, model)
    data = to_onnx(captured, {"trial": "0042"})
    parity = check_parity("ONNX Runtime", runner(data, captured.interface), captured, task)
    assert parity.sizes == (1, 2, 7)
    assert parity.lengths == lengths

    written = onnx.load_from_string(data)
    onnx.checker.check_model(written, full_check=True)
    assert shapes(written.graph.input) == inputs
    assert shapes(written.graph.output) == outputs
    assert {each.key: each.value for each in written.metadata_props} == {"trial": "0042"}
    assert b"/" + __file__.encode().split(b"/")[-2] not in data, "paths of this machine"

    session = onnxruntime.InferenceSession(data)
    batch = prepared_examples(task, model, task.data.validation, 23)
    arrays = captured.interface.tensors(batch)
    feed = {n: a.numpy() for n, a in zip(inputs, arrays, strict=True)}
    with torch.no_grad():
        wanted = task.forward(model, batch)
    first = wanted[0] if isinstance(wanted, tuple) else getattr(wanted, "logits", wanted)
    np.testing.assert_allclose(session.run(None, feed)[0], first.numpy(), rtol=1e-4, atol=1e-5)


def test_a_file_that_differs_from_torch_is_found_out() -> None:
    task = pair()
    captured = capture(task, network_of(task))
    model = onnx.load_from_string(to_onnx(captured, {}))
    (bias,) = (one for one in model.graph.initializer if one.name == "model.head.bias")
    moved = onnx.numpy_helper.to_array(bias) + np.float32(1e-3)
    bias.CopyFrom(onnx.numpy_helper.from_array(moved, bias.name))
    run = runner(model.SerializeToString(), captured.interface)
    with pytest.raises(UsageError, match=r"on a batch of 1: output_0 differs from torch by .*001"):
        check_parity("ONNX Runtime", run, captured, task)


def test_a_file_that_takes_no_other_batch_is_found_out() -> None:
    task = pair()
    captured = capture(task, network_of(task))
    model = onnx.load_from_string(to_onnx(captured, {}))
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    run = runner(model.SerializeToString(), captured.interface)
    with pytest.raises(UsageError, match="ONNX Runtime fails on a batch of 2"):
        check_parity("ONNX Runtime", run, captured, task)


def test_a_network_that_fixes_the_number_of_examples_is_refused() -> None:
    task = fixed()
    with pytest.raises(UsageError, match="cannot record this network for any number of examples"):
        capture(task, network_of(task))


class Counting(nn.Module):
    """Asks for the number of examples as a number of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(x) + torch.zeros(1, 2).expand(len(x), -1)
        return out


def test_code_that_makes_a_constant_of_the_number_of_examples_is_told_how_not_to() -> None:
    examples = (torch.randn(8, 4), torch.randint(2, (8,)))
    task = make_task(Counting, examples, examples, name="counting", augmentation=())
    with pytest.raises(UsageError, match=r"as len\(tensor\) does; tensor.shape\[0\] does not"):
        capture(task, Counting().eval())


def test_without_the_packages_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    need_packages()
    monkeypatch.setattr("study.exporting.onnx_files.find_spec", lambda name: name == "onnx" or None)
    with pytest.raises(UsageError, match=r"needs onnxruntime, onnxscript: .*prune-study\[onnx\]"):
        need_packages()
