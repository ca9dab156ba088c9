from pathlib import Path

import pytest
import torch
from torch import nn

import study
from study.pruning import PruningPlan
from study.records import RoundRecord
from study.storage import Folder
from study.tasks import Task, make_task
from study.tuning.shared_runs import SharedRuns
from study.tuning.trajectories import ensure_trajectory, task_fingerprint
from tests.conftest import SMALL
from tests.pruning.tiny import images, tiny_task

SEEDS = PruningPlan(sparsity=0.5).seeds


def task(activation: type[nn.Module] = nn.ReLU, width: int = 8, data_seed: int = 0) -> Task:
    def model() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(36, width), activation(), nn.Linear(width, 3))

    return make_task(model, images(40, data_seed), images(20, 1), epochs=1, batch_size=16)


def test_the_fingerprint_is_that_of_data_model_and_seed() -> None:
    same = {task_fingerprint(task(), 0) for _ in range(2)}
    assert len(same) == 1
    others = [
        task_fingerprint(task(activation=nn.Tanh), 0),
        task_fingerprint(task(width=9), 0),
        task_fingerprint(task(data_seed=5), 0),
        task_fingerprint(task(), 1),
    ]
    assert len({*same, *others}) == 5


def test_a_second_study_finds_what_the_first_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = SharedRuns(Folder(str(tmp_path / ".trajectories")), 10**9)
    tiny = tiny_task()
    first = ensure_trajectory(Folder(str(tmp_path / "a")), "x", tiny, SEEDS, [0.0], shared)
    monkeypatch.setattr("study.pruning.trajectory.train", None)  # nothing may be trained again
    second = ensure_trajectory(Folder(str(tmp_path / "b")), "x", tiny, SEEDS, [0.0], shared)
    assert set(first.states) == set(second.states)
    for step, state in first.states.items():
        for name, value in state.model.items():
            assert torch.equal(value, second.states[step].model[name])


@pytest.mark.slow
def test_results_are_the_same_when_nothing_is_shared(ray_cluster: None, tmp_path: Path) -> None:
    found = []
    for share in (True, False):
        config = {
            **SMALL,
            "study": {"name": f"share-{share}".lower(), "num_samples": 3},
            "search": {"sampler": "random", "warm_start": [], "early_stopping": "none"},
            "resources": {"share_trajectories": share},
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
    assert len(found[0]) == 3
