"""Run a prepared study on the terminal, from its first trial or its last, to its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from shlex import quote

import click

from analysis import load
from analysis.reading.candidates import unmet_constraints
from study.commands.options import CRASH, FAILED_TRIALS, OK
from study.commands.studies.finishing import finish
from study.configuration.loading import StudyConfig
from study.configuration.targets import note_on_target
from study.configuration.widths import note_on_widths
from study.errors import NothingToReportError, StudyFailedError
from study.exporting.trusting import names_code
from study.interrupts import Interrupts
from study.objectives import quality_of
from study.records import STUDY_FILE
from study.terminal.progress import Progress
from study.tuning.launching import Finished, running_study
from study.tuning.preparing import Prepared
from study.tuning.ray.ray_session import ray_session
from study.tuning.search.past import PastTrial


def conduct(
    prepared: Prepared, past: Sequence[PastTrial] | None, *, report: bool, quiet: bool
) -> int:
    """Run what is left of a study, confirm, and write its report.

    Parameters
    ----------
    prepared
        The study.
    past
        Trials of an earlier run; None: there was none.
    report
        Whether to confirm and report.
    quiet
        Whether to show no progress.

    Returns
    -------
    int
        The exit code.

    Raises
    ------
    NothingToReportError
        If no trial finished a round.
    """
    config, written, finished = prepared.config, None, Finished(prepared.folder)
    quality = quality_of(prepared.task.metrics, config.objectives)
    with Interrupts() as interrupts, Progress(config, quality, quiet=quiet) as progress:
        for note in (note_on_target(config), note_on_widths(config)):
            if note is not None:
                progress.say(note)
        try:
            with (
                ray_session(),
                running_study(prepared, progress.listen, interrupts, past) as finished,
            ):
                if finished.out_of_time:
                    progress.say("the time budget is spent; what was cut off can go on")
                if report:
                    is_whole = not (finished.interrupted or finished.failure)
                    written = finish(finished.folder, config, progress.say, train=is_whole)
        except StudyFailedError as error:
            finished = replace(finished, failure=str(error))
    click.echo(written or finished.folder.location)
    if written and config.search.parsed_constraints and not progress.dense_diverged:
        unmet = unmet_constraints(load(finished.folder.location))
        if unmet is not None:
            click.echo(f"prune-study: {unmet}", err=True)
    code = _exit_code(finished, config, progress.dense_diverged)
    if written is None and report and code == OK:
        raise NothingToReportError(
            "no trial finished a round, so there is nothing to report"
            + (": the time budget was spent before" if finished.out_of_time else "")
            + (": the scan took the budget of examples" if progress.samples_spent else "")
        )
    return code


def _exit_code(finished: Finished, config: StudyConfig, dense_diverged: bool) -> int:
    """What the shell is told, and the terminal why."""
    place = quote(finished.folder.location)
    if finished.failure or finished.interrupted:
        how = f"the study failed: {finished.failure}" if finished.failure else "interrupted"
        trusting = " --trust-code" if names_code(finished.folder) else ""
        hint = f"; go on with: prune-study resume {place}{trusting}"
        is_there = finished.folder.exists(STUDY_FILE)
        click.echo(f"prune-study: {how}{hint if is_there else ''}", err=True)
        return CRASH if finished.failure else finished.exit_code
    if finished.failed_trials:
        click.echo(
            f"prune-study: {finished.failed_trials} of {config.study.num_samples} trials failed; "
            f"see prune-study status {place}",
            err=True,
        )
        return FAILED_TRIALS
    if dense_diverged:
        click.echo(
            "prune-study: the dense run diverged: there is nothing to compare networks with, and "
            "none is recommended. Lower task.lr, for example.",
            err=True,
        )
        return FAILED_TRIALS
    return OK
