"""CUDA graphs: a step of the project recorded once and played again comes to the same weights.

Recorded is what a study's step does: forward, backward with the masks' hooks, update. A learning
rate is a number in the recording of one network, and stays what it was; in a stack of networks it
is a tensor, which may change between two plays. Warm-up and recording share one stream: what
autograd keeps of the first steps must not name another stream.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.measuring import Figure, ratios
from benchmarks.on_gpu.setting import Found, Setting, apart, cut_at_random, flat, revived
from study.pruning import mask_layers
from study.pruning.masking.masks import MaskedLayers
from study.pruning.packed.state import Stack
from study.pruning.training.steps import _Stepper
from study.pruning.training.trajectory import build_model
from study.tasks import Task
from study.tasks.training.optimizers import build_optimizer

Step = Callable[[], object]

CALL = "torch.cuda.CUDAGraph"
WARM_UP = 3
SAME = 0.02
"""Relative, of what the steps change: another stream may have other kernels of cuBLAS."""


def check(setting: Setting) -> Found:
    """Record a step of one network and of a stack of them."""
    cases: dict[str, tuple[int, ...]] = setting.pick(
        {"lenet300": (1, 28, 28), "resnet20": (3, 32, 32)}, {"mlp": (8, 8)}
    )
    figures: list[Figure] = []
    for model, shape in cases.items():
        task = setting.task(model, shape, setting.pick(1_024, 64), batch_size=64, lr=1e-3)
        for name, make in (("step", One), (f"step of {LANES} packed", Several)):
            figures += _compare(setting, f"{model}, {name}", make, task)
    return Found(tuple(figures), skipped=() if setting.on_gpu else (CALL,))


class One:
    """A network in training, with a batch that stays where it is in memory."""

    def __init__(self, task: Task, inputs: Tensor, targets: Tensor) -> None:
        self._inputs, self._targets = inputs, targets
        self._model = build_model(task, 0)
        cut_at_random(mask_layers(self._model), 0.2)
        self._model.train()
        optimizer = build_optimizer(task.recipe, self._model)
        self._stepper = _Stepper(self._model, optimizer, task, None)
        self._lr = task.recipe.lr

    def step(self) -> Tensor:
        """Take a step on the batch."""
        return self._stepper.step(self._inputs, self._targets, self._lr)

    def networks(self) -> list[nn.Module]:
        """What is trained."""
        return [self._model]


LANES = 16


class Several:
    """Networks in training as one program, likewise."""

    def __init__(self, task: Task, inputs: Tensor, targets: Tensor) -> None:
        self._inputs = inputs.expand(LANES, *inputs.shape).contiguous()
        self._targets = targets.expand(LANES, *targets.shape).contiguous()
        self._lr = torch.full((LANES,), task.recipe.lr, device=task.device)
        lanes: list[tuple[MaskedLayers, torch.optim.Optimizer]] = []
        for lane in range(LANES):
            model = build_model(task, lane)
            masked = mask_layers(model)
            cut_at_random(masked, 0.2, seed=lane)
            lanes.append((masked, build_optimizer(task.recipe, model)))
        self._lanes, self._stack = lanes, Stack(lanes, task)

    def step(self) -> Tensor:
        """Take a step of all networks."""
        return self._stack.step(self._inputs, self._targets, self._lr)

    def networks(self) -> list[nn.Module]:
        """What is trained."""
        self._stack.store()
        return [masked.model for masked, _ in self._lanes]


def _compare(
    setting: Setting, who: str, make: type[One] | type[Several], task: Task
) -> list[Figure]:
    batch = task.data.train.take(torch.arange(task.recipe.batch_size, device=task.device))
    inputs, targets = task.prepared(batch.inputs, torch.float32), batch.targets
    eager, graphed = make(task, inputs, targets), make(task, inputs, targets)
    start = _state(eager.networks())
    play = record(graphed.step, setting)
    plays = setting.pick(20, 2)
    for _ in range(WARM_UP + plays):
        eager.step()
    for _ in range(plays):
        play()
    setting.wait()
    expected, found = _state(eager.networks()), _state(graphed.networks())
    times = setting.times_ms({"eager": eager.step, "graph": play}, calls=setting.pick(50, 1))
    pruned = sum(revived(network) for network in graphed.networks())
    return [
        Figure.of(
            f"{who}: what {WARM_UP + plays} of it change, against eager",
            "relative",
            [apart(found - start, expected - start)],
            f"<= {SAME}",
        ),
        Figure.of(f"{who}: pruned weights that are not 0", "weights", [pruned], "<= 0"),
        Figure.of(f"{who}, eager", "ms", times["eager"]),
        Figure.of(f"{who}, graph", "x as fast as eager", ratios(times["eager"], times["graph"])),
    ]


def _state(networks: list[nn.Module]) -> Tensor:
    """All weights and statistics, copied."""
    return flat(
        {
            f"{place}/{name}": value
            for place, network in enumerate(networks)
            for name, value in network.state_dict().items()
        }
    )


def record(step: Step, setting: Setting) -> Step:
    """A step to play again; where there are no CUDA graphs, the step itself.

    Either way it has been taken :data:`WARM_UP` times.
    """
    if not setting.on_gpu:
        for _ in range(WARM_UP):
            step()
        return step
    stream = torch.cuda.Stream(setting.device)
    stream.wait_stream(torch.cuda.current_stream(setting.device))
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream(setting.device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):  # records, and takes no step
        step()
    return graph.replay
