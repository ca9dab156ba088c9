"""The network of a trial after one of its rounds, as a plain module."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import nn

from study.configuration.loading import StudyConfig, load_config
from study.errors import UsageError, unknown_name
from study.files.documents import needed, read_lines, read_tables, read_tensors, refuse, refused
from study.files.problems import Problems
from study.pruning.channels import channels_of
from study.pruning.masking.choosing import mask_layers
from study.pruning.masking.masks import MaskedLayers
from study.pruning.plan import PruningPlan
from study.pruning.shrinking.deployed import deployed
from study.pruning.states.dense_runs import stored_trajectory, trajectory_name
from study.pruning.states.state_files import load_weights
from study.pruning.training.train_state import TrainState, load_model
from study.pruning.training.trajectory import build_model
from study.records import (
    PLAN_FILE,
    ROUNDS_FILE,
    STUDY_FILE,
    TASK_FILE,
    TRAJECTORIES_DIR,
    TRIALS_DIR,
    RoundRecord,
    TaskRecord,
    round_state_file,
)
from study.storage import Folder
from study.tasks.loading import load_task
from study.tasks.task import Task


@dataclass(frozen=True)
class StoredRound:
    """A finished round of a trial, whose network is in the study folder."""

    trial_id: str
    plan: PruningPlan
    record: RoundRecord

    @property
    def round(self) -> int:
        """Its number; 0 is the dense network."""
        return self.record.round


def find_round(
    study: Folder, trial_id: str, round_: int | None = None, *, or_dense: bool = False
) -> StoredRound:
    """Look a trial's round up in a study folder.

    Parameters
    ----------
    study
        Folder of a study.
    trial_id
        A trial of it, or a replicate.
    round_
        One of its finished rounds; None is the last.
    or_dense
        Whether it may be round 0, the dense network of the trial's seed.

    Raises
    ------
    UsageError
        If there is no such study, trial or round; it names those that there are.
    """
    if not study.exists(STUDY_FILE):
        raise UsageError(f"{study.location}: this folder holds no study; it has no {STUDY_FILE}")
    if not study.exists(TRIALS_DIR, trial_id, PLAN_FILE):
        raise unknown_name("trial", trial_id, study.folders(TRIALS_DIR))
    problems = Problems()
    place = (TRIALS_DIR, trial_id)
    finished = {
        record.round: record
        for record in read_lines(study, RoundRecord, problems, *place, ROUNDS_FILE)
        if (record.round > 0 and study.exists(*place, round_state_file(record.round)))
        or (record.round == 0 and or_dense)
    }
    chosen = max(finished, default=1) if round_ is None else round_
    if chosen not in finished:
        refuse(study, problems)
        raise UsageError(f"round: trial {trial_id} has no round {chosen}; it has {list(finished)}")
    problems.warn(study.name, stacklevel=4)
    return StoredRound(trial_id, read_plan(study, trial_id), finished[chosen])


def read_plan(study: Folder, trial_id: str) -> PruningPlan:
    """The plan of a trial.

    Raises
    ------
    UsageError
        If it is missing or damaged; it names the file, and the field.
    """
    return needed(study, PruningPlan, TRIALS_DIR, trial_id, PLAN_FILE, strict=False)


def stored_network(
    study: Folder, task: Task, plan: PruningPlan, trial_id: str, round_: int
) -> nn.Module:
    """Build the network of a round: its weights, zeros where it is pruned, and no masks.

    Parameters
    ----------
    study
        Folder of the study.
    task
        Of the study; the network is on its device.
    plan
        Of the trial.
    trial_id, round_
        Which network.

    Raises
    ------
    UsageError
        If the file is damaged, or of another network than the task's.
    """
    masked = _masked_network(study, task, plan, trial_id, round_)
    masked.remove()
    return masked.model


def small_network(study: Folder, task: Task, found: StoredRound) -> nn.Module:
    """The network of a round without its dead channels, neurons and heads, in eval mode.

    Raises
    ------
    UsageError
        If it has a pattern of n:m alone, whose groups would no longer be what lies side by side.
    """
    removal = found.plan.removal
    if removal.pattern is not None and not removal.units:
        raise UsageError(
            f"shrink: trial {found.trial_id} has the pattern {removal.entries}, which leaving "
            "neurons out would break; export it without shrink."
        )
    masked = _masked_network(study, task, found.plan, found.trial_id, found.round)
    small = deployed(task, masked, channels_of(found.plan, task, masked))
    return small.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload, no-any-return]


def _masked_network(
    study: Folder, task: Task, plan: PruningPlan, trial_id: str, round_: int
) -> MaskedLayers:
    model = build_model(task, plan.seeds.init)
    masked = mask_layers(model, plan.include or None, plan.exclude or None)
    if round_ == 0:
        load_model(model, _dense_state(study, plan))
        return masked
    place = (TRIALS_DIR, trial_id, round_state_file(round_))
    with refused(study, *place):
        load_weights(masked, read_tensors(study, *place))
    return masked


def _dense_state(study: Folder, plan: PruningPlan) -> TrainState:
    """Where the dense run of a plan's seeds ended."""
    key = needed(study, TaskRecord, TASK_FILE).key
    run = stored_trajectory(study, trajectory_name(key, plan.seeds))
    if run is None:
        raise UsageError(
            f"round: the dense run of seed {plan.seed} is not in {study.location}/"
            f"{TRAJECTORIES_DIR}, so round 0 cannot be had."
        )
    return run.states[max(run.states)]


def study_config(study: Folder) -> StudyConfig:
    """The resolved study file of a folder.

    Raises
    ------
    UsageError
        If it cannot be read, or a key or value is wrong.
    """
    tables = read_tables(study, STUDY_FILE)
    with refused(study, STUDY_FILE):
        return load_config(tables)


def task_on_cpu(config: StudyConfig) -> Task:
    """The task of a study, on the CPU, wherever it was trained."""
    arguments = config.task_arguments()
    return load_task(**{**arguments, "recipe": {**arguments["recipe"], "device": "cpu"}})


def plain_network(study: Folder, task: Task, found: StoredRound) -> nn.Module:
    """The network of a round in eval mode, its weights in torch's usual layout."""
    model = stored_network(study, task, found.plan, found.trial_id, found.round)
    return model.to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload, no-any-return]


def load_network(
    directory: str | os.PathLike[str],
    trial: str,
    round: int | None = None,
    *,
    trust_code: bool = False,
) -> nn.Module:
    """Load the network of a trial after one of its rounds.

    The module is built as the study's task builds it and has the weights of the round's file, with
    zeros where its masks are False. Masks and hooks are taken off: it trains and saves like any
    other, and training it on fills the zeros.

    Parameters
    ----------
    directory
        Folder of a study, or its URI.
    trial
        Name of a trial, or of a replicate.
    round
        One of its finished rounds, from 1; None is the last.
    trust_code
        Whether modules that the folder names may be imported, which runs what they hold; a study
        of a dataset and a model by name needs none.

    Returns
    -------
    nn.Module
        In eval mode, on the CPU.

    Raises
    ------
    UsageError
        If there is no such study, trial or round; it names those that there are. And if the folder
        names code of its own, without ``trust_code``.

    Examples
    --------
    >>> network = study.load_network("studies/digits-mlp", "0000")  # doctest: +SKIP
    """
    from study.exporting.trusting import refuse_untrusted

    folder = Folder(directory)
    refuse_untrusted(folder, trial, trust_code, "trust_code=True")
    found = find_round(folder, trial, round, or_dense=True)
    return plain_network(folder, task_on_cpu(study_config(folder)), found)
