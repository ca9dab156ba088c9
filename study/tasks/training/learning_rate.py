"""The learning rate of a step: a pure function of its position."""

from __future__ import annotations

import math
from collections.abc import Callable

from study.errors import UsageError
from study.plugins import import_string
from study.tasks.training.recipe import Recipe


def lr_at(recipe: Recipe, step: int, per_epoch: int) -> float:
    """Learning rate of a step: a pure function of its position in the dense run.

    Parameters
    ----------
    recipe
        The training recipe.
    step
        Position, from 0. Past the last step the learning rate stays at the last one; where there
        is no dense run it is ``lr``.
    per_epoch
        Steps in an epoch.
    """
    last = recipe.epochs * per_epoch
    if not last:
        return recipe.lr
    step = min(step, last - 1)
    lr = recipe.lr * factor(recipe.lr_schedule, recipe, step, last)
    return risen(lr, step, round(recipe.warmup_epochs * per_epoch))


def risen(lr: float, step: int, warmup_steps: int) -> float:
    """What a learning rate is at a step, from 0, of a course that begins with a linear rise."""
    return lr * min(1.0, (step + 1) / warmup_steps) if warmup_steps else lr


def factor(schedule: str, recipe: Recipe, step: int, steps: int) -> float:
    """Share of the highest learning rate at a step of a course.

    Parameters
    ----------
    schedule
        ``constant``, ``step`` or ``cosine``, or an import string of a function
        ``(step, steps) -> factor``.
    recipe
        Its milestones, ``gamma`` and ``min_lr_fraction``.
    step, steps
        Position, from 0, and length of the course.

    Raises
    ------
    UsageError
        If a function of the user's gives anything but a finite number that is not negative.

    References
    ----------
    cosine: Loshchilov & Hutter 2017, "SGDR", equation 5, without restarts.
    """
    if schedule == "constant":
        return 1.0
    if schedule == "step":
        return float(recipe.gamma ** sum(step >= round(m * steps) for m in recipe.milestones))
    if schedule == "cosine":
        least = recipe.min_lr_fraction
        return least + (1 - least) * (1 + math.cos(math.pi * step / steps)) / 2
    own: Callable[[int, int], float] = import_string("task.lr_schedule", schedule)
    value = float(own(step, steps))
    if not (math.isfinite(value) and value >= 0):
        raise UsageError(
            f"lr_schedule: {schedule!r} gave {value} at step {step} of {steps}; it must be a "
            "finite factor of lr, not below 0."
        )
    return value
