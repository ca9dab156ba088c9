"""What of a cluster a study may take."""

import signal
import sys
from typing import Any

import pytest
import ray

from study.configuration.loading import load_config
from study.interrupts import Interrupted
from study.tuning.ray import ray_session
from study.tuning.ray.ray_session import asked_now_and_then, room_for_trials, worker_count


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
    monkeypatch.setattr("ray.nodes", lambda: [{"Alive": True, "Resources": available}])
    changes = [f"resources.{name}={value}" for name, value in resources.items()]
    assert worker_count(load_config("digits-mlp", changes)) == expected


def test_a_few_trials_wait_unless_a_number_was_given() -> None:
    assert [room_for_trials(workers, None) for workers in (1, 2, 8, 9, 64)] == [2, 3, 9, 11, 72]
    assert room_for_trials(3, max_concurrent=3) == 3


def test_a_cluster_that_grows_is_noticed_and_not_asked_all_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, asked = [0.0], []
    monkeypatch.setattr("study.tuning.ray.ray_session.time.monotonic", lambda: clock[0])

    def ask() -> int:
        asked.append(clock[0])
        return 2 if clock[0] < 5 else 8

    now = asked_now_and_then(ask)
    for moment, expected in ((0.0, 2), (0.5, 2), (1.5, 2), (5.1, 8)):
        clock[0] = moment
        assert now() == expected
    assert asked == [0.0, 1.5, 5.1]


def test_what_a_signal_does_while_ray_starts_is_not_rays_to_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "local")
    before, during = signal.getsignal(signal.SIGTERM), []

    def starting(**_: Any) -> None:
        ray._private.utils.set_sigterm_handler(lambda *_: sys.exit(15))
        during.append(signal.getsignal(signal.SIGTERM))
        raise Interrupted(signal.SIGTERM)

    ended = []
    monkeypatch.setattr(ray, "init", starting)
    monkeypatch.setattr(ray, "shutdown", lambda: ended.append(True))
    with pytest.raises(Interrupted):
        ray_session._start()
    assert during == [before]
    assert ended == [True]
    ray._private.utils.set_sigterm_handler(before)  # it works again
    assert signal.getsignal(signal.SIGTERM) == before
