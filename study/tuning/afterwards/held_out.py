"""The test split, read once for the networks that a report names."""

from __future__ import annotations

from collections.abc import Iterable

from study.configuration.loading import StudyConfig
from study.errors import UsageError
from study.exporting.networks import read_plan, stored_network
from study.files.documents import read_lines
from study.files.problems import Problems
from study.objectives import quality_of
from study.pruning.states.dense_runs import stored_trajectory, trajectory_name
from study.pruning.training.fingerprint import fingerprint
from study.pruning.training.train_state import load_model
from study.pruning.training.trajectory import build_model, dense_steps, refuse_another
from study.records import TEST_FILE, HeldOutRecord
from study.storage import Folder
from study.tasks.judging.confirming import resample
from study.tasks.loading import load_task
from study.tuning.afterwards.points import task_record


def read_test(
    study: Folder, config: StudyConfig, networks: Iterable[tuple[str, int]]
) -> list[HeldOutRecord]:
    """Evaluate networks on the test split, and keep what it says.

    A network whose test figures are on record is not evaluated again. Nothing here feeds back
    into a search: the networks were chosen before.

    Parameters
    ----------
    study
        Folder of a study.
    config
        Its configuration.
    networks
        Trial and round of each; round 0 is the dense network that the trial began with.

    Returns
    -------
    list of HeldOutRecord
        Of these networks.

    Raises
    ------
    UsageError
        If the task has no test split, or is no more what it was.
    """
    task = load_task(**config.task_arguments())
    key, split = task_record(study).key, task.data.load_test()
    known = {(record.trial_id, record.round): record for record in _on_record(study)}
    found = []
    for trial_id, round_ in networks:
        record = known.get((trial_id, round_))
        if record is None:
            plan = read_plan(study, trial_id)
            if round_ == 0:
                dense = stored_trajectory(study, trajectory_name(key, plan.seeds))
                if dense is None:
                    raise UsageError(
                        f"trajectories: the dense run of trial {trial_id} is gone from the study; "
                        "it cannot be evaluated on the test split."
                    )
                refuse_another(dense.origin, fingerprint(task, plan.seeds))
                model = build_model(task, plan.seeds.init)
                load_model(model, dense.states[dense_steps(task)])
            else:
                model = stored_network(study, task, plan, trial_id, round_)
            quality = quality_of(task.metrics, config.objectives)
            test = resample(model, split, task, quality, task.data.test_groups)
            record = HeldOutRecord(
                trial_id=trial_id,
                round=round_,
                **test.columns("test"),
                examples=len(split),
                without=test.without,
                part_examples=test.part_examples,
                part_groups=test.part_groups,
            )
            study.append_line(record.to_json(), TEST_FILE)
            known[trial_id, round_] = record
        found.append(record)
    return found


def _on_record(study: Folder) -> list[HeldOutRecord]:
    problems = Problems()
    found = read_lines(study, HeldOutRecord, problems, TEST_FILE)
    problems.warn(study.name, stacklevel=4)
    return found
