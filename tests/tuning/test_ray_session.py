import pytest

from study.config import load_config
from study.tuning.ray_session import concurrent_trials


@pytest.mark.parametrize(
    ("available", "resources", "expected"),
    [
        ({"CPU": 8.0}, {}, 9),
        ({"CPU": 8.0}, {"cpus_per_trial": 3}, 3),
        ({"CPU": 8.0, "GPU": 2.0}, {"gpus_per_trial": 0.25, "cpus_per_trial": 0.5}, 9),
        ({"CPU": 8.0}, {"max_concurrent": 5}, 5),
    ],
)
def test_as_many_trials_as_fit_are_under_way_and_one_waits(
    available: dict[str, float],
    resources: dict[str, float],
    expected: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ray.cluster_resources", lambda: available)
    changes = [f"resources.{name}={value}" for name, value in resources.items()]
    assert concurrent_trials(load_config("digits-mlp", changes)) == expected
