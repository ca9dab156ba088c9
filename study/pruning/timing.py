"""How long a round's network takes, without what is dead in it, beside the dense one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import torch
from torch import nn

from study.errors import UsageError
from study.pruning.channels import reachable_widths
from study.pruning.latency.measuring import measure_latency
from study.pruning.latency.table import LayerTable, Tell
from study.pruning.latency_sizes import LatencySizes
from study.pruning.masking.masks import MaskedLayers
from study.pruning.plan import PruningPlan
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
    tell
        Told of what is measured before a plan is run, which may take minutes.
    """

    backend: Literal["eager", "onnxruntime", "cuda"]
    batch_size: int = 1
    threads: int = 1
    repeats: int = 50
    tell: Tell | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, settings: Mapping[str, Any] | None, tell: Tell | None = None) -> Self | None:
        """As the settings of a study say; None where it measures nothing."""
        return None if settings is None else cls(**settings, tell=tell)

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
        dense = plain_copy(masked).to(self.device)
        networks = {"dense": dense, "pruned": deployed(task, masked, structures).to(self.device)}
        found = measure_latency(
            networks,
            self.inputs(task, dense),
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

    @property
    def device(self) -> torch.device:
        """Where networks are timed."""
        return torch.device("cuda" if self.backend == "cuda" else "cpu")

    def inputs(self, task: Task, network: nn.Module) -> Any:
        """A batch of training examples, some of them twice where there are fewer."""
        places = torch.arange(self.batch_size) % len(task.data.train)
        inputs = task.prepared(task.data.train.take(places).inputs, working_dtype(network))
        return map_leaves(lambda leaf: leaf.to(self.device), inputs)


def latency_sizes(
    plan: PruningPlan,
    task: Task,
    masked: MaskedLayers,
    structures: Sequence[Structure],
    timing: Timing | None,
) -> LatencySizes | None:
    """What a network is predicted to take with fewer units, by this machine's table of layers.

    Parameters
    ----------
    plan
        How it is pruned.
    task, masked, structures
        As of :meth:`Timing.columns`.
    timing
        How latency is measured, if it is.

    Returns
    -------
    LatencySizes or None
        None where latency is not measured, or no units are taken out.

    Raises
    ------
    UsageError
        If the plan's cuts go by latency, and nothing says how it is measured.
    """
    field = plan.by_latency
    if timing is None:
        if field is not None:
            raise UsageError(
                f"{field} latency_ms: nothing says how latency is measured. Give timing, which in "
                "a study file is backend under [latency]."
            )
        return None
    if not structures:
        return None
    dense = plain_copy(masked).to(timing.device)
    table = LayerTable(timing.backend, timing.threads, tell=timing.tell)
    widths = None if field is None else reachable_widths(plan, structures)
    return LatencySizes(dense, structures, timing.inputs(task, dense), task.forward, table, widths)
