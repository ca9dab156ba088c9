"""The latency of networks, measured beside each other in one process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from study.errors import UsageError
from study.pruning.latency.backends import Backend, ready
from study.pruning.latency.job import Job
from study.pruning.latency.quiet import alone
from study.pruning.latency.turns import take_turns
from study.tasks.data.structures import leaves
from study.tasks.forward import call

REPEATS = 50
WARM_UP = 5


@dataclass(frozen=True)
class Latency:
    """What one call of a network takes.

    Parameters
    ----------
    median_ms
        Median of the repeats, in milliseconds a call of a whole batch.
    spread_ms
        From their lower to their upper quartile, in milliseconds.
    repeats
        Samples that these are of.
    backend, threads, batch_size, device
        What ran the network, on how many threads, with how many examples, and where.
    """

    median_ms: float
    spread_ms: float
    repeats: int
    backend: Backend
    threads: int
    batch_size: int
    device: str


def measure_latency(
    networks: Mapping[str, nn.Module],
    inputs: Any,
    *,
    backend: Backend = "eager",
    threads: int = 1,
    repeats: int = REPEATS,
    warm_up: int = WARM_UP,
    seed: int = 0,
    run: Callable[[nn.Module, Any], Any] = call,
) -> dict[str, Latency]:
    """Measure networks in turns, so that what disturbs the machine disturbs all of them alike.

    Networks run in evaluation mode and without gradients; afterwards each module is in the mode in
    which it was. Trials of studies with latency on this machine wait meanwhile
    (:mod:`study.pruning.latency.quiet`). A sample during which another process took the processor
    away is taken again, as far as that leads to anything
    (:func:`~study.pruning.latency.turns.take_turns`). On a machine that does other work too, only
    ratios of what was measured in one call say something.

    Parameters
    ----------
    networks
        By name; the dense one among them, if a speedup is wanted.
    inputs
        One batch as the networks take it: a tensor, or a dict, tuple or dataclass of them. The
        first tensor's first dimension is the batch size.
    backend
        ``"eager"``: torch on the CPU; ``"onnxruntime"``: exported to ONNX, on the CPU; ``"cuda"``:
        torch on the networks' GPU, timed by its own events.
    threads
        That one operation may use; the process has its own number again afterwards. Of ``"cuda"``
        those of the CPU beside it.
    repeats, warm_up
        Samples of each network that count, and passes before them that do not. A sample lasts
        about a millisecond or longer; short networks are called several times within it.
    seed
        Of the order in which networks take turns, which is drawn anew for each pass.
    run
        ``(model, inputs) -> outputs`` instead of ``model(inputs)``, such as ``task.forward``.

    Returns
    -------
    dict
        By the names of the networks.

    Raises
    ------
    UsageError
        If an argument is out of range, a network cannot run in the backend (it lies on another
        device, there is no GPU, ONNX Runtime is not installed), or inputs have no tensor.

    Examples
    --------
    >>> dense, small = nn.Linear(512, 512), nn.Linear(512, 64)
    >>> found = measure_latency({"dense": dense, "small": small}, torch.randn(1, 512))
    >>> found["dense"].median_ms / found["small"].median_ms  # doctest: +SKIP
    4.2
    """
    batch_size = _checked(networks, inputs, threads=threads, repeats=repeats, warm_up=warm_up)
    jobs = {name: Job(network, inputs, run) for name, network in networks.items()}
    with ready(jobs, backend=backend, threads=threads) as (timed, device), alone():
        samples = take_turns(timed, repeats=repeats, warm_up=warm_up, seed=seed)
    return {
        name: Latency(
            *_median_and_spread(taken_ms), len(taken_ms), backend, threads, batch_size, str(device)
        )
        for name, taken_ms in samples.items()
    }


def _median_and_spread(taken_ms: list[float]) -> tuple[float, float]:
    low, median, high = np.quantile(taken_ms, (0.25, 0.5, 0.75))
    return float(median), float(high - low)


def _checked(
    networks: Mapping[str, nn.Module], inputs: Any, *, threads: int, repeats: int, warm_up: int
) -> int:
    """The batch size of inputs that can be measured."""
    if not networks:
        raise UsageError("networks: there is none to measure.")
    for field, value, least in (
        ("threads", threads, 1),
        ("repeats", repeats, 1),
        ("warm_up", warm_up, 0),
    ):
        if value < least:
            raise UsageError(f"{field}: {value!r}; whole numbers from {least} up are allowed.")
    first = next((leaf for leaf in leaves(inputs) if isinstance(leaf, Tensor)), None)
    if first is None:
        raise UsageError(f"inputs: no tensor in {type(inputs).__name__}; a batch is needed.")
    return first.shape[0] if first.ndim else 1
