"""What is done when a search is over: controls, the test split, and the report."""

from __future__ import annotations

from collections.abc import Callable

from analysis import load, write_report
from analysis.judging.reported import headline_networks, reported_networks
from study.configuration.loading import StudyConfig
from study.errors import NothingToReportError, UsageError
from study.records import REPORT_FILE
from study.storage import Folder
from study.tuning.afterwards.held_out import read_test
from study.tuning.afterwards.points import find_point, new_seeds
from study.tuning.afterwards.replicating import replicate

Say = Callable[[str], None]
"""Takes a line for the user."""


def finish(folder: Folder, config: StudyConfig, say: Say, *, train: bool = True) -> str | None:
    """Run the controls that the study asks for, read the test split once, write the report.

    Parameters
    ----------
    folder
        Of a study whose search is over.
    config
        Its configuration; ``[report]`` says what is done.
    say
        Told of each step.
    train
        Whether controls may be trained; after an interrupt nobody wants to wait for them.

    Returns
    -------
    str or None
        Where the report is; None where there is nothing to report.
    """
    results = load(folder.location)
    if results.rounds.empty:
        return None
    report = config.report
    if report.controls and train:
        _run_controls(folder, config, say)
        results = load(folder.location)
    if report.test:
        networks = reported_networks(results)
        dense = [(trial_id, 0) for trial_id, _ in networks[:1]]
        try:
            read_test(folder, config, [*dense, *networks])
        except UsageError as error:
            say(str(error))
    try:
        return write_report(load(folder.location), f"{folder.location}/{REPORT_FILE}")
    except NothingToReportError:
        return None


def _run_controls(folder: Folder, config: StudyConfig, say: Say) -> None:
    """Run networks of the headline again: the first that is not yet, until enough were.

    What one network loses on further seeds may bring another into the headline.
    """
    done: set[tuple[str, int]] = set()
    seeds = new_seeds(config, config.report.control_seeds)
    for _ in range(config.report.controlled_networks):
        waiting = [each for each in headline_networks(load(folder.location)) if each not in done]
        if not waiting:
            return
        trial_id, round_ = waiting[0]
        done.add(waiting[0])
        say(f"running trial {trial_id} up to round {round_} on new seeds, with its controls")
        point = find_point(folder, trial_id, round_)
        for name in replicate(folder, point, seeds, lambda _: None).failed:
            say(f"{name} failed; see its error.txt")
