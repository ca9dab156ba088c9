import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from study.errors import UsageError
from study.pruning.latency import measuring
from study.pruning.latency.backends import _by_events
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


class FakeEvent:
    """An event of a GPU whose clock stands still but for the calls of a network."""

    clock_ms = 0.0
    log: list[str]

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing
        self.at_ms: float | None = None

    def record(self) -> None:
        self.at_ms = FakeEvent.clock_ms
        self.log.append("record")

    def synchronize(self) -> None:
        assert self.at_ms is not None
        self.log.append("wait for it")

    def elapsed_time(self, end: "FakeEvent") -> float:
        assert self.log[-1] == "wait for it"
        assert self.at_ms is not None
        assert end.at_ms is not None
        return end.at_ms - self.at_ms


def test_events_enclose_each_call_alone_once_all_before_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log: list[str] = []
    monkeypatch.setattr(FakeEvent, "log", log, raising=False)
    monkeypatch.setattr(FakeEvent, "clock_ms", 0.0)
    monkeypatch.setattr(torch.cuda, "Event", FakeEvent)
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: log.append("wait for all"))

    def call() -> None:
        log.append("call")
        FakeEvent.clock_ms += 1.5

    timed = _by_events(call, torch.device("cuda"))
    assert timed(2) == 3.0
    one = ["record", "call", "record", "wait for it"]
    assert log == ["wait for all", *one, *one]
    assert timed(1) == 1.5


ON_A_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


@ON_A_GPU
def test_on_a_gpu_events_tell_the_time() -> None:
    """A product of large matrices takes what its operations take, and eight times as long."""
    side = 4096
    small = nn.Linear(side, side, bias=False, device="cuda")
    large = nn.Sequential(*(nn.Linear(side, side, bias=False, device="cuda") for _ in range(8)))
    found = measure_latency(
        {"small": small, "large": large},
        torch.randn(side, side),
        backend="cuda",
        repeats=10,
        warm_up=3,
    )
    assert found["small"].device.startswith("cuda")
    assert 4 < found["large"].median_ms / found["small"].median_ms < 12
    # The clock of this process, which waits for the GPU itself, says the same.
    inputs = torch.randn(side, side, device="cuda")
    with torch.inference_mode():
        large(inputs)
        torch.cuda.synchronize()
        begin_s = time.perf_counter()
        for _ in range(10):
            large(inputs)
        torch.cuda.synchronize()
        by_the_clock_ms = (time.perf_counter() - begin_s) * 100
    assert found["large"].median_ms == pytest.approx(by_the_clock_ms, rel=0.5)


@ON_A_GPU
def test_on_a_gpu_networks_may_be_channels_last_and_inputs_come_from_the_cpu() -> None:
    network = nn.Conv2d(3, 8, 3).to("cuda", memory_format=torch.channels_last)
    found = measure_latency(
        {"a": network}, torch.randn(2, 3, 16, 16), backend="cuda", repeats=3, warm_up=1
    )
    assert found["a"].median_ms > 0
    assert found["a"].batch_size == 2
