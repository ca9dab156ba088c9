"""How much more each layer of a pruned network can take: a scan that starts from its masks."""

from __future__ import annotations

from search_spaces.structures import structure_text
from study.errors import UsageError
from study.files.documents import read_tensors, refused
from study.objectives import quality_of
from study.pruning.masking.choosing import mask_layers
from study.pruning.sensitivity.channels import scan_channels
from study.pruning.sensitivity.weights import scan
from study.pruning.states.state_files import load_weights
from study.pruning.training.train_state import capture
from study.pruning.training.trajectory import build_model
from study.records import (
    TRIALS_DIR,
    SensitivityRecord,
    round_sensitivity_file,
    round_state_file,
)
from study.storage import Folder
from study.tasks.loading import load_task
from study.tasks.training.optimizers import build_optimizer
from study.tuning.afterwards.points import Point, find_point
from study.tuning.dense_runs.scan_files import to_parquet
from study.tuning.dense_runs.scanning import clock_of


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
    point = find_point(study, trial_id, round_)
    found = [
        record.model_copy(update={"trial_id": trial_id, "round": point.round})
        for record in _scan(study, point)
    ]
    if not found:
        raise UsageError(f"trial {trial_id}, round {point.round}: its figures are not finite.")
    study.write(to_parquet(found), TRIALS_DIR, trial_id, round_sensitivity_file(point.round))
    return found


def _scan(study: Folder, point: Point) -> tuple[SensitivityRecord, ...]:
    config, plan, round_ = point.config, point.plan, point.round
    task = load_task(**config.task_arguments())
    masked = mask_layers(
        build_model(task, plan.seeds.init), plan.include or None, plan.exclude or None
    )
    place = (TRIALS_DIR, point.trial_id, round_state_file(round_))
    with refused(study, *place):
        load_weights(masked, read_tensors(study, *place))
    found = capture(masked.model, build_optimizer(task.recipe, masked.model))
    removal = plan.removal
    if (removal.units is None and removal.entries != "weights") or removal.is_mixed:
        raise UsageError(
            "sensitivity: a scan is of single weights, or of channels, heads or units alone, and "
            f"the trial's structure is {structure_text(plan.structure)}."
        )
    if removal.units:
        return scan_channels(
            task,
            found,
            plan,
            levels=config.sensitivity.levels,
            recovery_epochs=config.sensitivity.recovery_epochs,
            quality=quality_of(task.metrics, config.objectives),
            round_=round_ + 1,
            clock=clock_of(config, task),
        ).records
    return scan(
        task,
        found,
        plan.seeds,
        levels=config.sensitivity.levels,
        recovery_epochs=config.sensitivity.recovery_epochs,
        include=plan.include or None,
        exclude=plan.exclude or None,
        seed=plan.seed,
        quality=quality_of(task.metrics, config.objectives),
    ).records
