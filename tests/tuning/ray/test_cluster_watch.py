"""Ray that has lost its last machine ends a run, where Tune would wait for ever."""

import pytest
import ray

from study.tuning.ray import cluster_watch
from study.tuning.ray.cluster_watch import ClusterWatch


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
