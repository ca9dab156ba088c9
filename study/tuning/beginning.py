"""What a study's folder says of it before it runs, or goes on."""

from __future__ import annotations

from collections.abc import Sequence

from study.configuration.loading import to_toml
from study.configuration.widths import note_on_widths
from study.records import ERROR_FILE, PROVENANCE_FILE, STUDY_FILE, TASK_FILE, TaskRecord
from study.tuning.preparing import Prepared
from study.tuning.provenance import collect
from study.tuning.search.past import PastTrial
from study.tuning.tracking import TensorBoardWriter
from study.tuning.trials.outcomes import Listener, OutcomeRecorder
from study.tuning.trials.trial_writer import forget


def begin_study(
    prepared: Prepared, listener: Listener, past: Sequence[PastTrial] | None
) -> OutcomeRecorder:
    """Write what is known of a study before it runs.

    Parameters
    ----------
    prepared
        The study; its folder is held.
    listener
        Told of every event, and of what an earlier run did.
    past
        Trials of an earlier run; None: there was none.

    Returns
    -------
    OutcomeRecorder
        Writes what happens from now on.
    """
    config, folder = prepared.config, prepared.folder
    folder.write(to_toml(config), STUDY_FILE)
    folder.remove(ERROR_FILE)  # of an earlier run that failed
    for each in past or ():
        if each.is_restarted:
            forget(folder, each.name)
    if not folder.exists(TASK_FILE):  # also where an earlier driver was gone before it wrote it
        note = note_on_widths(config)
        provenance = collect(config.study.name, prepared.task, [] if note is None else [note])
        folder.write(provenance.model_dump_json(indent=2), PROVENANCE_FILE)
        task = TaskRecord(name=prepared.task.name, key=prepared.key, metrics=prepared.task.metrics)
        folder.write(task.model_dump_json(indent=2), TASK_FILE)
    listeners = [listener]
    if "tensorboard" in config.study.tracking and folder.local_path is not None:
        listeners.append(TensorBoardWriter(folder.local_path))
    recorder = OutcomeRecorder(
        folder,
        listeners,
        config.study.time_budget_s is not None,
        {each.name: each.results[-1]["round"] for each in past or () if each.results},
    )
    errored = [each for each in past or () if each.outcome and each.outcome.status == "errored"]
    recorder.failed = len(errored)
    for each in past or ():
        _show(each, listener)
    event = "study_started" if past is None else "study_resumed"
    recorder.note(event, {"num_samples": config.study.num_samples})
    return recorder


def _show(trial: PastTrial, listener: Listener) -> None:
    """Tell a display of what an earlier run did."""
    if trial.is_open or trial.outcome is None:
        return  # it tells of itself once it has a worker
    listener("trial_started", trial.name, {})
    for result in trial.results:
        listener("round_finished", trial.name, result)
    last = trial.results[-1] if trial.results else {}
    listener(f"trial_{trial.outcome.status}", trial.name, last)
