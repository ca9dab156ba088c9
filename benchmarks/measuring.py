"""Interleaved timing: noise that comes and goes hits all candidates alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median, quantiles

import torch


def interleaved_ms(
    candidates: Mapping[str, Callable[[], object]], repeats: int, inner: int
) -> dict[str, list[float]]:
    """Milliseconds of one call of each candidate, measured in turns.

    Parameters
    ----------
    candidates
        What to time.
    repeats
        Turns.
    inner
        Calls in a turn; a turn's figure is their mean.
    """
    torch.set_num_threads(1)
    for call in candidates.values():
        for _ in range(inner):
            call()
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(repeats):
        for name, call in candidates.items():
            begin = time.perf_counter()
            for _ in range(inner):
                call()
            times[name].append((time.perf_counter() - begin) / inner * 1000)
    return times


def ratios(times: Mapping[str, list[float]], base: str) -> dict[str, tuple[float, float, float]]:
    """Median and quartiles of each candidate's time over the base's, turn by turn."""
    found = {}
    for name, own in times.items():
        pairs = [mine / theirs for mine, theirs in zip(own, times[base], strict=True)]
        low, _, high = quantiles(pairs, n=4)
        found[name] = (median(pairs), low, high)
    return found
