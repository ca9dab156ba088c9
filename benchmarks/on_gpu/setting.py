"""Where a check runs and at which size, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.measuring import Figure, interleaved_ms
from study.pruning.latency.backends import ready
from study.pruning.latency.job import Job
from study.pruning.latency.turns import Timed, take_turns
from study.pruning.masking.masks import MaskedLayers
from study.records import RoundRecord
from study.tasks import Task, make_task
from study.tasks.forward import call
from study.tasks.models import MODELS

T = TypeVar("T")

CLASSES = 10


@dataclass(frozen=True)
class Found:
    """What a check came to.

    Parameters
    ----------
    figures
        A missed goal of one fails the check.
    skipped
        Calls of the check that are there on a GPU alone, by name, where there is none.
    notes
        What a reader of the figures should know.
    """

    figures: tuple[Figure, ...]
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Setting:
    """Where a check runs: whole on a GPU, and at a tiny size on the CPU, for a look at its code."""

    device: torch.device

    @property
    def on_gpu(self) -> bool:
        """Whether what only a GPU has is there."""
        return self.device.type == "cuda"

    def pick(self, whole: T, tiny: T) -> T:
        """The size that belongs here."""
        return whole if self.on_gpu else tiny

    def wait(self) -> None:
        """Wait until all is done that was sent to the device."""
        if self.on_gpu:
            torch.cuda.synchronize(self.device)

    def times_ms(
        self, candidates: Mapping[str, Callable[[], object]], calls: int = 1
    ) -> dict[str, list[float]]:
        """Milliseconds of a call of each candidate, in turns of ``calls`` that are waited for."""

        def turn(candidate: Callable[[], object]) -> None:
            for _ in range(calls):
                candidate()
            self.wait()

        turns = {name: partial(turn, candidate) for name, candidate in candidates.items()}
        taken_ms = interleaved_ms(turns, self.pick(9, 2))
        return {name: [each / calls for each in times] for name, times in taken_ms.items()}

    def latencies_ms(
        self, networks: Mapping[str, nn.Module], inputs: Tensor, others: Mapping[str, Timed]
    ) -> dict[str, list[float]]:
        """Medians of a few rounds of turns, of networks by the project's latency, and of others.

        Studies that train on this machine are not waited for, as ``measure_latency`` does for up
        to a minute: a check has a time limit.
        """
        jobs = {name: Job(network, inputs, call) for name, network in networks.items()}
        backend = "cuda" if self.on_gpu else "eager"
        medians: dict[str, list[float]] = {name: [] for name in (*networks, *others)}
        for seed in range(self.pick(3, 1)):
            with ready(jobs, backend=backend, threads=1) as (timed, _):
                samples = take_turns(
                    {**timed, **others},
                    repeats=self.pick(20, 2),
                    warm_up=self.pick(5, 0),
                    seed=seed,
                )
            for name, taken_ms in samples.items():
                medians[name].append(median(taken_ms))
        return medians

    def classes(self, shape: tuple[int, ...], examples: int, seed: int) -> tuple[Tensor, Tensor]:
        """Noise over a coarse pattern for each class, and the classes; on the CPU.

        A fifth of the classes is drawn anew, so that no network gets everything right and small
        differences stay to be seen.
        """
        patterns = torch.randn(CLASSES, *shape, generator=torch.Generator().manual_seed(0))
        if len(shape) == 3:
            coarse = functional.adaptive_avg_pool2d(patterns, 4) * (shape[1] // 4)
            patterns = functional.interpolate(coarse, size=shape[1:])
        own = torch.Generator().manual_seed(seed)
        targets = torch.arange(examples) % CLASSES
        inputs = patterns[targets] / 2 + torch.randn(examples, *shape, generator=own)
        drawn = torch.randint(CLASSES, (examples,), generator=own)
        return inputs, torch.where(torch.rand(examples, generator=own) < 0.2, drawn, targets)

    def task(
        self,
        model: str,
        shape: tuple[int, ...],
        examples: int,
        options: Mapping[str, Any] | None = None,
        **recipe: Any,
    ) -> Task:
        """A task on this device, of one of the project's models on :meth:`classes`."""
        return make_task(
            partial(MODELS[model], shape, CLASSES, **(options or {})),
            self.classes(shape, examples, seed=1),
            self.classes(shape, max(examples // 4, CLASSES), seed=2),
            name=model,
            device=str(self.device),
            **recipe,
        )


class Last:
    """Keeps the network of the last round that a pipeline has finished."""

    masked: MaskedLayers

    def checkpoint(self, progress: object) -> None:
        """Nothing is to be continued."""

    def round_finished(self, record: RoundRecord, masked: MaskedLayers, progress: object) -> None:
        """Take the network."""
        self.masked = masked


@contextmanager
def plain_float32() -> Iterator[None]:
    """Convolutions of float32 without TF32, torch's default for them, which keeps 10 bits."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


def apart(found: Tensor, expected: Tensor) -> float:
    """Length of the difference over the length of what is expected."""
    expected = expected.double()
    return float((found.double() - expected).norm() / expected.norm().clamp_min(1e-300))


def flat(tensors: Mapping[str, Tensor]) -> Tensor:
    """All entries of floating-point tensors in one row, by name."""
    parts = [tensors[name].detach().flatten() for name in sorted(tensors)]
    return torch.cat([part.double() for part in parts if part.is_floating_point()])


def cut_at_random(masked: MaskedLayers, density: float, seed: int = 0) -> None:
    """Keep a random share of all weights; drawn on the CPU, so the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    masks = {
        name: (torch.rand(mask.shape, generator=generator) < density).to(mask.device)
        for name, mask in masked.masks.items()
    }
    masked.cut(masks, optimizer=None)


def revived(model: nn.Module) -> int:
    """Pruned weights of a masked network that are not exactly zero."""
    masked = MaskedLayers(model)
    return sum(
        int((weight.detach()[~masked.masks[name]] != 0).sum())
        for name, weight in masked.weights.items()
    )
