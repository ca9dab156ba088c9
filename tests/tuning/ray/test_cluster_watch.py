"""Ray that has lost its last machine ends a run, where Tune would wait for ever."""

import subprocess
import sys

import pytest
import ray

from study.tuning.ray import cluster_watch
from study.tuning.ray.cluster_watch import ClusterWatch
from tests.conftest import environment


def test_a_cluster_without_a_machine_is_given_up_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes = [{"Alive": True}]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    monkeypatch.setattr(cluster_watch, "LOOK_S", 0.0)
    watch = ClusterWatch()
    watch.look()
    nodes[:] = [{"Alive": False}]
    watch.look()  # it may come back
    monkeypatch.setattr(cluster_watch, "PATIENCE_S", 0.0)
    with pytest.raises(ConnectionError, match="lost its last machine"):
        watch.look()


CODE = """
import signal
import ray
from study.tuning.ray.cluster_watch import ClusterWatch
from study.tuning.ray.ray_session import ray_session
with ray_session():
    watch = ClusterWatch()
    watch.look()
    (process,) = ray._private.worker._global_node.all_processes["gcs_server"]
    process.process.send_signal(signal.SIGKILL)
    process.process.wait()
    try:
        watch.look()
    except ConnectionError as error:
        print(error)
"""


def test_the_server_is_missed_before_ray_is_asked_anything() -> None:
    """The test of kills shows the same of the raylet."""
    command, own = [sys.executable, "-c", CODE], {**environment(), "RAY_ADDRESS": "local"}
    done = subprocess.run(command, env=own, capture_output=True, text=True, timeout=120, check=True)
    assert "Ray's gcs_server has ended" in done.stdout
