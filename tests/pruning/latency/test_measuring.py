from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from study.errors import UsageError
from study.pruning.latency import measuring
from study.pruning.latency.measuring import Latency, measure_latency


class Watched(nn.Module):
    """Notes in which mode, on how many threads and with which inputs it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.frozen = nn.BatchNorm1d(2).eval()
        self.seen: list[tuple[bool, int, bool]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(
            (self.training, torch.get_num_threads(), torch.is_inference_mode_enabled())
        )
        out: Tensor = self.frozen(self.layer(x))
        return out


@pytest.fixture
def fixed_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    def take(candidates: dict[str, Callable[[int], float]], **_: Any) -> dict[str, list[float]]:
        return {name: [4.0, 1.0, 2.0, 3.0, 100.0] for name in candidates}

    monkeypatch.setattr(measuring, "take_turns", take)


@pytest.mark.usefixtures("fixed_samples")
def test_the_median_and_the_range_between_quartiles_are_told() -> None:
    found = measure_latency({"one": nn.Linear(3, 2), "two": nn.Identity()}, torch.zeros(7, 3))
    expected = Latency(
        median_ms=3.0,
        spread_ms=2.0,  # from 2 to 4
        repeats=5,
        backend="eager",
        threads=1,
        batch_size=7,
        device="cpu",
    )
    assert found == {"one": expected, "two": expected}


def test_real_samples_are_positive_and_counted() -> None:
    found = measure_latency({"a": nn.Linear(3, 2)}, torch.zeros(1, 3), repeats=4, warm_up=1)
    assert found["a"].median_ms > 0
    assert found["a"].spread_ms >= 0
    assert 2 <= found["a"].repeats <= 12


def test_networks_run_on_pinned_threads_in_evaluation_and_all_is_as_before() -> None:
    network = Watched().train()
    network.frozen.eval()
    before = torch.get_num_threads()
    measure_latency({"a": network}, torch.zeros(2, 3), threads=2, repeats=2, warm_up=0)
    assert set(network.seen) == {(False, 2, True)}
    assert torch.get_num_threads() == before
    assert network.training
    assert network.layer.training
    assert not network.frozen.training
    assert network.frozen.num_batches_tracked == 0
    assert not network.layer.weight.is_inference()


def test_all_is_as_before_after_an_error_too() -> None:
    network = Watched().train()
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="shape"):
        measure_latency({"a": network}, torch.zeros(2, 4), threads=2)
    assert torch.get_num_threads() == before
    assert network.training


@dataclass
class Pair:
    left: Tensor
    right: Tensor


class Sum(nn.Module):
    def forward(self, left: Tensor, right: Tensor) -> dict[str, Tensor]:
        return {"sum": left + right}


@pytest.mark.parametrize("backend", ["eager", "onnxruntime"])
@pytest.mark.parametrize(
    "inputs",
    [
        (torch.ones(5, 2), torch.ones(5, 2)),
        {"left": torch.ones(5, 2), "right": torch.ones(5, 2)},
        Pair(torch.ones(5, 2), torch.ones(5, 2)),
    ],
    ids=["tuple", "dict", "dataclass"],
)
def test_inputs_are_of_any_form(inputs: Any, backend: Any) -> None:
    found = measure_latency({"a": Sum()}, inputs, backend=backend, repeats=1, warm_up=0)
    assert (found["a"].batch_size, found["a"].backend) == (5, backend)


@pytest.mark.parametrize("backend", ["eager", "onnxruntime"])
def test_a_task_may_call_its_model_in_its_own_way(backend: Any) -> None:
    def run(model: nn.Module, inputs: Any) -> Any:
        return model(inputs["left"], inputs["right"])["sum"]

    inputs = {"left": torch.ones(5, 2), "right": torch.ones(5, 2), "name": "not of the model"}
    found = measure_latency({"a": Sum()}, inputs, backend=backend, repeats=1, warm_up=0, run=run)
    assert found["a"].batch_size == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backend": "onxruntime"}, r"latency\.backend: unknown name.*Did you mean 'onnxruntime'"),
        ({"threads": 0}, r"threads: 0; whole numbers from 1"),
        ({"repeats": 0}, r"repeats: 0; whole numbers from 1"),
        ({"warm_up": -1}, r"warm_up: -1; whole numbers from 0"),
        ({"inputs": {"name": "text"}}, "inputs: no tensor in dict"),
        ({"networks": {}}, "networks: there is none"),
        ({"networks": {"far": nn.Linear(3, 2, device="meta")}}, "a tensor of 'far' is on meta"),
    ],
)
def test_what_cannot_be_measured_is_said(change: dict[str, Any], message: str) -> None:
    given = {"networks": {"a": nn.Linear(3, 2)}, "inputs": torch.zeros(1, 3), **change}
    with pytest.raises(UsageError, match=message):
        measure_latency(**given)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_cuda_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'cuda', but torch finds no GPU.*eager, onnxruntime"):
        measure_latency({"a": nn.Linear(3, 2)}, torch.zeros(1, 3), backend="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_on_a_gpu_events_tell_the_time() -> None:
    found = measure_latency(
        {"a": nn.Linear(3, 2).cuda()}, torch.zeros(1, 3), backend="cuda", repeats=3, warm_up=1
    )
    assert found["a"].device.startswith("cuda")
    assert found["a"].median_ms > 0
