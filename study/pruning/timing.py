"""How long a round's network takes, without what is dead in it, beside the dense one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from study.pruning.latency.measuring import measure_latency
from study.pruning.masking.masks import MaskedLayers
from study.pruning.shrinking.deployed import deployed, plain_copy
from study.pruning.structure.units import Structure
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
        dense = plain_copy(masked).to(device)
        networks = {"dense": dense, "pruned": deployed(task, masked, structures).to(device)}
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


def _on(device: torch.device, inputs: Any) -> Any:
    return map_leaves(lambda leaf: leaf.to(device), inputs)
