"""A point of a study again on new seeds, beside the controls that say what its mask is worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from traceback import format_exc
from typing import Any

import ray
from ray.exceptions import NodeDiedError, OutOfMemoryError, WorkerCrashedError

from study.errors import what_was_raised
from study.files.documents import needed, read_lines, read_tensors, refuse, refused
from study.files.problems import Problems
from study.objectives import quality_of
from study.owners import one_line
from study.pruning.pipeline import run_pipeline
from study.pruning.plan import PruningPlan
from study.pruning.states.dense_runs import trajectory_name
from study.pruning.states.progress import Progress
from study.pruning.timing import Timing
from study.pruning.training.trajectory import Trajectory
from study.records import (
    CONFIRMATION_FILE,
    CONTROLS,
    CONTROLS_DIR,
    ERROR_FILE,
    EVENTS_FILE,
    ORIGIN_FILE,
    OUTCOME_FILE,
    PLAN_FILE,
    REPLICATE,
    ROUNDS_FILE,
    TRIALS_DIR,
    Event,
    Origin,
    RoundRecord,
    TrialOutcome,
    is_finite,
    round_state_file,
    utc_now,
)
from study.storage import Folder
from study.tasks.task import Task
from study.tuning.afterwards.controls import start_of, unpruned, untrained, why_left_out
from study.tuning.afterwards.judging import JudgingWriter
from study.tuning.afterwards.points import Point
from study.tuning.dense_runs.on_workers import shared_runs, task_on_worker
from study.tuning.dense_runs.trajectories import ensure_trajectory
from study.tuning.ray.ray_session import ray_session, trial_resources

Done = Callable[[str], None]
"""Told of each trial that ended."""

CANCEL_S = 5.0
"""Given to Ray to end workers that nobody waits for any more."""


@dataclass
class Replicated:
    """Trials that were run again, and controls beside them, by name."""

    made: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def seeds_to_run(
    study: Folder, point: Point, seeds: Sequence[int], *, controls: bool = True
) -> list[int]:
    """Those of the seeds on which something is left to run.

    Parameters
    ----------
    study, point, seeds, controls
        As of :func:`replicate`.

    Raises
    ------
    UsageError
        If a record of an earlier run is damaged.
    """
    roles = ("replicate", *(CONTROLS if controls else ()))
    return [seed for seed in seeds if not all(_Run(study, point, seed, r).is_done for r in roles)]


def replicate(
    study: Folder, point: Point, seeds: Sequence[int], listener: Done, *, controls: bool = True
) -> Replicated:
    """Run a point on further seeds as trials of the study, each beside its controls.

    Parameters
    ----------
    study
        Folder of the study.
    point
        What to run again.
    seeds
        On which seeds, see :func:`study.tuning.afterwards.points.new_seeds`. What was run before
        is not run again, be it a replicate or one of its controls.
    listener
        Told of each trial that ended.
    controls
        Whether to run the controls too, see :data:`study.records.CONTROLS`.

    Returns
    -------
    Replicated
        The new trials by name; those that failed have their traceback in their folder.
    """
    missing, found = seeds_to_run(study, point, seeds, controls=controls), Replicated()
    if not missing:
        return found
    with ray_session():
        needs = trial_resources(point.config)
        remote = ray.remote(num_cpus=needs["cpu"], num_gpus=needs["gpu"])(_run_seed)
        seed_of = {remote.remote(study.location, point, seed, controls): seed for seed in missing}
        waiting = list(seed_of)
        try:
            while waiting:
                (done, *_), waiting = ray.wait(waiting)
                try:
                    ended = ray.get(done)
                except (WorkerCrashedError, OutOfMemoryError, NodeDiedError) as error:
                    ended = _lost(_Run(study, point, seed_of[done], "replicate"), one_line(error))
                for trial_id, is_well in ended:
                    (found.made if is_well else found.failed).append(trial_id)
                    name = "trial_completed" if is_well else "trial_errored"
                    event = Event(event=name, trial_id=trial_id)
                    study.append_line(event.to_json(), EVENTS_FILE)
                    listener(trial_id)
        finally:
            _end(waiting)
    return Replicated(sorted(found.made), sorted(found.failed))


def _end(tasks: list[Any]) -> None:
    """End what nobody waits for any more, such as after a signal.

    Ray may outlive the wait, and nobody may write into a folder that nobody holds.
    """
    for task in tasks:
        ray.cancel(task, force=True)
    if tasks:
        ray.wait(tasks, num_returns=len(tasks), timeout=CANCEL_S)


@dataclass(frozen=True)
class _Run:
    """A replicate or control, and its place in the study."""

    study: Folder
    point: Point
    seed: int
    role: str

    @cached_property
    def replicate(self) -> str:
        """Name of the replicate that it is, or stands beside; one that went further will do."""
        before, after = f"{self.point.trial_id}-round-", f"{REPLICATE}{self.seed}"
        further = {
            int(reached): name
            for name in self.study.folders(TRIALS_DIR)
            if name.startswith(before) and name.endswith(after)
            if (reached := name.removeprefix(before).removesuffix(after)).isdecimal()
            if int(reached) >= self.point.round
        }
        well = [n for _, n in sorted(further.items()) if _is_judged(self.study, TRIALS_DIR, n)]
        return well[0] if well else f"{before}{self.point.round}{after}"

    @property
    def name(self) -> str:
        if self.role == "replicate":
            return self.replicate
        own = f"{self.point.trial_id}-round-{self.point.round}{REPLICATE}{self.seed}"
        return f"{own}-{self.role}"

    @property
    def directory(self) -> str:
        return TRIALS_DIR if self.role == "replicate" else CONTROLS_DIR

    @property
    def folder(self) -> Folder:
        return self.study.child(self.directory, self.name)

    @property
    def is_done(self) -> bool:
        """Whether it ended well, or cannot be run; one that failed is run again."""
        if not self.folder.exists(ORIGIN_FILE):
            return False
        origin = needed(self.study, Origin, self.directory, self.name, ORIGIN_FILE)
        return origin.left_out is not None or _is_judged(self.study, self.directory, self.name)

    def begin(self, left_out: str | None = None) -> None:
        """Write what it is, or why it is not run."""
        origin = Origin.model_validate(
            {
                "of": self.point.trial_id,
                "round": self.point.round,
                "role": self.role,
                "replicate": self.replicate,
                "left_out": left_out,
            }
        )
        self.folder.write(origin.model_dump_json(indent=2), ORIGIN_FILE)


def _lost(run: _Run, why: str) -> list[tuple[str, bool]]:
    """Record that a replicate's worker was killed each time that it was tried.

    One whose replicate ended well was lost in its controls, which have no outcome then; one that
    was never begun has no folder to keep an outcome in.
    """
    if run.is_done:
        return []
    if not run.folder.exists(PLAN_FILE):
        return [(run.name, False)]
    lines = run.folder.read(ROUNDS_FILE).splitlines() if run.folder.exists(ROUNDS_FILE) else []
    now = utc_now()
    outcome = TrialOutcome(
        trial_id=run.name,
        status="errored",
        stop_reason="error",
        error=why,
        rounds_planned=run.point.round,
        rounds_finished=max(len(lines) - 1, 0),
        started_at=now,
        finished_at=now,
    )
    run.folder.write(why, ERROR_FILE)
    run.folder.write(outcome.model_dump_json(indent=2), OUTCOME_FILE)
    return [(run.name, False)]


def _is_judged(study: Folder, *place: str) -> bool:
    """Whether a run ended well, and is judged: those of older versions are not."""
    if not all(study.exists(*place, file) for file in (OUTCOME_FILE, CONFIRMATION_FILE)):
        return False
    outcome = needed(study, TrialOutcome, *place, OUTCOME_FILE)
    return outcome.status != "errored"


def _run_seed(location: str, point: Point, seed: int, controls: bool) -> list[tuple[str, bool]]:
    """On a worker: the replicate of a seed, then its controls; each with whether it ended well."""
    seeds = _Seed(Folder(location), point, seed)
    seeds.run_replicate()
    if controls and seeds.of("replicate").is_done:
        seeds.run_controls()
    return seeds.ended


@dataclass
class _Seed:
    study: Folder
    point: Point
    seed: int
    ended: list[tuple[str, bool]] = field(default_factory=list)

    def of(self, role: str) -> _Run:
        return _Run(self.study, self.point, self.seed, role)

    @cached_property
    def _task(self) -> Task:
        return task_on_worker(self.point.config, self.point.task_arguments)

    @cached_property
    def _plan(self) -> PruningPlan:
        pinned = dict.fromkeys(("init_seed", "data_seed", "mask_seed"))
        return self.point.plan.model_copy(update={"seed": self.seed, **pinned})

    def _dense_run(self, plan: PruningPlan) -> Trajectory:
        rewind = [] if plan.rewind_epoch is None else [plan.rewind_epoch]
        name = trajectory_name(self.point.key, plan.seeds)
        shared = shared_runs(self.point.config)
        return ensure_trajectory(self.study, name, self._task, plan.seeds, rewind, shared)

    def run_replicate(self) -> None:
        """The plan itself, up to the round that is looked at."""
        timing = Timing.of(self.point.config.latency.settings)
        plan, last = self._plan, self.point.round
        self._run("replicate", plan, last, lambda: self._dense_run(plan), timing)

    def run_controls(self) -> None:
        """Whatever of the controls is missing; one that fails keeps none of the others back."""
        network = self._network()
        why = why_left_out(self._plan, network, self._task)
        if network is None or why is not None:
            for role in CONTROLS:
                if role != "dense":
                    self.of(role).begin(left_out=why)
        else:
            for role, plan in untrained(self._plan, network, self._task).items():
                self._run(role, plan, plan.rounds, partial(self._start_of, role, plan))
        longer = unpruned(self._plan)
        self._run("dense", longer, self.point.round, lambda: self._dense_run(longer))

    def _network(self) -> RoundRecord | None:
        """What the replicate came to; None where it diverged."""
        problems = Problems()
        place = (TRIALS_DIR, self.of("replicate").name)
        records = read_lines(self.study, RoundRecord, problems, *place, ROUNDS_FILE)
        refuse(self.study, problems)
        found = next((each for each in records if each.round == self.point.round), None)
        return found if found is not None and is_finite(found.metrics) else None

    def _start_of(self, role: str, plan: PruningPlan) -> Progress:
        place = (TRIALS_DIR, self.of("replicate").name, round_state_file(self.point.round))
        with refused(self.study, *place):
            state = read_tensors(self.study, *place)
        return start_of(role, plan, self._task, self._dense_run(plan), state)

    def _writer(self, run: _Run) -> JudgingWriter:
        config = self.point.config
        quality = quality_of(self._task.metrics, config.objectives)
        is_held_back = bool(config.confirm.held_back)
        return JudgingWriter(self.study, run.name, self._task, quality, is_held_back, run.directory)

    def _run(
        self,
        role: str,
        plan: PruningPlan,
        last: int,
        start: Callable[[], Trajectory | Progress],
        timing: Timing | None = None,
    ) -> None:
        """Run a plan up to its round ``last``, unless that was done before."""
        run, started_at = self.of(role), utc_now()
        if run.is_done:
            return
        run.begin()
        writer = self._writer(run)
        is_over = writer.is_over(plan)
        kept = None if is_over else writer.begin(plan)
        finished = max((record.round for record in writer.finished), default=-1)
        failed = None
        try:
            if finished < last and not is_over:
                records = run_pipeline(plan, self._task, kept or start(), writer, timing)
                for record in _up_to(last, records):
                    finished = record.round
        except Exception:
            failed = format_exc()
            writer.failed(failed)
        writer.end()
        outcome = TrialOutcome(
            trial_id=run.name,
            status="completed" if failed is None else "errored",
            stop_reason=None if failed is None else "error",
            error=None if failed is None else what_was_raised(failed),
            traceback=failed,
            rounds_planned=last,
            rounds_finished=max(finished, 0),
            started_at=started_at,
            finished_at=utc_now(),
        )
        run.folder.write(outcome.model_dump_json(indent=2), OUTCOME_FILE)
        self.ended.append((run.name, failed is None))


def _up_to(last: int, records: Iterator[RoundRecord]) -> Iterator[RoundRecord]:
    for record in records:
        yield record
        if record.round >= last:
            return
