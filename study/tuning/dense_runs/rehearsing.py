"""The rehearsal of a study on its workers, before anything is written."""

from __future__ import annotations

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from study.errors import UsageError
from study.pruning.rehearsal.plans import rehearse_plans
from study.pruning.rehearsal.task import rehearse_task
from study.pruning.timing import Timing
from study.pruning.training.fingerprint import Fingerprint, fingerprint
from study.tuning.dense_runs.on_workers import seeds_of, task_on_worker
from study.tuning.preparing import Prepared, refuse_changes


def rehearse_on_workers(prepared: Prepared, needs: dict[str, float]) -> None:
    """Load the task on every node that may run trials, try it there, and compare it with ours.

    Raises
    ------
    UsageError
        If it fails there, or is another task there: then trials would prune different networks.
    """
    config, plans, arguments = prepared.config, prepared.plans, prepared.task_arguments
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
    said = ray.get(
        [
            remote.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(ours)
            for node in ray.nodes()
            if node["Alive"] and _has_room(node["Resources"], needs)
        ]
    )
    for message in said:
        if message is not None:
            raise UsageError(message)


def _has_room(resources: dict[str, float], needs: dict[str, float]) -> bool:
    names = {"cpu": "CPU", "gpu": "GPU"}
    return all(resources.get(names[kind], 0) >= needs[kind] for kind in names)
