"""Some of the examples of a split, as a split of their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from study.errors import UsageError
from study.tasks.data.splits import Data, Examples, Split
from study.tasks.data.splitting import SPLIT_SEED, held_out_share
from study.tasks.data.streaming import DatasetSplit
from study.tasks.data.structures import leaves, rows


def part_of(split: Examples, index: Tensor) -> Examples:
    """These examples of a split, int64, shape (n,)."""
    if isinstance(split, DatasetSplit):
        known = index if split.chosen is None else split.chosen[index]
        return replace(split, chosen=known)
    assert isinstance(split, Split)
    if all(isinstance(leaf, Tensor) for leaf in leaves((split.inputs, split.targets))):
        return Split(*split.take(index))
    return replace(split, chosen=index if split.chosen is None else split.chosen[index])


def classes_in(split: Examples) -> Tensor | None:
    """Targets by which examples can be divided class by class: int64, shape (n,).

    None where they are not one integer an example, or 0 and 1 as floats.
    """
    labels = split.labels if isinstance(split, Split) else None
    if isinstance(labels, np.ndarray) and labels.size == len(labels):
        labels = rows(labels, torch.arange(len(labels)))
    if not isinstance(labels, Tensor) or labels.numel() != len(labels) or labels.is_complex():
        return None
    labels = labels.flatten()
    if labels.is_floating_point() and not bool(((labels == 0) | (labels == 1)).all()):
        return None
    return labels.long()


def hold_out(
    split: Examples, share: float, seed: int, groups: np.ndarray | None = None
) -> tuple[Examples, Examples, Tensor, Tensor]:
    """Divide a split: by class where there are classes, and never tearing a group apart.

    Returns
    -------
    tuple
        The part that stays and the one held out, and the indices of both.
    """
    parts = held_out_share(len(split), share, seed, classes=classes_in(split), groups=groups)
    stays, held_out = parts
    return part_of(split, stays), part_of(split, held_out), stays, held_out


def keep_back(data: Data, share: float) -> Data:
    """Take examples out of validation, so that what is chosen can be confirmed on others.

    Parameters
    ----------
    data
        Of which nothing is kept back yet.
    share
        Of the validation examples, in (0, 1). Which ones, is the same in every study and trial.

    Raises
    ------
    UsageError
        If the share leaves either part without an example.
    """
    try:
        chooses, confirms, *indices = hold_out(
            data.validation, share, SPLIT_SEED + 1, data.validation_groups
        )
    except UsageError as error:
        raise UsageError(
            f"confirm.held_back: a share of {share:g} of {len(data.validation)} validation "
            "examples (or groups of them) leaves one part empty; 0 keeps none back."
        ) from error
    groups = data.validation_groups
    both = (None, None) if groups is None else tuple(groups[each.numpy()] for each in indices)
    return replace(
        data,
        validation=chooses,
        confirmation=confirms,
        validation_groups=both[0],
        confirmation_groups=both[1],
    )
