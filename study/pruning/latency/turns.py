"""Candidates timed in turns: what disturbs the machine for a while disturbs all of them alike."""

from __future__ import annotations

import gc
import math
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

SAMPLE_MS = 1.0
"""A sample lasts at least about as long; what is shorter is repeated within it, so that neither
the clock's step nor a call of it is seen."""

MOST_CALLS = 10_000
"""Calls in a sample, however short they are."""

MOST_PASSES = 3
"""Times as many passes as samples that count, where other processes disturb."""

FEWEST = 10
"""One undisturbed sample in as many of those that were asked for is enough to go by them alone."""

_LOOKS = 3
"""Calls by the shortest of which the number of calls in a sample is chosen."""

Timed = Callable[[int], float]
"""``calls -> milliseconds``: what so many calls, one after the other, take in all."""


if sys.platform == "win32":  # which does not tell: every sample counts as undisturbed

    def times_off_the_processor() -> int:
        """How often another process has taken a processor from a thread of this one."""
        return 0
else:
    import resource

    def times_off_the_processor() -> int:
        """How often another process has taken a processor from a thread of this one."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def take_turns(
    candidates: Mapping[str, Timed],
    *,
    repeats: int,
    warm_up: int,
    seed: int,
    disturbances: Callable[[], int] = times_off_the_processor,
    after_pass: Callable[[int], None] | None = None,
) -> dict[str, list[float]]:
    """Milliseconds of one call of each candidate, once in each of many passes.

    In each pass every candidate has one turn, in an order that is drawn anew, so that none is
    always behind the same other one, whose data are then in the caches. Python's garbage collector
    is paused. A sample during which another process took the processor away is of that process,
    not of the candidate: passes go on until each candidate has enough samples without, but no
    further than three times as many.

    Parameters
    ----------
    candidates
        What to time.
    repeats
        Samples of each that count.
    warm_up
        Passes before them that do not.
    seed
        Of the orders.
    disturbances
        Counts what disturbs; a sample during which the count grew is disturbed.
    after_pass
        Told of each pass that is over, by its number from 1, between two samples.

    Returns
    -------
    dict
        Samples of each, in milliseconds a call, in the order of the passes: those without a
        disturbance, ``repeats`` at most; all that there are, where fewer than a tenth as many are
        without.
    """
    orders = random.Random(seed)
    every: dict[str, list[float]] = {name: [] for name in candidates}
    quiet: dict[str, list[float]] = {name: [] for name in candidates}
    with _garbage_left_alone():
        calls = {name: calls_in_a_sample(timed) for name, timed in candidates.items()}
        for number in range(warm_up + MOST_PASSES * repeats):
            if all(len(samples) >= repeats for samples in quiet.values()):
                break
            order = list(candidates)
            orders.shuffle(order)
            for name in order:
                before = disturbances()
                taken_ms = candidates[name](calls[name]) / calls[name]
                if number < warm_up:
                    continue
                every[name].append(taken_ms)
                if disturbances() == before:
                    quiet[name].append(taken_ms)
            if after_pass is not None:
                after_pass(number + 1)
    return {
        name: samples[:repeats] if FEWEST * len(samples) >= repeats else every[name]
        for name, samples in quiet.items()
    }


def calls_in_a_sample(timed: Timed) -> int:
    """How many calls make a sample long enough."""
    shortest_ms = min(timed(1) for _ in range(_LOOKS))
    if shortest_ms * MOST_CALLS <= SAMPLE_MS:
        return MOST_CALLS
    return max(1, math.ceil(SAMPLE_MS / shortest_ms))


@contextmanager
def _garbage_left_alone() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
