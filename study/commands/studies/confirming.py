"""Run descents again on new seeds, so that what the report names was shown to hold."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from analysis import load
from analysis.judging.to_confirm import (
    Descent,
    best_descent,
    confirmed_samples,
    next_descent,
    textbook_of,
)
from analysis.reading.results import Results
from analysis.spending.cost import cost_summary, working_s
from analysis.statistics.replicates import searched
from study.configuration.loading import StudyConfig
from study.owners import claimed
from study.storage import Folder
from study.tuning.afterwards.points import Point, find_searched, new_seeds
from study.tuning.afterwards.replicating import replicate, seeds_to_run

Say = Callable[[str], None]
"""Takes a line for the user."""


def confirm(folder: Folder, config: StudyConfig, say: Say) -> None:
    """Confirm what the search found, as far as the study's share of the budget goes.

    The share is of all training examples of the study, the search's and these; a search by stages,
    which ends by itself, leaves what its unused trials would have cost as well, for the best
    descent and the textbook run. Of a study with a
    time budget, no more than can be expected to fit into what is left of it either. What earlier
    runs of the study confirmed is of its share; their time is not of this one's budget. Of a study
    at one size the network that it was run for is confirmed first, also where it takes more than
    the share: all else that is confirmed says nothing of it.

    Parameters
    ----------
    folder
        Of a study whose search is over.
    config
        Its configuration.
    say
        Told of each step.
    """
    if config.confirm.share == 0:
        return
    results = load(folder.location)
    cost = cost_summary(searched(results))
    spent = cost["spent_train_samples"]
    # What an earlier run confirmed is paid for, else each resume would confirm further descents.
    before = confirmed_samples(results)
    left = spent * config.confirm.share / (1.0 - config.confirm.share) - sum(before.values())
    unused = _unused_samples(config, cost) - sum(before.values())
    runs_s = working_s(results)
    rate = spent / sum(runs_s) if sum(runs_s) > 0 else math.inf
    ends_s = math.inf
    if config.study.time_budget_s is not None:
        ends_s = time.monotonic() + config.study.time_budget_s - runs_s[-1]
    tried: set[str] = set()
    while True:
        in_time = rate * max(ends_s - time.monotonic(), 0.0)
        is_for_the_answer = results.target is not None and not tried.union(before)
        affordable = in_time if is_for_the_answer else min(max(left, unused), in_time)
        descent = next_descent(results, affordable, tried)
        if descent is not None and not is_for_the_answer and not _tells_the_gain(results, descent):
            affordable = min(left, in_time)
            descent = next_descent(results, affordable, tried)
        if descent is None:
            return
        tried.add(descent.trial_id)
        last = descent.affordable(affordable)
        assert last is not None
        run_again(folder, descent.trial_id, last, descent.seeds, say)
        left -= descent.seeds * descent.samples[last]
        unused -= descent.seeds * descent.samples[last]
        results = load(folder.location)


def _tells_the_gain(results: Results, descent: Descent) -> bool:
    """Whether a descent is one of the two that tell what the search added."""
    own = searched(results)
    return descent.trial_id in (best_descent(own), textbook_of(results))


def _unused_samples(config: StudyConfig, cost: Mapping[str, float]) -> float:
    """Training examples that a search by stages was given and did not take."""
    if config.search.sampler != "stages":
        return 0.0
    spent, trials = cost["spent_train_samples"], cost["trials"]
    unused = max(config.study.num_samples - trials, 0.0) * spent / max(trials, 1.0)
    budget = config.study.train_samples_budget
    return unused if budget is None else min(unused, budget - spent)


def run_again(folder: Folder, trial_id: str, last: int, seeds: int, say: Say) -> None:
    """Run a trial's rounds up to one of them on so many new seeds."""
    say(f"confirming trial {trial_id} up to round {last} on {seeds} new seeds")
    point = find_searched(folder, trial_id, last)
    chosen = new_seeds(point.config, seeds)
    for name in replicate(folder, point, chosen, lambda _: None, controls=False).failed:
        say(f"{name} failed; see its error.txt")


def hold_and_run_again(folder: Folder, point: Point, seeds: int, say: Say) -> None:
    """The same of a study that nobody holds; it is held once it is known that there is a need."""
    if seeds_to_run(folder, point, new_seeds(point.config, seeds), controls=False):
        with claimed(folder):
            run_again(folder, point.trial_id, point.round, seeds, say)
    else:
        say(f"trial {point.trial_id} was run on {seeds} new seeds before")
