"""The rehearsal of a study on its workers, before anything is written."""

from __future__ import annotations

from typing import Any

import ray
from ray.exceptions import RayTaskError, RuntimeEnvSetupError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from study.errors import UsageError
from study.pruning.rehearsal.plans import rehearse_plans
from study.pruning.rehearsal.task import rehearse_task
from study.pruning.timing import Timing
from study.pruning.training.fingerprint import Fingerprint, fingerprint
from study.tuning.dense_runs.on_workers import seeds_of, task_on_worker
from study.tuning.preparing import Prepared, refuse_changes
from study.tuning.ray.once_a_node import with_shared_object


def rehearse_on_workers(prepared: Prepared, needs: dict[str, float]) -> None:
    """Load the task on every node that may run trials, try it there, and compare it with ours.

    Raises
    ------
    UsageError
        If it fails there, or is another task there: then trials would prune different networks.
        Where there are several nodes, it is named.
    """
    config, plans = prepared.config, prepared.plans
    arguments = with_shared_object(prepared.task_arguments)
    timing = Timing.of(config.latency.settings)
    seeds = seeds_of(config.study.seed)
    ours = fingerprint(prepared.task, seeds)

    def work(expected: Fingerprint) -> str | None:
        try:
            task = task_on_worker(config, arguments)
            refuse_changes(expected, task, seeds, "on a worker")
            rehearse_task(task)
            rehearse_plans(task, plans, timing)
        except UsageError as error:
            return str(error)
        return None

    remote = ray.remote(num_cpus=needs["cpu"], num_gpus=needs["gpu"])(work)
    nodes = [node for node in ray.nodes() if node["Alive"] and _has_room(node["Resources"], needs)]
    said = [
        remote.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(ours)
        for node in nodes
    ]
    for node, answer in zip(nodes, said, strict=True):
        message = _answer(answer)
        if message is not None:
            raise UsageError(message if len(nodes) == 1 else _on(node, message))


def _answer(reference: Any) -> str | None:
    """What a node has to say against the study."""
    try:
        found: str | None = ray.get(reference)
    except RayTaskError as error:  # not even this package could be imported, or a bug
        cause = error.cause
        if isinstance(cause, ImportError):
            return (
                f"{type(cause).__name__}: {cause}. Every node needs prune-study, and what the task "
                "imports, in one and the same version."
            )
        raise
    except RuntimeEnvSetupError as error:
        return f"the study's modules could not be set up there: {error}"
    return found


def _on(node: dict[str, Any], message: str) -> str:
    """A message with the node that it comes from, and what is often the reason."""
    name, address = node["NodeManagerHostname"], node["NodeManagerAddress"]
    where = name if name == address else f"{name} ({address})"
    return (
        f"on node {where}: {message} Here it loads. Modules beside the study file go to the nodes "
        "with it; data do not: put them at the same place on every node, or on a file system that "
        "all of them share, and name it with task.data_dir or in the task itself."
    )


def _has_room(resources: dict[str, float], needs: dict[str, float]) -> bool:
    names = {"cpu": "CPU", "gpu": "GPU"}
    return all(resources.get(names[kind], 0) >= needs[kind] for kind in names)
