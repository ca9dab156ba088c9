"""How many training examples a search has taken, and whether its budget of them is spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from study.files.documents import read_lines
from study.files.problems import Problems
from study.records import EVENTS_FILE, Event
from study.storage import Folder
from study.tuning.search.past import PastTrial


class Spending:
    """Counts the training examples of a search, as the analysis of its records does.

    These are all that its trials were trained on, up to the last round that each has finished,
    where the dense run that the trials of a seed share counts once; and those of the scan before
    them.

    Parameters
    ----------
    budget
        Examples after which no further trial begins; None: there is no end.
    scanned
        Examples that the scan took.
    """

    def __init__(self, budget: int | None = None, scanned: float = 0.0) -> None:
        self.budget = budget
        self.scanned = scanned
        self._seeds: dict[str, int] = {}  # by trial, as are the next two
        self._last: dict[str, float] = {}
        self._own_dense: dict[str, float] = {}
        self._dense: dict[int, float] = {}  # by seed
        self._added = 0.0  # by all trials beside these: it is asked for many times a second

    def note(self, trial_id: str, seed: int, result: Mapping[str, Any]) -> None:
        """Take note of a finished round of a trial; one that is told again counts once."""
        samples = float(result["train_samples"])
        before = self._added_by(trial_id)
        is_first_dense = result["round"] == 0 and seed not in self._dense
        if result["round"] == 0:
            self._own_dense[trial_id] = samples
            self._dense.setdefault(seed, samples)
        self._seeds[trial_id] = seed
        self._last[trial_id] = max(samples, self._last.get(trial_id, 0.0))
        if is_first_dense:  # it is also that of trials whose own record of it is lost
            self._added = sum(map(self._added_by, self._last))
        else:
            self._added += self._added_by(trial_id) - before

    @property
    def spent(self) -> float:
        """Examples so far."""
        return self.scanned + sum(self._dense.values()) + self._added

    @property
    def is_spent(self) -> bool:
        """Whether no further trial is to begin."""
        return self.budget is not None and self.spent >= self.budget

    def _added_by(self, trial_id: str) -> float:
        """What a trial took beside the dense run; its own record of that may be lost."""
        if trial_id not in self._last:
            return 0.0
        shared = self._dense.get(self._seeds[trial_id], 0.0)
        return self._last[trial_id] - self._own_dense.get(trial_id, shared)


def spending_of(study: Folder, past: Sequence[PastTrial], budget: int | None = None) -> Spending:
    """What a study's search has taken, by its records.

    Parameters
    ----------
    study
        Its folder, whose events tell of the scan.
    past
        Trials of its earlier runs.
    budget
        As of :class:`Spending`.
    """
    spending = Spending(budget, _scanned(study))
    for trial in past:
        for result in trial.results:
            spending.note(trial.name, trial.plan.seed, result)
    return spending


def _scanned(study: Folder) -> float:
    """Examples of the scan; each run of a study tells of it, and one at most has made it."""
    events = read_lines(study, Event, Problems(), EVENTS_FILE)
    scans = [each for each in events if each.event == "sensitivity_scanned"]
    return float(scans[-1].detail.get("train_samples", 0.0)) if scans else 0.0
