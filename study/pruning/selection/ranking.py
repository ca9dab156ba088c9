"""Exact counts: keep the best so many, the same ones on every device and in every run."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def pruned_count(sparsity: float, total: int) -> int:
    """How many of ``total`` weights a sparsity removes: the nearest whole number, half to even.

    Floating-point noise below a millionth of a weight is taken off first, so that
    ``1 - 0.49 ** 0.5`` of 5 weights is the same count as 0.3 of them.
    """
    return round(round(sparsity * total, 6))


def keep_best(scores: Tensor, alive: Tensor, count: int) -> Tensor:
    """Mask of the ``count`` highest scores among the entries that are alive.

    Of equal scores those with the lower index stay.

    Parameters
    ----------
    scores
        Any shape, floating point, finite where alive.
    alive
        Bool, of the same shape. What is not alive is never kept.
    count
        How many to keep, at most the number alive.

    Returns
    -------
    Tensor
        Bool, of the same shape, with exactly ``count`` entries True.

    Raises
    ------
    ValueError
        If fewer than ``count`` are alive.
    """
    available = int(alive.sum())
    if not 0 <= count <= available:
        raise ValueError(f"cannot keep {count} of {available}")
    if count == available:
        return alive.clone()
    if count == 0:
        return torch.zeros_like(alive)
    flat_scores, flat_alive = scores.flatten(), alive.flatten()
    cut_off = flat_scores[flat_alive].kthvalue(available - count + 1).values
    keep = flat_alive & (flat_scores > cut_off)
    ties = (flat_alive & (flat_scores == cut_off)).nonzero().flatten()
    keep[ties[: count - int(keep.sum())]] = True
    return keep.view_as(alive)


def keep_evenly(scores: Tensor, alive: Tensor, count: int, rows: Tensor | None = None) -> Tensor:
    """Mask of ``count`` entries, as many in each row as in any other.

    Of every row the best entry is taken, then of every row the second best, and so on; where not
    all rows can have one more, those get it whose next entry has the highest score. Of equal
    scores those with the lower index stay.

    Parameters
    ----------
    scores, alive, count
        As of :func:`keep_best`.
    rows
        Flat indices of the entries of each row, shape (rows, entries of one), each entry in one
        row; None: rows are along the first dimension.

    Raises
    ------
    ValueError
        If fewer than ``count`` are alive.
    """
    if not 0 <= count <= int(alive.sum()):
        raise ValueError(f"cannot keep {count} of {int(alive.sum())}")
    if rows is None:
        rows = torch.arange(alive.numel(), device=alive.device).view(len(alive), -1)
    flat, alive_flat = scores.flatten(), alive.flatten()
    within = flat.masked_fill(~alive_flat, -torch.inf)[rows]
    best_first = within.argsort(dim=1, descending=True, stable=True)
    # Of equal lowest scores the dead come last, or they would take the place of one alive.
    dead_last = (~alive_flat)[rows].gather(1, best_first).byte().argsort(dim=1, stable=True)
    best_first = best_first.gather(1, dead_last)
    place = torch.empty_like(best_first).scatter_(
        1, best_first, torch.arange(rows.shape[1], device=rows.device).expand_as(best_first)
    )
    places = torch.empty_like(rows.flatten()).index_put_((rows.flatten(),), place.flatten())
    order = alive_flat.nonzero().flatten()
    order = order[flat[order].argsort(descending=True, stable=True)]
    order = order[places[order].argsort(stable=True)]
    keep = torch.zeros_like(alive_flat)
    keep[order[:count]] = True
    return keep.view_as(alive)


def apportion(
    shares: Sequence[float], lower: Sequence[int], upper: Sequence[int], total: int
) -> list[int]:
    """Divide ``total`` in proportion to ``shares`` within bounds, in whole numbers.

    Finds the scale ``c`` at which the shares ``clip(c * share, lower, upper)`` add up to
    ``total`` (so what one entry cannot take, the others share), then rounds by largest
    remainder.

    Parameters
    ----------
    shares
        Positive weights.
    lower, upper
        Bounds of each entry.
    total
        The exact sum of the result.

    Raises
    ------
    ValueError
        If no division within the bounds adds up to ``total``.
    """
    if not sum(lower) <= total <= sum(upper):
        raise ValueError(f"{total} is not between {sum(lower)} and {sum(upper)}")

    ideal = scaled_within(shares, lower, upper, [1.0] * len(shares), total)
    counts = [min(int(value + 1e-6), high) for value, high in zip(ideal, upper, strict=True)]
    by_remainder = sorted(range(len(ideal)), key=lambda i: counts[i] - ideal[i])
    missing = total - sum(counts)
    step = 1 if missing > 0 else -1
    while missing:
        for index in by_remainder[::step]:
            bound_reached = (
                counts[index] >= upper[index] if step > 0 else (counts[index] <= lower[index])
            )
            if missing and not bound_reached:
                counts[index] += step
                missing -= step
    return counts


def scaled_within(
    shares: Sequence[float],
    lower: Sequence[float],
    upper: Sequence[float],
    costs: Sequence[float],
    total: float,
) -> list[float]:
    """``clip(c * share, lower, upper)`` at the scale ``c`` at which they cost ``total``.

    Where even all upper bounds cost less, these.
    """

    def at(scale: float) -> list[float]:
        return [
            min(max(scale * share, low), high)
            for share, low, high in zip(shares, lower, upper, strict=True)
        ]

    def cost(scale: float) -> float:
        return sum(value * each for value, each in zip(at(scale), costs, strict=True))

    below, above = 0.0, 1.0
    while cost(above) < total and any(a < u for a, u in zip(at(above), upper, strict=True)):
        above *= 2.0
    for _ in range(200):
        middle = (below + above) / 2.0
        below, above = (middle, above) if cost(middle) < total else (below, middle)
    return at(above)
