"""How long a round's network takes, without what is dead in it, beside the dense one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from study.pruning.channels import run_examples
from study.pruning.latency.measuring import measure_latency
from study.pruning.masking.masks import MaskedLayers
from study.pruning.shrinking.shrink import shrink
from study.pruning.structure.cutting import alive_units
from study.pruning.structure.slicing import places_left, slice_model
from study.pruning.structure.units import Structure
from study.pruning.training.model_state import copy_of
from study.tasks.data.structures import map_leaves
from study.tasks.forward import working_dtype
from study.tasks.task import Task


@dataclass(frozen=True)
class Timing:
    """How rounds are timed; the fields of ``[latency]`` in a study file.

    Parameters
    ----------
    backend, threads, repeats
        As of :func:`~study.pruning.latency.measuring.measure_latency`.
    batch_size
        Training examples in a call.
    """

    backend: Literal["eager", "onnxruntime", "cuda"]
    batch_size: int = 1
    threads: int = 1
    repeats: int = 50

    def columns(
        self, task: Task, masked: MaskedLayers, structures: Sequence[Structure]
    ) -> dict[str, float]:
        """The latency fields of a round's record, dense and pruned measured in turns.

        Parameters
        ----------
        task
            What the network is given, and how it is called.
        masked
            The network; it is not changed.
        structures
            The units that its plan takes out, if it does.

        Raises
        ------
        UsageError
            If a network cannot run in the backend.
        """
        device = torch.device("cuda" if self.backend == "cuda" else "cpu")
        dense = _plain(masked).to(device)
        networks = {"dense": dense, "pruned": smaller(task, masked, structures).to(device)}
        batch = task.data.train.take(torch.arange(self.batch_size))
        found = measure_latency(
            networks,
            _on(device, task.prepared(batch.inputs, working_dtype(dense))),
            backend=self.backend,
            threads=self.threads,
            repeats=self.repeats,
            run=task.forward,
        )
        whole, pruned = found["dense"].median_ms, found["pruned"].median_ms
        return {
            "latency_ms": pruned,
            "latency_spread_ms": found["pruned"].spread_ms,
            "dense_latency_ms": whole,
            "speedup_measured": whole / pruned,
        }


def smaller(task: Task, masked: MaskedLayers, structures: Sequence[Structure]) -> nn.Module:
    """The network without its dead units: what would be deployed."""
    if not structures:
        return shrink(masked.model, lambda model: run_examples(task, model, 2)).model
    plain = _plain(masked)
    slice_model(plain, places_left(structures, alive_units(masked, structures)))
    return plain


def _plain(masked: MaskedLayers) -> nn.Module:
    plain = copy_of(masked.model).eval()
    MaskedLayers(plain).remove()
    return plain


def _on(device: torch.device, inputs: Any) -> Any:
    return map_leaves(lambda leaf: leaf.to(device), inputs)
