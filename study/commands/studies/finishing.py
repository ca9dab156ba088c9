"""What is done when a search is over: confirmation, controls, the test split, and the report."""

from __future__ import annotations

from analysis import load
from study.commands.studies.confirming import Say, confirm
from study.configuration.loading import StudyConfig
from study.errors import NothingToReportError, UsageError
from study.records import REPORT_FILE
from study.storage import Folder
from study.tuning.afterwards.held_out import read_test
from study.tuning.afterwards.points import find_searched, new_seeds
from study.tuning.afterwards.replicating import replicate


def finish(folder: Folder, config: StudyConfig, say: Say, *, train: bool = True) -> str | None:
    """Confirm, run the controls that are asked for, read the test split once, write the report.

    Parameters
    ----------
    folder
        Of a study whose search is over.
    config
        Its configuration; ``[confirm]`` and ``[report]`` say what is done.
    say
        Told of each step.
    train
        Whether networks may be trained; after an interrupt nobody wants to wait for them.

    Returns
    -------
    str or None
        Where the report is; None where there is nothing to report.

    Raises
    ------
    KeyboardInterrupt
        Once the report of what was finished is written, if somebody did not want to wait.
    """
    if load(folder.location).rounds.empty:
        return None
    interrupted = False
    if train:
        try:
            confirm(folder, config, say)
            if config.report.controls:
                _run_controls(folder, config, say)
        except KeyboardInterrupt:
            interrupted = True
    written = read_and_write(folder, config, say)
    if interrupted:
        if written:
            say(f"what was finished is in {written}")
        raise KeyboardInterrupt
    return written


def read_and_write(folder: Folder, config: StudyConfig, say: Say) -> str | None:
    """Read the test split for the networks that are named, where that was not done, and report."""
    from analysis import write_report  # with what draws figures, which trials need not wait for
    from analysis.judging.reported import networks_to_test

    if config.report.test:
        try:
            read_test(folder, config, networks_to_test(load(folder.location)))
        except UsageError as error:
            say(str(error))
    try:
        return write_report(load(folder.location), folder.at(REPORT_FILE))
    except NothingToReportError:
        return None


def _run_controls(folder: Folder, config: StudyConfig, say: Say) -> None:
    """Run the controls of the networks that were named first, on the seeds that confirmed them."""
    from analysis.judging.reported import headline_networks

    for trial_id, round_ in headline_networks(load(folder.location))[
        : config.report.controlled_networks
    ]:
        say(f"running the controls of trial {trial_id}, round {round_}")
        point = find_searched(folder, trial_id, round_)
        seeds = new_seeds(config, config.report.control_seeds)
        for name in replicate(folder, point, seeds, lambda _: None).failed:
            say(f"{name} failed; see its error.txt")
