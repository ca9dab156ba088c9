"""What of a cluster a study may take."""

import pytest

from study.config import load_config
from study.tuning.ray_session import worker_count


@pytest.mark.parametrize(
    ("available", "resources", "expected"),
    [
        ({"CPU": 8.0}, {}, 8),
        ({"CPU": 8.0}, {"cpus_per_trial": 3}, 2),
        ({"CPU": 8.0, "GPU": 2.0}, {"gpus_per_trial": 0.25, "cpus_per_trial": 0.5}, 8),
        ({"CPU": 8.0}, {"max_concurrent": 5}, 5),
        ({"CPU": 8.0}, {"max_concurrent": 50}, 8),
        ({}, {}, 1),
    ],
)
def test_as_many_workers_as_fit_on_the_cluster_as_it_is_now(
    available: dict[str, float],
    resources: dict[str, float],
    expected: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ray.cluster_resources", lambda: available)
    changes = [f"resources.{name}={value}" for name, value in resources.items()]
    assert worker_count(load_config("digits-mlp", changes)) == expected
