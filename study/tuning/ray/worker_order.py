"""Which waiting trial gets a worker that has become free."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler


class WaitingFirst(FIFOScheduler):
    """Gives a worker that is free to a trial that has none, and not to one whose own is starting.

    Tune's own order gives it to the trial that was drawn first. That trial's worker, which has not
    finished its imports, is then ended, and another is started in its place for the next trial:
    where trials are short, some workers are for ever starting and never work.

    Parameters
    ----------
    workers
        Says how many trials can run at a time now.
    """

    def __init__(self, workers: Callable[[], int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._workers = workers

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """The first of those for which no worker is being started.

        Tune asks all the time, and heeds the answer where a worker is free: it is taken that one
        is, which no trial has now.
        """
        live = tune_controller.get_live_trials()
        without = [t for t in live if t.status == Trial.PENDING and not t.temporary_state.ray_actor]
        without.sort(key=lambda trial: trial.config["order"])
        starting = max(0, self._workers() - (len(live) - len(without)) - 1)
        return without[starting] if starting < len(without) else None
