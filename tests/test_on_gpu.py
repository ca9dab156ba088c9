"""The checks of a GPU: their code at tiny sizes on a CPU, that each can fail, how it is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

from benchmarks.measuring import Figure
from benchmarks.on_gpu import __main__ as command
from benchmarks.on_gpu import events, graphs, memory, processes, two_of_four
from benchmarks.on_gpu.checks import CHECKS, Result, perform
from benchmarks.on_gpu.report import as_json, markdown
from benchmarks.on_gpu.setting import Found, Setting
from study.pruning import PruningPlan
from study.pruning.masking.gradient_masks import GradientMask
from study.pruning.packed.state import Stack
from study.pruning.training import steps

SKIPPED = {
    "graphs": ("torch.cuda.CUDAGraph",),
    "two_of_four": ("torch.sparse.to_sparse_semi_structured",),
    "events": ("torch.cuda.Event",),
    "memory": ("torch.cuda.max_memory_allocated",),
}
"""What checks say that they lack on a CPU."""


@pytest.fixture(autouse=True)
def _no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dynamo without its compiler, which takes half a minute."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))


def result(name: str) -> Result:
    return Result(name, "cpu", 0.0, perform(name, "cpu"))


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_runs_on_a_cpu_and_names_what_it_lacks_there(name: str) -> None:
    found = result(name)
    assert found.found is not None
    assert found.found.skipped == SKIPPED.get(name, ())
    assert found.outcome == ("not available" if name in SKIPPED else "passed")
    assert [figure.case for figure in found.missed] == []
    assert all(figure.median >= 0 for figure in found.found.figures if figure.unit == "ms")
    if name != "events":
        assert any(figure.meets_goal for figure in found.found.figures)


def other_lr(monkeypatch: pytest.MonkeyPatch) -> None:
    step = Stack.step
    monkeypatch.setattr(Stack, "step", lambda self, x, y, lr: step(self, x, y, lr * 1.2))


def no_gradient_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GradientMask, "_mask_gradient", lambda self, parameter: None)


def another_network(monkeypatch: pytest.MonkeyPatch) -> None:
    class Louder(nn.Module):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.model(x)
            return out * 1.2

    monkeypatch.setattr(torch, "compile", Louder)


def a_graph_of_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "record", lambda step, setting: lambda: None)


def another_order_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = count()

    def order(seed: int, epoch: int, examples: int) -> Tensor:
        return torch.randperm(examples, generator=torch.Generator().manual_seed(next(seeds)))

    monkeypatch.setattr(steps, "epoch_order", order)


def no_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = PruningPlan(sparsity=0.5, retrain_epochs=0)
    monkeypatch.setattr(two_of_four, "PruningPlan", lambda **_: plan)


def kept_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Tensor] = []
    run = memory.run_pipeline

    def run_and_keep(*arguments: Any) -> Any:
        kept.append(torch.zeros(1_000))
        return run(*arguments)

    monkeypatch.setattr(memory, "run_pipeline", run_and_keep)


@pytest.mark.parametrize(
    ("name", "fault", "missed"),
    [
        ("amp", no_gradient_masked, "pruned weights that are not 0"),
        ("packed_race", other_lr, "validation loss, largest change"),
        ("compiled", another_network, "what 2 steps change"),
        ("graphs", a_graph_of_nothing, "against eager"),
        ("two_of_four", no_pattern, "groups of 4 inputs with more than 2 kept"),
        ("determinism", another_order_each_time, "tensors that differ"),
        ("memory", kept_networks, "left behind by a second trial"),
    ],
)
def test_what_is_wrong_fails_its_check(
    name: str,
    fault: Callable[[pytest.MonkeyPatch], None],
    missed: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault(monkeypatch)
    found = result(name)
    assert found.outcome == "failed"
    assert any(missed in figure.case for figure in found.missed)


@pytest.mark.parametrize(
    ("capability", "has_cusparselt", "kinds"),
    [
        ((8, 0), True, ["cuSPARSELt", "CUTLASS"]),
        ((9, 0), True, ["cuSPARSELt"]),
        ((8, 6), False, ["CUTLASS"]),
        ((7, 5), True, []),
    ],
)
def test_kernels_for_2_of_4_are_those_that_the_gpu_has(
    capability: tuple[int, int],
    has_cusparselt: bool,
    kinds: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.backends.cusparselt, "is_available", lambda: has_cusparselt)
    found, notes = two_of_four._kinds(Setting(torch.device("cuda")))
    assert found == kinds
    assert len(notes) == 2 - len(kinds)


def test_a_step_is_recorded_on_the_stream_on_which_it_was_warmed_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []

    class Stream:
        def __init__(self, name: str = "side") -> None:
            self.name = name

        def wait_stream(self, other: Stream) -> None:
            told.append(f"{self.name} waits for {other.name}")

    class Graph:
        def replay(self) -> None:
            told.append("play")

    @contextmanager
    def on(stream: Stream) -> Iterator[None]:
        told.append(f"to {stream.name}")
        yield

    @contextmanager
    def recorded(graph: Graph, stream: Stream) -> Iterator[None]:
        told.append(f"record on {stream.name}")
        yield
        told.append("recorded")

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream("main"))
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "stream", on)
    monkeypatch.setattr(torch.cuda, "graph", recorded)
    play = graphs.record(lambda: told.append("step"), Setting(torch.device("cuda")))
    play()
    warm_up = ["side waits for main", "to side", *["step"] * graphs.WARM_UP]
    record = ["main waits for side", "record on side", "step", "recorded"]
    assert told == [*warm_up, *record, "play"]


@pytest.mark.parametrize(
    ("batch", "by_events", "missed"),
    [(8, 1.0, []), (8, 0.8, [">= 0.9"]), (8, 1.2, ["<= 1.1"]), (1, 0.8, []), (1, 1.2, ["<= 1.1"])],
)
def test_events_must_agree_with_the_clock_and_lie_within_it(
    batch: int, by_events: float, missed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def times(_: Any, networks: dict[str, nn.Module], inputs: Tensor, clocks: Any) -> Any:
        return {**dict.fromkeys(networks, [by_events] * 3), **dict.fromkeys(clocks, [1.0] * 3)}

    monkeypatch.setattr(Setting, "latencies_ms", times)
    networks: dict[str, nn.Module] = {"slow": nn.Identity(), "fast": nn.Identity()}
    figures = events._compare(Setting(torch.device("cuda")), networks, torch.zeros(batch, 2))
    found = [figure for figure in figures if figure.meets_goal is False]
    assert [figure.goal for figure in found] == missed * 2


def test_a_check_that_takes_too_long_is_ended_and_says_so() -> None:
    found = processes.run("amp", "cpu", replace(CHECKS["amp"], limit_s=0.1))
    assert (found.outcome, found.error) == ("failed", "took longer than 0.1 s")
    assert sum(check.limit_s for check in CHECKS.values()) < 600


def test_a_check_that_breaks_off_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    nowhere = replace(CHECKS["amp"], environment={"PYTHONPATH": str(tmp_path)})
    found = processes.run("amp", "cpu", nowhere)
    assert found.outcome == "failed"
    assert found.error == "ModuleNotFoundError: No module named 'benchmarks'"


FOUND = Found(
    (
        Figure.of("a ratio", "x", [1.0, 2.0, 3.0], ">= 1.5"),
        Figure.of("a | distance", "relative", [0.25], "<= 0.1"),
    ),
    skipped=("torch.cuda.Event",),
    notes=("A note.",),
)


def test_what_a_process_writes_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "perform", lambda name, device: FOUND)
    processes.write("amp", "cpu", str(tmp_path / "found.json"))
    assert processes._read(tmp_path / "found.json") == FOUND


def test_the_table_has_outcomes_figures_goals_and_notes() -> None:
    good = replace(FOUND, figures=FOUND.figures[:1])
    results = [
        Result("events", "cpu", 1.0, FOUND),
        Result("memory", "cpu", 1.0, good),
        Result("amp", "cpu", 1.0, None, "took longer than 75 s"),
        Result("graphs", "cpu", 1.0, replace(good, skipped=())),
    ]
    assert [each.outcome for each in results] == ["failed", "not available", "failed", "passed"]
    lines = markdown(results, "cpu").splitlines()
    assert "| a ratio | met | 2 (1.5 to 2.5) x | >= 1.5 |" in lines
    assert "| a / distance | missed | 0.25 relative | <= 0.1 |" in lines
    assert f"| **{CHECKS['amp'].what}** | failed: took longer than 75 s | | |" in lines
    assert any(line.endswith("| not available: without torch.cuda.Event | | |") for line in lines)
    assert lines[-1] == "A note."
    told = json.loads(json.dumps(as_json(results, "cpu")))
    assert told["checks"]["events"]["outcome"] == "failed"
    assert told["checks"]["memory"]["found"]["figures"][0]["median"] == 2.0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_in_a_line_and_exits_with_4(tmp_path: Path) -> None:
    answer = CliRunner().invoke(command.main, ["--folder", str(tmp_path / "none")])
    assert answer.exit_code == 4
    assert answer.stderr == "on_gpu: torch finds no GPU here, so nothing was checked.\n"
    assert answer.stdout == ""
    assert not (tmp_path / "none").exists()


def test_one_that_fails_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(name: str, device: str) -> Result:
        return Result(name, device, 1.0, None if name == "amp" else FOUND, "it broke")

    monkeypatch.setattr(command, "run", run)
    asked = ["amp", "memory", "--device", "cpu", "--folder", str(tmp_path)]
    answer = CliRunner().invoke(command.main, asked)
    assert answer.exit_code == 1
    written = json.loads((tmp_path / "on_gpu.json").read_text())["checks"]
    assert list(written) == ["amp", "memory"]
    assert (tmp_path / "on_gpu.md").read_text() == answer.stdout

    passed = replace(FOUND, figures=FOUND.figures[:1], skipped=())
    monkeypatch.setattr(command, "run", lambda name, device: Result(name, device, 1.0, passed))
    assert CliRunner().invoke(command.main, asked).exit_code == 0
