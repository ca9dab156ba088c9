"""What of a cluster a study may take."""

import ctypes
import signal
import sys
from typing import Any

import pytest
import ray

from study.configuration.loading import load_config
from study.errors import UsageError
from study.interrupts import Interrupted, Interrupts
from study.tuning.ray import ray_session
from study.tuning.ray.ray_session import (
    asked_now_and_then,
    refuse_too_small,
    room_for_trials,
    worker_count,
)


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


def test_a_handler_that_ray_puts_in_place_behind_pythons_back_is_taken_away() -> None:
    """Its C++ code has one of SIGTERM, which prints a trace and aborts; here it ignores it."""
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    ignore = 1
    with Interrupts():
        with ray_session._own_signals():
            libc.signal(signal.SIGTERM, ignore)
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("cpus_per_trial=1000", r"cpus_per_trial is 1000 .* have: \d+ CPUs, 3 GPUs"),
        ("gpus_per_trial=4", r"gpus_per_trial 4: no node .* has 1 CPU and 4 GPUs"),
        ("gpus_per_trial=3", None),
        ("gpus_per_trial=0.5", None),
    ],
)
def test_what_this_machine_has_is_known_before_ray_is_started(
    change: str, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "local")
    monkeypatch.setenv("RAY_OVERRIDE_RESOURCES", '{"GPU": 3}')
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("Ray was started"))
    config = load_config("digits-mlp", [f"resources.{change}"])
    if said is None:
        refuse_too_small(config)
    else:
        with pytest.raises(UsageError, match=said):
            refuse_too_small(config)


def test_a_cluster_is_asked_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [{"Alive": True, "Resources": {"CPU": 500.0}}]
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    monkeypatch.setattr(ray_session, "_nodes_that_may_come", lambda: [])
    refuse_too_small(load_config("digits-mlp", ["resources.cpus_per_trial=500"]))
    with pytest.raises(UsageError, match="have: 500 CPUs"):
        refuse_too_small(load_config("digits-mlp", ["resources.cpus_per_trial=501"]))
