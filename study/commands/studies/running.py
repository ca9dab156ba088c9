"""Run a study from Python."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from study.commands.studies.confirming import confirm
from study.configuration.loading import StudyConfig, load_config
from study.errors import StudyFailedError
from study.interrupts import Interrupts
from study.storage import Folder
from study.tuning.launching import running_study
from study.tuning.preparing import Prepared, prepare
from study.tuning.ray.ray_session import ray_session
from study.tuning.resuming import prepare_resume
from study.tuning.search.past import PastTrial
from study.tuning.trials.outcomes import Listener


def run(
    config: str | Path | Mapping[str, Any] | StudyConfig,
    *,
    name: str | None = None,
    storage_path: str | os.PathLike[str] | None = None,
    num_samples: int | None = None,
    train_samples_budget: int | None = None,
    seed: int | None = None,
    listener: Listener | None = None,
) -> str:
    """Run a study, confirm what it found, and wait for the end of both.

    The test split is not read, and no report written: :func:`analysis.write_report` does that.

    Parameters
    ----------
    config
        Name of a preset, path of a study file, a mapping of the same shape, or a
        :class:`~study.configuration.loading.StudyConfig`.
    name, storage_path, num_samples, train_samples_budget, seed
        Fields of the ``[study]`` table to change.
    listener
        Called with the name of every event, the trial, and the trial's last result.

    Returns
    -------
    str
        Location of the study's folder, for :func:`analysis.load`.

    Raises
    ------
    UsageError
        If the configuration is wrong, or the folder exists; nothing is written then.
    StudyFailedError
        If the study as a whole failed; what it had finished is on disk, and :func:`resume` goes on.

    Examples
    --------
    >>> results_dir = study.run("digits-mlp", num_samples=20)  # doctest: +SKIP
    """
    tables: Any = config
    if isinstance(config, StudyConfig):
        tables = config.model_dump(mode="json", exclude_unset=True)
    elif not isinstance(config, Mapping):
        tables = load_config(config).model_dump(mode="json", exclude_unset=True)
    changes = {
        "name": name,
        "storage_path": None if storage_path is None else os.fspath(storage_path),
        "num_samples": num_samples,
        "train_samples_budget": train_samples_budget,
        "seed": seed,
    }
    own = {key: value for key, value in changes.items() if value is not None}
    merged = {**tables, "study": {**tables.get("study", {}), **own}}
    return _run(prepare(load_config(merged)), listener, None)


def resume(
    directory: str | os.PathLike[str],
    *,
    num_samples: int | None = None,
    train_samples_budget: int | None = None,
    trust_code: bool = False,
    listener: Listener | None = None,
) -> str:
    """Go on with a study that ended before its time, or give it more trials or examples.

    Parameters
    ----------
    directory
        Its folder, or its URI.
    num_samples
        Trials in all; None: as many as it was to have.
    train_samples_budget
        Training examples of the search in all; None: as many as it was to have.
    trust_code
        Whether to import the modules that the folder names; of a folder of your own.
    listener
        As of :func:`run`.

    Returns
    -------
    str
        Location of the study's folder.

    Raises
    ------
    UsageError
        If it holds no study, is being run, its task is not what it was, or it is given less than
        it has spent.
    StudyFailedError
        If the study as a whole failed again.
    """
    prepared, past = prepare_resume(
        Folder(directory),
        num_samples=num_samples,
        train_samples_budget=train_samples_budget,
        trust_code=trust_code,
        asked_by="trust_code=True",
    )
    return _run(prepared, listener, past)


def _run(prepared: Prepared, listener: Listener | None, past: Sequence[PastTrial] | None) -> str:
    with (
        Interrupts() as interrupts,
        ray_session(),
        running_study(prepared, listener or _quiet, interrupts, past) as finished,
    ):
        if not (finished.interrupted or finished.failure):
            confirm(finished.folder, prepared.config, lambda _: None)
    if finished.failure:
        raise StudyFailedError(finished.failure)
    return finished.folder.location


def _quiet(event: str, trial_id: str, result: dict[str, Any]) -> None:
    """Say nothing."""
