from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import study
from study.errors import UsageError
from study.pruning import PruningPlan, train_dense
from study.pruning.states.dense_runs import stored_trajectory
from study.pruning.training.steps import Segment, train
from study.pruning.training.trajectory import Trajectory
from study.records import RoundRecord
from study.storage import Folder
from study.tasks import Task, make_task
from study.tuning.dense_runs.shared_runs import SharedRuns
from study.tuning.dense_runs.trajectories import ensure_trajectory, environment_hash
from tests.conftest import SMALL
from tests.pruning.tiny import images, tiny_task

SEEDS = PruningPlan(sparsity=0.5).seeds


def test_the_number_of_threads_has_a_say_in_what_is_shared() -> None:
    before = torch.get_num_threads()
    try:
        environments = set()
        for threads in (1, 2):
            torch.set_num_threads(threads)
            environments.add(environment_hash(tiny_task()))
    finally:
        torch.set_num_threads(before)
    assert len(environments) == 2


def test_a_dense_run_of_another_task_is_refused(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path / "a"))
    ensure_trajectory(folder, "x", tiny_task(), SEEDS, [])
    other = make_task(tiny_task().build_model, images(40, 7), images(20, 1), epochs=4)
    with pytest.raises(UsageError, match="another"):
        ensure_trajectory(folder, "x", other, SEEDS, [])


def same(first: Trajectory, second: Trajectory) -> bool:
    return first.states.keys() == second.states.keys() and all(
        torch.equal(value, second.states[step].model[name])
        for step, state in first.states.items()
        for name, value in state.model.items()
    )


def test_a_second_study_finds_what_the_first_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = SharedRuns(Folder(str(tmp_path / ".trajectories")), 10**9)
    tiny = tiny_task()
    first = ensure_trajectory(Folder(str(tmp_path / "a")), "x", tiny, SEEDS, [0.0], shared)
    monkeypatch.setattr(
        "study.pruning.training.trajectory.train", None
    )  # nothing may be trained again
    second = ensure_trajectory(Folder(str(tmp_path / "b")), "x", tiny, SEEDS, [0.0], shared)
    assert same(first, second)


def test_a_study_that_needs_fewer_states_takes_none_from_the_others(tmp_path: Path) -> None:
    shared = SharedRuns(Folder(str(tmp_path / ".trajectories")), 10**9)
    first, second, third = (Folder(str(tmp_path / name)) for name in "abc")
    tiny = tiny_task()
    ensure_trajectory(first, "x", tiny, SEEDS, [0.5], shared)
    ensure_trajectory(first, "x", tiny, SEEDS, [], shared)
    ensure_trajectory(second, "x", tiny, SEEDS, [1], shared)
    ensure_trajectory(third, "x", tiny, SEEDS, [], shared)
    for folder, steps in ((first, [0, 2, 16]), (second, [0, 2, 4, 16]), (third, [0, 2, 4, 16])):
        kept = stored_trajectory(folder, "x")
        assert kept is not None
        assert sorted(kept.states) == steps
        assert same(kept.only(steps), train_dense(tiny, SEEDS, [0.5, 1]).only(steps))


def test_who_takes_over_from_the_dead_goes_on_where_they_stood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.tuning.dense_runs.trajectories.CHECKPOINT_INTERVAL_S", 0.0)
    shared = SharedRuns(Folder(str(tmp_path / ".trajectories")), 10**9)
    tiny, taken = tiny_task(), []

    def dies_at_the_third(model: nn.Module, optimizer: object, *rest: Any, **more: Any) -> float:
        told = more.pop("after_epoch")

        def after_epoch(steps: int) -> None:
            told(steps)
            if steps == 12:
                raise KeyboardInterrupt

        return train(model, optimizer, *rest, **more, after_epoch=after_epoch)  # type: ignore[arg-type]

    def noted(
        model: nn.Module, optimizer: Any, task: Task, segment: Segment, *rest: Any, **more: Any
    ) -> float:
        taken.append(segment.steps)
        return train(model, optimizer, task, segment, *rest, **more)

    monkeypatch.setattr("study.pruning.training.trajectory.train", dies_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        ensure_trajectory(Folder(str(tmp_path / "a")), "x", tiny, SEEDS, [], shared)
    monkeypatch.setattr("study.pruning.training.trajectory.train", noted)
    found = ensure_trajectory(Folder(str(tmp_path / "b")), "x", tiny, SEEDS, [], shared)
    assert taken == [4]
    monkeypatch.undo()
    assert same(found, train_dense(tiny, SEEDS))


@pytest.mark.slow
def test_results_are_the_same_when_nothing_is_shared(ray_cluster: None, tmp_path: Path) -> None:
    found = []
    for share in (True, False):
        config = {
            **SMALL,
            "study": {"name": f"share-{share}".lower(), "num_samples": 2},
            "search": {"sampler": "random", "warm_start": [], "early_stopping": "none"},
            "resources": {**SMALL["resources"], "share_trajectories": share},
        }
        folder = Path(study.run(config, storage_path=tmp_path))
        found.append(
            {
                path.parent.name: [
                    RoundRecord.model_validate_json(line).model_dump_json(
                        exclude={"wall_s", "finished_at"}
                    )
                    for line in path.read_text().splitlines()
                ]
                for path in sorted(folder.glob("trials/*/rounds.jsonl"))
            }
        )
    assert found[0] == found[1]
    assert len(found[0]) == 2
