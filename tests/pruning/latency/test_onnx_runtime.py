from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from study.errors import UsageError
from study.pruning.latency import onnx_runtime
from study.pruning.latency.job import Job
from study.pruning.latency.measuring import measure_latency
from study.pruning.latency.onnx_runtime import onnx_calls
from study.tasks.forward import call


def networks() -> dict[str, Job]:
    """Of different forms of inputs and numbers of outputs; two of the same tensor."""
    torch.manual_seed(0)
    image, rows = torch.randn(2, 1, 6, 6), torch.randn(2, 5, 4)
    norm = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    norm(image)  # running statistics that are not those of a fresh norm
    return {
        "convolution": Job(norm.eval(), image, call),
        "identity": Job(nn.Identity(), image, call),
        "recurrent": Job(nn.LSTM(4, 3, batch_first=True), rows, call),
        "mapping": Job(Product(), {"left": rows, "right": rows.transpose(1, 2)}, call),
    }


class Product(nn.Module):
    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return left @ right


def test_graphs_that_are_cut_out_of_one_export_give_what_torch_gives() -> None:
    jobs = networks()
    together = onnx_calls(jobs, threads=1)
    for name, job in jobs.items():
        with torch.no_grad():
            expected = job.run(job.network, job.inputs)
        found: Any = together[name]()
        expected = [expected[0], *expected[1]] if name == "recurrent" else [expected]
        assert len(found) == len(expected)
        for mine, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(mine, theirs.numpy(), atol=1e-5)


def test_a_network_alone_gives_what_torch_gives() -> None:
    job = networks()["convolution"]
    found: Any = onnx_calls({"one": job}, threads=1)["one"]()
    with torch.no_grad():
        np.testing.assert_allclose(found[0], job.network(job.inputs).numpy(), atol=1e-5)


def test_threads_are_those_that_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    seen: list[tuple[int, int]] = []
    real = onnxruntime.InferenceSession

    def session(graph: bytes, options: Any, **how: Any) -> Any:
        seen.append((options.intra_op_num_threads, options.inter_op_num_threads))
        assert how == {"providers": ["CPUExecutionProvider"]}
        return real(graph, options, **how)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    measure_latency(
        {"a": nn.Linear(3, 2)}, torch.zeros(1, 3), backend="onnxruntime", threads=2, repeats=1
    )
    assert seen == [(2, 1)]


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_runtime, "find_spec", lambda name: None if "script" in name else 1)
    with pytest.raises(UsageError, match=r"needs onnxscript\. .*extra onnx.*prune-study\[onnx\]"):
        measure_latency({"a": nn.Linear(3, 2)}, torch.zeros(1, 3), backend="onnxruntime")


class Undecided(nn.Module):
    """Which way it goes depends on its input's values, so that no graph can hold it."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_what_torch_cannot_export_is_named() -> None:
    jobs = {"fine": Job(nn.Identity(), torch.zeros(1), call)}
    jobs["undecided"] = Job(Undecided(), torch.zeros(1), call)
    with pytest.raises(UsageError, match="cannot export undecided to ONNX: ") as caught:
        onnx_calls(jobs, threads=1)
    assert "\n" not in str(caught.value)
