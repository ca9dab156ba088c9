"""How much more each layer of a pruned network can take: a scan that starts from its masks."""

from __future__ import annotations

import tomllib

from study.config import StudyConfig, load_config
from study.errors import UsageError, unknown_name
from study.pruning.masks import mask_layers
from study.pruning.plan import PruningPlan
from study.pruning.sensitivity import scan
from study.pruning.state_files import load_weights
from study.pruning.training import capture
from study.pruning.trajectory import build_model
from study.records import (
    PLAN_FILE,
    STUDY_FILE,
    TRIALS_DIR,
    SensitivityRecord,
    round_sensitivity_file,
    round_state_file,
)
from study.storage import Folder
from study.tasks.loading import load_task
from study.tasks.recipe import build_optimizer
from study.tuning.dense_runs import to_parquet


def scan_round(study: Folder, trial_id: str, round_: int | None = None) -> list[SensitivityRecord]:
    """Scan the network of a trial's round, and keep the scan in the trial's folder.

    Every layer is pruned further on its own while the others keep the masks that they have. The
    scan's settings are those of the study file.

    Parameters
    ----------
    study
        Folder of a study.
    trial_id
        A trial in it.
    round_
        One of its finished rounds; None is the last.

    Raises
    ------
    UsageError
        If there is no such study, trial or round.
    """
    if not study.exists(STUDY_FILE):
        raise UsageError(f"{study.location}: this folder holds no study; it has no {STUDY_FILE}")
    config = load_config(tomllib.loads(study.read(STUDY_FILE).decode()))
    if not study.exists(TRIALS_DIR, trial_id, PLAN_FILE):
        raise unknown_name("--trial", trial_id, study.folders(TRIALS_DIR))
    plan = PruningPlan.model_validate_json(study.read(TRIALS_DIR, trial_id, PLAN_FILE))
    trial = study.child(TRIALS_DIR, trial_id)
    finished = [r for r in range(1, plan.rounds + 1) if trial.exists(round_state_file(r))]
    chosen = max(finished, default=0) if round_ is None else round_
    if chosen not in finished:
        raise UsageError(f"--round: trial {trial_id} has no round {chosen}; it has {finished}")
    found = [
        record.model_copy(update={"trial_id": trial_id, "round": chosen})
        for record in _scan(config, plan, trial.read(round_state_file(chosen)))
    ]
    trial.write(to_parquet(found), round_sensitivity_file(chosen))
    return found


def _scan(config: StudyConfig, plan: PruningPlan, state: bytes) -> list[SensitivityRecord]:
    task = load_task(**config.task.load_arguments())
    masked = mask_layers(
        build_model(task, plan.seeds.init), plan.include or None, plan.exclude or None
    )
    load_weights(masked, state)
    return scan(
        task,
        capture(masked.model, build_optimizer(task.recipe, masked.model)),
        plan.seeds,
        levels=config.sensitivity.levels,
        recovery_epochs=config.sensitivity.recovery_epochs,
        include=plan.include or None,
        exclude=plan.exclude or None,
        seed=plan.seed,
    )
