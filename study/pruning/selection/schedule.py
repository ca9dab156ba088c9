"""How much is pruned at each round on the way to the final sparsity.

A schedule knows nothing of layers, scores or training. It is a function
``(round, rounds, final_sparsity) -> sparsity`` and is called with ``1 <= round <= rounds``.
The sparsity is always a fraction of the *original* weights, and grows from round to round.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from study.errors import UsageError
from study.plugins import resolve

Schedule = Callable[[int, int, float], float]


def one_shot(round_: int, rounds: int, final_sparsity: float) -> float:
    """Everything in the first round."""
    return final_sparsity


def constant(round_: int, rounds: int, final_sparsity: float) -> float:
    """An equal portion of the original weights each round."""
    return final_sparsity * round_ / rounds


def geometric(round_: int, rounds: int, final_sparsity: float) -> float:
    """An equal portion of the weights that remain each round: density ``d ** (k / n)``."""
    return float(1.0 - (1.0 - final_sparsity) ** (round_ / rounds))


def cubic(round_: int, rounds: int, final_sparsity: float) -> float:
    """Fast at first and slow at the end: ``s * (1 - (1 - k / n) ** 3)``.

    References
    ----------
    Zhu & Gupta 2017, "To prune, or not to prune", equation 1 with an initial sparsity of 0.
    """
    return float(final_sparsity * (1.0 - (1.0 - round_ / rounds) ** 3))


def cosine(round_: int, rounds: int, final_sparsity: float) -> float:
    """Slow at both ends: half a period of a cosine."""
    return final_sparsity * (1.0 - math.cos(math.pi * round_ / rounds)) / 2.0


SCHEDULES: dict[str, Schedule] = {
    "one_shot": one_shot,
    "constant": constant,
    "geometric": geometric,
    "cubic": cubic,
    "cosine": cosine,
}


def sparsity_at(schedule: str, round_: int, rounds: int, final_sparsity: float) -> float:
    """Sparsity to reach at the end of a round.

    Parameters
    ----------
    schedule
        A name of :data:`SCHEDULES`, an entry point of ``prune_study.schedules``, or an import
        string.
    round_
        The round, from 0 (dense) to ``rounds``.
    rounds
        Number of rounds of the plan.
    final_sparsity
        Sparsity after the last round, in [0, 1).

    Returns
    -------
    float
        A fraction of the original weights; exactly ``final_sparsity`` at the last round, for
        any schedule, so that a target is never missed by rounding.

    Raises
    ------
    UsageError
        If a user's own schedule leaves ``[0, final_sparsity]``.
    """
    if round_ == 0:
        return 0.0
    if round_ == rounds:
        return final_sparsity
    sparsity = float(resolve("schedule", schedule, SCHEDULES)(round_, rounds, final_sparsity))
    if not 0.0 <= sparsity <= final_sparsity + 1e-12:
        raise UsageError(
            f"schedule: {schedule!r} asks for sparsity {sparsity} at round {round_} of {rounds}; "
            f"it must stay between 0 and the final {final_sparsity}."
        )
    return min(sparsity, final_sparsity)
