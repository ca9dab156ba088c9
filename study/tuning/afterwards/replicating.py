"""A point of a study again on new seeds, beside the controls that say what its mask is worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from traceback import format_exc

import ray

from study.errors import UsageError
from study.pruning.masking.masks import MaskedLayers
from study.pruning.pipeline import run_pipeline
from study.pruning.plan import PruningPlan
from study.pruning.states.progress import Progress
from study.pruning.training.trajectory import Trajectory
from study.records import (
    CONTROLS_DIR,
    EVENTS_FILE,
    ORIGIN_FILE,
    OUTCOME_FILE,
    REPLICATE,
    TRIALS_DIR,
    Event,
    Origin,
    RoundRecord,
    TrialOutcome,
    utc_now,
)
from study.storage import Folder
from study.tasks.task import Task
from study.tuning.afterwards.points import Point
from study.tuning.dense_runs.on_workers import shared_runs, task_on_worker
from study.tuning.dense_runs.trajectories import ensure_trajectory, trajectory_name
from study.tuning.ray.ray_session import ray_session, trial_resources
from study.tuning.trials.trial_writer import TrialWriter

Done = Callable[[str], None]
"""Told of each trial that ended."""


@dataclass
class Replicated:
    """Trials that were run again, and controls beside them, by name."""

    made: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def replicate(study: Folder, point: Point, seeds: int, listener: Done) -> Replicated:
    """Run a point on further seeds as trials of the study, each beside its controls.

    The controls of a seed share its dense run: ``reinit`` keeps the mask of the last round and
    trains it from new initial weights for as long as the dense network was trained; ``shuffled``
    keeps in each layer and round as many weights as the plan does, at random; ``dense`` is not
    pruned and trains for as many epochs.

    Parameters
    ----------
    study
        Folder of the study.
    point
        What to run again.
    seeds
        How many: the ones after the plan's own. One that was run before is not run again.
    listener
        Told of each trial that ended.

    Returns
    -------
    Replicated
        The new trials by name; those that failed have their traceback in their folder.
    """
    if seeds < 1:
        raise UsageError(f"--seeds: {seeds} is not at least 1")
    wanted = [point.plan.seed + number for number in range(1, seeds + 1)]
    missing = [s for s in wanted if not _is_done(study, _name(point, s))]
    found = Replicated()
    with ray_session():
        needs = trial_resources(point.config)
        remote = ray.remote(num_cpus=needs["cpu"], num_gpus=needs["gpu"])(_run_seed)
        waiting = [remote.remote(study.location, point, seed) for seed in missing]
        while waiting:
            (done, *_), waiting = ray.wait(waiting)
            for trial_id, is_well in ray.get(done):
                (found.made if is_well else found.failed).append(trial_id)
                name = "trial_completed" if is_well else "trial_errored"
                event = Event(event=name, trial_id=trial_id)
                study.append_line(event.to_json(), EVENTS_FILE)
                listener(trial_id)
    return Replicated(sorted(found.made), sorted(found.failed))


def _is_done(study: Folder, trial_id: str) -> bool:
    """Whether a replicate ended well; one that failed is run again."""
    if not study.exists(TRIALS_DIR, trial_id, OUTCOME_FILE):
        return False
    text = study.read(TRIALS_DIR, trial_id, OUTCOME_FILE)
    return TrialOutcome.model_validate_json(text).status != "errored"


def _name(point: Point, seed: int, role: str = "replicate") -> str:
    name = f"{point.trial_id}-round-{point.round}{REPLICATE}{seed}"
    return name if role == "replicate" else f"{name}-{role}"


def _directory(role: str) -> str:
    return TRIALS_DIR if role == "replicate" else CONTROLS_DIR


def _run_seed(location: str, point: Point, seed: int) -> list[tuple[str, bool]]:
    """On a worker: the dense run of a seed, the replicate, and the controls.

    Each with whether it ended well. The first that fails is the last that is run.
    """
    runs = _Runs(Folder(location), point, seed)
    pinned = dict.fromkeys(("init_seed", "data_seed", "mask_seed"))
    plan = point.plan.model_copy(update={"seed": seed, **pinned})
    with suppress(_FailedError):
        runs.replicate(plan)
        runs.control("shuffled", plan.model_copy(update={"shuffle_masks": True}))
        runs.control("dense", unpruned(plan))
    return runs.ended


class _FailedError(Exception):
    """A run failed, and its outcome says how."""


def unpruned(plan: PruningPlan) -> PruningPlan:
    """The control that trains as long as a plan and prunes nothing.

    Where the plan's weights go back or begin anew, an unpruned network would repeat its dense
    run; it goes on from its weights instead, with the learning rate of the dense run.
    """
    retrain = "finetune" if plan.retrain == "finetune" else "lr_rewind"
    return PruningPlan.model_validate(
        {
            **plan.model_dump(),
            "sparsity": 0.0,
            "allocation": "global",
            "threshold": None,
            "layer_floor": 0.0,
            "retrain": retrain,
            "rewind_epoch": plan.rewind_epoch if retrain == "lr_rewind" else None,
        }
    )


@dataclass
class _Runs:
    study: Folder
    point: Point
    seed: int
    ended: list[tuple[str, bool]] = field(default_factory=list)

    def replicate(self, plan: PruningPlan) -> None:
        """The plan itself, and the mask of its last round on new weights."""
        writer = self._writer("replicate")
        records = self._run("replicate", plan, writer)
        if writer.before_last is None or records[-1].round < self.point.round:
            return  # it diverged, and has no last mask
        if self._task.recipe.weights is not None or not self._task.recipe.epochs:
            return  # how long its weights were trained nobody knows, so new ones cannot be as long
        fields = {"retrain": "reinit", "rewind_epoch": None, "retrain_epochs": None}
        anew = plan.model_copy(update={**fields, "optimizer_state": "fresh"})
        control = self._writer("reinit")
        control.take_over(records[:-1])
        self._run("reinit", anew, control, writer.before_last)  # makes the last cut again

    def control(self, role: str, plan: PruningPlan) -> None:
        """Another plan on the same dense run."""
        self._run(role, plan, self._writer(role))

    @cached_property
    def _task(self) -> Task:
        return task_on_worker(self.point.config, self.point.task_arguments)

    def _dense_run(self, plan: PruningPlan) -> Trajectory:
        rewind = [] if plan.rewind_epoch is None else [plan.rewind_epoch]
        config = self.point.config
        name = trajectory_name(self.point.key, plan.seeds)
        return ensure_trajectory(
            self.study, name, self._task, plan.seeds, rewind, shared_runs(config)
        )

    def _writer(self, role: str) -> _Writer:
        name = _name(self.point, self.seed, role)
        return _Writer(self.study, name, self.point.round, _directory(role))

    def _run(
        self, role: str, plan: PruningPlan, writer: _Writer, start: Progress | None = None
    ) -> list[RoundRecord]:
        started_at, last = utc_now(), self.point.round
        folder = self.study.child(_directory(role), writer.trial_id)
        origin = Origin(
            of=self.point.trial_id,
            round=last,
            role=role,
            replicate=_name(self.point, self.seed),
        )
        folder.write(origin.model_dump_json(indent=2), ORIGIN_FILE)
        writer.begin(plan)
        records: list[RoundRecord] = []
        failed: str | None = None
        try:
            rounds = run_pipeline(plan, self._task, start or self._dense_run(plan), writer)
            records += _up_to(last, rounds)
        except Exception:
            failed = format_exc()
            writer.failed(failed)
        writer.end()
        outcome = TrialOutcome(
            trial_id=writer.trial_id,
            status="completed" if failed is None else "errored",
            stop_reason=None if failed is None else "error",
            error=None if failed is None else failed.strip().splitlines()[-1],
            traceback=failed,
            rounds_planned=last,
            rounds_finished=records[-1].round if records else 0,
            started_at=started_at,
            finished_at=utc_now(),
        )
        folder.write(outcome.model_dump_json(indent=2), OUTCOME_FILE)
        self.ended.append((writer.trial_id, failed is None))
        if failed is not None:
            raise _FailedError
        return records


class _Writer(TrialWriter):
    """Writes a trial, and remembers where it stood before the last cut."""

    def __init__(self, study: Folder, trial_id: str, last_round: int, directory: str) -> None:
        super().__init__(study, trial_id, float("inf"), directory=directory)
        self._before_last = last_round - 1
        self.before_last: Progress | None = None

    def round_finished(
        self, record: RoundRecord, masked: MaskedLayers, progress: Callable[[], Progress]
    ) -> None:
        super().round_finished(record, masked, progress)
        if record.round == self._before_last:
            self.before_last = progress()


def _up_to(last: int, records: Iterator[RoundRecord]) -> Iterator[RoundRecord]:
    for record in records:
        yield record
        if record.round >= last:
            return
