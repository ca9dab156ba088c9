"""Which trial gets a worker, with Tune's own trials and no Ray."""

from types import SimpleNamespace

import pytest
from ray.tune.experiment import Trial

from study.tuning.ray.worker_order import WaitingFirst


def trial(order: int, status: str, worker: bool) -> SimpleNamespace:
    state = SimpleNamespace(ray_actor=object() if worker else None)
    return SimpleNamespace(config={"order": order}, status=status, temporary_state=state)


@pytest.mark.parametrize(
    ("running", "resetting", "pending", "chosen"),
    [
        (1, 0, 2, 1),  # one works and one is free: the trial that was drawn first
        (0, 0, 3, 1),  # one is starting for the first trial, and one is free
        (0, 0, 2, 1),
        (0, 1, 2, 1),  # a worker that is being given its next trial is up
        (2, 0, 1, 2),  # none is free; nothing comes of it
        (0, 0, 1, None),  # nobody waits but for a worker that is starting
        (2, 0, 0, None),
    ],
)
def test_a_free_worker_goes_to_the_first_trial_for_which_none_is_starting(
    running: int, resetting: int, pending: int, chosen: int | None
) -> None:
    kinds = [(Trial.RUNNING, True)] * running + [(Trial.PENDING, True)] * resetting
    kinds += [(Trial.PENDING, False)] * pending
    trials = {trial_order: trial(trial_order, *kind) for trial_order, kind in enumerate(kinds)}
    controller = SimpleNamespace(get_live_trials=lambda: list(reversed(trials.values())))
    found = WaitingFirst(lambda: 2).choose_trial_to_run(controller)
    assert found is (None if chosen is None else trials[chosen])
