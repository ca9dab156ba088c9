"""Which examples are held out: seeded, balanced over classes, and never tearing a group apart."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from study.errors import UsageError

SPLIT_SEED = 20_200_101
"""Seed of every split that says no other. Fixed: trials of other seeds see the same examples."""


def held_out_share(
    examples: int,
    share: float,
    seed: int,
    *,
    classes: Tensor | None = None,
    groups: np.ndarray | None = None,
) -> tuple[Tensor, Tensor]:
    """Divide examples into those that stay and those held out.

    Parameters
    ----------
    examples
        How many there are.
    share
        To hold out, in (0, 1).
    seed
        Of the choice; the global generators are left alone.
    classes
        int64, shape (n,): every class is held out in the same proportion.
    groups
        Shape (n,), such as patients: whole ones are held out, as near to the share as they add up.

    Returns
    -------
    tuple of Tensor
        Indices, int64, ascending: that stay, held out.

    Raises
    ------
    UsageError
        If the share is none, or would leave either part without an example.
    """
    if not 0 < share < 1:
        raise UsageError(f"validation: {share} is no share; it must be above 0 and below 1.")
    if groups is not None:
        held_out = _whole_groups(groups, share, seed)
    elif classes is not None:
        return _checked(*stratified_split(classes, share, seed), share)
    else:
        order = np.random.default_rng(seed).permutation(examples)
        held_out = order[: round(share * examples)]
    return _checked(*_both(examples, held_out), share)


def stratified_split(targets: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Divide examples so that every class is held out in the same proportion.

    Parameters
    ----------
    targets
        Classes, int64, shape (n,).
    fraction
        Share to hold out, in (0, 1).
    seed
        Of the choice; the global generators are left alone.

    Returns
    -------
    tuple of Tensor
        Indices of the examples that stay and of those held out, int64, ascending. What is held
        out is ``round(fraction * n)`` examples, each class its share by largest remainder, and
        among equal remainders by the seed.
    """
    classes = targets.cpu().numpy()
    labels, sizes = np.unique(classes, return_counts=True)
    generator = np.random.default_rng(seed)
    ideal = sizes * fraction
    counts = np.floor(ideal).astype(int)
    missing = round(fraction * len(classes)) - counts.sum()
    # Remainders as they are meant: a tie must not be broken by a float's last bit.
    remainders = np.round(ideal - counts, 9)
    counts[np.lexsort((generator.random(len(labels)), -remainders))[:missing]] += 1
    held_out = [
        generator.permutation(np.flatnonzero(classes == label))[:count]
        for label, count in zip(labels, counts, strict=True)
    ]
    return _both(len(classes), np.concatenate(held_out))


def _whole_groups(groups: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Groups in random order, each taken where that brings the count nearer to the share."""
    labels, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    wanted, taken, chosen = share * len(groups), 0, []
    for label in np.random.default_rng(seed).permutation(len(labels)):
        if abs(taken + sizes[label] - wanted) < abs(taken - wanted):
            chosen.append(label)
            taken += sizes[label]
    return np.flatnonzero(np.isin(inverse, chosen))


def _both(examples: int, held_out: np.ndarray) -> tuple[Tensor, Tensor]:
    stays = np.setdiff1d(np.arange(examples), held_out)
    return torch.from_numpy(stays), torch.from_numpy(np.sort(held_out))


def _checked(stays: Tensor, held_out: Tensor, share: float) -> tuple[Tensor, Tensor]:
    if len(stays) and len(held_out):
        return stays, held_out
    empty = "training" if len(held_out) else "validation"
    raise UsageError(
        f"validation: a share of {share:g} of {len(stays) + len(held_out)} examples (or groups of "
        f"them) leaves the {empty} split empty."
    )
