"""What the stages of a search go by: what it is for, and the trials so far, from their records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search_spaces import Layer, SearchSpace
from study.pruning.plan import PruningPlan
from study.tuning.early_stopping.history import Yardstick


@dataclass(frozen=True)
class Aim:
    """What does not change while a search runs.

    Parameters
    ----------
    space
        What plans may be.
    layers
        What the space draws offsets for.
    textbook
        The run that all others are measured against; every plan is a change of it.
    yardstick
        How networks are compared.
    size
        The column of results by which networks are equal in size.
    dense_epochs
        Length of the dense run.
    steps_per_epoch
        Optimizer steps of an epoch.
    constant_lr
        Whether the dense run has one learning rate from its beginning to its end.
    costs_differ
        Whether a weight of one layer takes part in more multiply-adds than one of another. Where
        none does, as in networks of dense layers alone, few of these are few weights.
    last_sizes
        How many sizes descents are compared at, the smallest; None: all.
    sampler_seed
        Of what is drawn.
    """

    space: SearchSpace
    layers: Sequence[Layer]
    textbook: PruningPlan
    yardstick: Yardstick
    size: str
    dense_epochs: float
    steps_per_epoch: int
    constant_lr: bool
    costs_differ: bool = True
    last_sizes: int | None = None
    sampler_seed: int = 0

    @property
    def is_for_cost(self) -> bool:
        """Whether what is to be few is something else than weights."""
        return self.size == "macs" and self.costs_differ


@dataclass(frozen=True)
class Tried:
    """A trial that was begun.

    Parameters
    ----------
    plan
        What it runs.
    results
        Of its finished rounds, the dense network first.
    is_over
        Whether nothing more will come of it.
    """

    plan: PruningPlan
    results: tuple[Mapping[str, Any], ...]
    is_over: bool

    @property
    def pruned(self) -> tuple[Mapping[str, Any], ...]:
        """Results of its pruned networks."""
        return tuple(result for result in self.results if result["round"] > 0)

    @property
    def is_whole(self) -> bool:
        """Whether it came to its end: one that was stopped or failed may have lost beyond."""
        return len(self.pruned) == self.plan.rounds


@dataclass(frozen=True)
class Wanted:
    """What a stage wants to have run.

    Parameters
    ----------
    plans
        In order, those that were begun among them.
    is_settled
        Whether these are all: no trial that is under way can add to them.
    """

    plans: Sequence[PruningPlan] = ()
    is_settled: bool = True


@dataclass(frozen=True)
class Standing:
    """The trials so far, by the content hash of their plans."""

    tried: Mapping[str, Tried]

    def of(self, plan: PruningPlan) -> Tried | None:
        """The trial of a plan; None where it was not begun."""
        return self.tried.get(plan.content_hash())

    def ended(self, plans: Sequence[PruningPlan]) -> list[Tried] | None:
        """The trials of these plans that left networks; None while one is still to come."""
        found = [self.of(plan) for plan in plans]
        if not all(each is not None and each.is_over for each in found):
            return None
        return [each for each in found if each is not None and each.pruned]
