"""Dense runs that begin at a checkpoint are told apart by what is in it."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from study.pruning.plan import PruningPlan
from study.pruning.training.fingerprint import fingerprint
from study.tasks import Task
from study.tuning.identity.keys import task_key
from tests.pruning.tiny import Tiny, tiny_task

SEEDS = PruningPlan(sparsity=0.5).seeds


def at(path: Path, seed: int) -> Task:
    torch.manual_seed(seed)
    save_file(Tiny().state_dict(), path)
    return tiny_task(weights=str(path), epochs=0)


def test_other_weights_under_the_same_name_are_another_dense_run(tmp_path: Path) -> None:
    first, second = at(tmp_path / "a.safetensors", 0), at(tmp_path / "b.safetensors", 1)
    first_key, first_print = task_key({}, first), fingerprint(first, SEEDS)
    assert first_key != task_key({}, second)
    replaced = at(tmp_path / "a.safetensors", 1)
    assert first_key != task_key({}, replaced)
    assert first_print.differences(fingerprint(replaced, SEEDS)) == ["recipe"]


def test_the_same_weights_elsewhere_are_the_same_dense_run(tmp_path: Path) -> None:
    first, second = at(tmp_path / "a.safetensors", 0), at(tmp_path / "b.safetensors", 0)
    assert task_key({}, first) == task_key({}, second)
    assert fingerprint(first, SEEDS) == fingerprint(second, SEEDS)
