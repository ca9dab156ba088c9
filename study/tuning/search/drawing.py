"""How the plan of a trial is drawn from a space."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import optuna

from search_spaces import Layer, SearchSpace
from study.plugins import import_string
from study.pruning.plan import PruningPlan
from study.pruning.seeds import derive_seed
from study.tuning.search.coupled import Curves
from study.tuning.search.samplers import make_sampler

REDRAWN, REDRAWN_AT_RANDOM = 10, 50
"""How often a plan that was run before is drawn anew: by the sampler first, and then at random,
before the space is taken to hold no other."""


class Drawing:
    """Has Optuna draw plans, each by a sampler that is made for it.

    Parameters
    ----------
    study
        Optuna's.
    space, layers
        What to draw.
    seed
        Seed of every plan.
    sampler
        Name of the sampler; it is seeded by the plan's number.
    exploration
        Share of the plans that are drawn at random.
    known
        Points to take before the sampler draws any, but for plans that are drawn at random.
    taken
        How many of these an earlier run of the study took.
    scanned
        What a scan found, for plans of allocation ``sensitivity``.
    """

    def __init__(
        self,
        study: optuna.Study,
        space: SearchSpace,
        layers: Sequence[Layer],
        seed: int,
        *,
        sampler: str,
        exploration: float,
        known: Sequence[Mapping[str, Any]],
        taken: int,
        scanned: Curves | None,
    ) -> None:
        self._study, self._space, self._layers, self._seed = study, space, layers, seed
        self._sampler, self._exploration = sampler, exploration
        self._known, self._taken = [dict(point) for point in known], taken
        self._scanned = scanned

    def plans(self, number: int) -> Iterator[tuple[optuna.Trial, PruningPlan]]:
        """Plans for the trial of this number, until one will do; none where many would not."""
        is_random = explores(number, self._exploration, self._seed)
        for attempt in range(REDRAWN + REDRAWN_AT_RANDOM):
            at_random = is_random or attempt >= REDRAWN
            kind = "random" if at_random else self._sampler
            seed = derive_seed(self._seed, "sampler", kind, number, attempt) % 2**32
            self._study.sampler = make_sampler(kind, seed)
            if not at_random and self._taken < len(self._known):
                # Only now: what waits would be taken in the place of a plan that is to be random.
                self._study.enqueue_trial(self._known[self._taken])
                self._taken += 1
            trial = self._study.ask()
            yield trial, draw_plan(self._space, trial, self._layers, self._seed, self._scanned)


def draw_plan(
    space: SearchSpace,
    trial: optuna.trial.BaseTrial,
    layers: Sequence[Layer],
    seed: int,
    scanned: Curves | None = None,
) -> PruningPlan:
    """Draw a plan from a space, or from the user's own function that stands for one."""
    if space.function is None:
        return plan_of(space.suggest(trial, layers), seed, scanned)
    drawn = import_string("space.function", space.function)(trial, layers)
    fields = drawn.model_dump() if isinstance(drawn, PruningPlan) else dict(drawn)
    return PruningPlan.model_validate({**fields, "seed": seed})


def plan_of(fields: Mapping[str, Any], seed: int, scanned: Curves | None) -> PruningPlan:
    """A plan of a space's fields; one that goes by a scan has with it what the scan found."""
    found = {"scanned_drops": scanned} if fields["allocation"] == "sensitivity" else {}
    return PruningPlan.model_validate({**fields, **found, "seed": seed})


def explores(number: int, share: float, seed: int) -> bool:
    """Whether the trial of this number is drawn at random.

    Of every ``1 / share`` trials in a row exactly one is, at a place that the seed decides: at
    equal distances, it could always meet the same level of whatever else takes turns.
    """
    if share == 0:
        return False
    block = math.floor(number * share + 1e-9)
    begin, end = (math.ceil(each / share - 1e-9) for each in (block, block + 1))
    return number == begin + derive_seed(seed, "exploration", block) % (end - begin)
