"""Does an exported file give what torch gives?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from study.errors import UsageError
from study.exporting.capturing import SIZES, Captured, prepared_examples
from study.exporting.interface import tensors_of
from study.tasks.data.structures import map_leaves
from study.tasks.task import Task

RTOL = 1e-4
ATOL = 1e-5
"""An output may differ by ``ATOL * max(1, largest output) + RTOL * |output|``: float32 sums in
another order."""

Run = Callable[[Any], list[Tensor]]
"""Runs a file on prepared inputs."""


@dataclass(frozen=True)
class Parity:
    """On what a file was compared with torch, and found equal.

    Parameters
    ----------
    sizes
        Examples in each batch.
    lengths
        Lengths of sequences, where they are free.
    largest
        Largest difference of an output.
    """

    sizes: tuple[int, ...]
    lengths: tuple[int, ...]
    largest: float


def check_parity(what: str, run: Run, captured: Captured, task: Task) -> Parity:
    """Run a file and the network on real validation examples, and compare.

    Batches and lengths that the network itself does not take are left out.

    Parameters
    ----------
    what
        Who runs the file, for a message.
    run
        Runs the file.
    captured
        The network.
    task
        By whose validation examples they are compared.

    Raises
    ------
    UsageError
        If outputs differ by more than :data:`ATOL` and :data:`RTOL` allow, or the file fails where
        the network does not.
    """
    model, split = captured.called.model, task.data.validation
    largest, sizes, lengths = 0.0, [], []
    for size in sorted({min(size, len(split)) for size in SIZES}):
        inputs = prepared_examples(task, model, split, size)
        difference = _difference(what, f"a batch of {size}", run, captured, inputs)
        if difference is not None:
            sizes.append(size)
            largest = max(largest, difference)
    if captured.has_sequences:
        inputs = prepared_examples(task, model, split, 2)
        whole = captured.interface.tensors(inputs)[0].shape[1]
        for length in sorted({whole, max(2, whole // 2)}):
            cut = map_leaves(lambda leaf, length=length: leaf[:, :length], inputs)
            difference = _difference(what, f"sequences of {length}", run, captured, cut)
            if difference is not None:
                lengths.append(length)
                largest = max(largest, difference)
    if not sizes:
        raise UsageError(f"export: the network itself takes no batch of {SIZES} examples.")
    return Parity(tuple(sizes), tuple(lengths), largest)


def _difference(what: str, which: str, run: Run, captured: Captured, inputs: Any) -> float | None:
    """Largest difference of any output; None where the network itself fails."""
    args, kwargs = captured.interface.arguments(inputs)
    try:
        with torch.no_grad():
            wanted = tensors_of(captured.called(*args, **kwargs))
    except Exception:  # its own code may take no single example, or no shorter sequence
        return None
    try:
        found = run(inputs)
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise UsageError(f"export: {what} fails on {which}: {reason}") from error
    largest = 0.0
    for name, mine, theirs in zip(captured.interface.output_names, wanted, found, strict=True):
        if mine.shape != theirs.shape:
            raise UsageError(
                f"export: {what} gives {name} in shape {tuple(theirs.shape)} on {which}; torch "
                f"gives {tuple(mine.shape)}."
            )
        largest = max(largest, _checked(f"{what} on {which}: {name}", mine, theirs))
    return largest


def _checked(where: str, mine: Tensor, theirs: Tensor) -> float:
    wanted, found = (tensor.detach().double().numpy() for tensor in (mine, theirs))
    if mine.is_complex() or not mine.is_floating_point():
        rtol = atol = 0.0
    else:
        finite = np.abs(wanted[np.isfinite(wanted)])
        rtol, atol = RTOL, ATOL * max(1.0, float(finite.max(initial=0.0)))
    both = np.isfinite(wanted) & np.isfinite(found)
    largest = float(np.abs(wanted[both] - found[both]).max(initial=0.0))
    if not np.allclose(found, wanted, rtol=rtol, atol=atol, equal_nan=True):
        raise UsageError(
            f"export: {where} differs from torch by up to {largest:.2g}; allowed are "
            f"{atol:.2g} + {rtol:g} of the value. Nothing was written."
        )
    return largest
