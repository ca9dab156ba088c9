"""The network of a round as it would be deployed: plain, and without what is dead in it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from study.pruning.masking.masks import MaskedLayers
from study.pruning.shrinking.shrink import shrink
from study.pruning.structure.cutting import alive_units
from study.pruning.structure.slicing import places_left, slice_model
from study.pruning.structure.units import Structure
from study.pruning.training.model_state import copy_of
from study.tasks.forward import working_dtype
from study.tasks.task import Task


def deployed(task: Task, masked: MaskedLayers, structures: Sequence[Structure]) -> nn.Module:
    """The network without its dead units.

    Parameters
    ----------
    task
        How it is called, and what it is given.
    masked
        The network; it is not changed.
    structures
        The units that its plan takes out, which are all that is left out; where it removes single
        weights, none: then whatever these have killed is, see :func:`shrink`.
    """
    plain = plain_copy(masked)
    if structures:
        slice_model(plain, places_left(structures, alive_units(masked, structures)))
        return plain
    batch = task.data.train.take(torch.arange(2))
    inputs = task.prepared(batch.inputs, working_dtype(plain))
    return shrink(plain, inputs, forward=task.forward).model


def plain_copy(masked: MaskedLayers) -> nn.Module:
    """A copy without masks, in eval mode."""
    plain = copy_of(masked.model).eval()
    MaskedLayers(plain).remove()
    return plain
