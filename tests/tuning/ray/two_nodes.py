"""Called by a test, in a process of its own: a study on two nodes, one of which is switched off."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster

from study.configuration.loading import load_config
from study.errors import UsageError
from study.tuning.ray.ray_session import ray_session, trial_resources, worker_count


def said_of_trials() -> dict[str, Any]:
    """What is said of trials of so many CPUs."""
    deadline = time.monotonic() + 60
    while ray.cluster_resources().get("CPU") != 2:
        assert time.monotonic() < deadline  # what a node has is known a moment after the node
        time.sleep(0.1)
    said: dict[str, Any] = {}
    for cpus in (2, 1, 0.6, 0.1, 0.35):
        config = load_config("digits-mlp", [f"resources.cpus_per_trial={cpus}"])
        try:
            said[str(cpus)] = [trial_resources(config), worker_count(config)]
        except UsageError as error:
            said[str(cpus)] = str(error)
    return said


def value_on_a_worker() -> int:
    """Of a module whose folder no worker sees: it is gone once the cluster is joined."""
    folder = Path(tempfile.mkdtemp())
    (folder / "mine").mkdir()
    (folder / "mine" / "__init__.py").write_text("from mine.inner import VALUE\n")
    (folder / "mine" / "inner.py").write_text("import beside\nVALUE = beside.VALUE\n")
    (folder / "beside.py").write_text("VALUE = 7\n")
    sys.path.insert(0, str(folder))
    import mine  # type: ignore[import-not-found]

    assert mine.VALUE == 7
    with ray_session():
        print(json.dumps(said_of_trials()), flush=True)
        shutil.rmtree(folder)

        def imported() -> int:
            import mine

            return int(mine.VALUE)

        return int(ray.get(ray.remote(num_cpus=1)(imported).remote()))


def main(command: list[str], folder: Path) -> int:
    """Run the command on two nodes; the second goes when both have written a checkpoint."""
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    try:
        second = cluster.add_node(num_cpus=1)
        os.environ["RAY_ADDRESS"] = cluster.address
        print(f"a worker imported {value_on_a_worker()}", flush=True)
        study = subprocess.Popen(command)
        while study.poll() is None:
            if second is not None and len([*folder.glob("trials/*/resume/*.safetensors")]) == 2:
                cluster.remove_node(second, allow_graceful=False)
                print("a node was switched off", flush=True)
                second = None
            time.sleep(0.05)
        return study.returncode
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:], Path(sys.argv[1])))
