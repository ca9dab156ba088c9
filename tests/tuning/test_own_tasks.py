"""Tasks that no worker can import, and tasks that are not what they seem."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import study
from study.tasks import Task, make_task
from tests.conftest import SMALL, call, environment

SPACE = {"rounds": 1, "retrain": "finetune", "retrain_epochs": 1}

CELL = """
import study, torch
from torch import nn
from study.tasks import make_task

WIDTH = 16

def model():
    return nn.Sequential(nn.Linear(4, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 2))

def task():
    x = torch.randn(120, 4, generator=torch.Generator().manual_seed(0))
    return make_task(model, (x, (x[:, 0] > 0).long()), 0.25, epochs=1, batch_size=32)

if __name__ == "__main__":
    tables = {"task": {"object": task}, "study": {"name": "cell", "num_samples": 1}, "space": SPACE}
    tables |= {"search": {"textbook": False}, "resources": {"max_concurrent": 1}}
    print(study.run(tables, storage_path="."))
"""


@pytest.mark.slow
def test_a_task_that_a_notebook_defines_can_be_studied_and_says_how_to_be_kept(
    ray_cluster: None, tmp_path: Path
) -> None:
    script = tmp_path / "cell.py"
    script.write_text(textwrap.dedent(CELL).replace("SPACE", repr(SPACE)))
    ran = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment(), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    records = (tmp_path / "cell" / "trials" / "0000" / "rounds.jsonl").read_text().splitlines()
    assert [json.loads(line)["round"] for line in records] == [0, 1]
    asked = ("replicate", "cell", "--trial", "0000", "--seeds", "1", "--trust-code")
    again = call(*asked, cwd=tmp_path)
    assert again.exit_code == 2
    assert "my_task:task" in again.stderr


def pair(n: int = 120, seed: int = 0) -> tuple[Tensor, Tensor]:
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(seed))
    return x, (x[:, 0] > 0).long()


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))


def unseeded() -> Task:
    x = torch.randn(120, 4)
    return make_task(model, (x, (x[:, 0] > 0).long()), 0.25, epochs=1, batch_size=32)


def failing_transform() -> Task:
    def transform(inputs: Tensor) -> Tensor:
        raise OSError("the lookup table is gone")

    return make_task(model, pair(), 0.25, transform=transform, epochs=1)


def missing_value() -> Task:
    x, y = pair()
    x[7, 2] = float("nan")
    return make_task(model, (x, y), pair(40, 1), epochs=1)


def one_left_over() -> Task:
    def normed() -> nn.Module:
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))

    return make_task(normed, pair(65), pair(40, 1), epochs=1, batch_size=32)


def broadcast() -> Task:
    x, _ = pair()
    return make_task(
        lambda: nn.Linear(4, 1), (x, x[:, 0]), 0.25, loss=nn.functional.mse_loss, epochs=1
    )


def many_losses() -> Task:
    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs, targets, reduction="none")

    return make_task(model, pair(), 0.25, loss=loss, epochs=1)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (unseeded, "loaded again on a worker, it differs in its data"),
        (
            failing_transform,
            "transform on inputs .* raised OSError, in line .*: the lookup table is gone",
        ),
        (missing_value, "1 training examples hold NaN"),
        (one_left_over, "drop_last"),
        (broadcast, r"loss of outputs float32 \(1,\)"),
        (many_losses, "must be one number"),
    ],
)
def test_what_is_wrong_with_a_task_is_said_before_anything_is_written(
    task: Any, message: str, ray_cluster: None, tmp_path: Path
) -> None:
    tables = {"task": {"object": task}, "study": {"num_samples": 1}, "space": SPACE}
    with pytest.raises(study.UsageError, match=message):
        study.run(tables, storage_path=tmp_path)
    assert list(tmp_path.iterdir()) == []


def in_half_precision() -> Task:
    return make_task(model, pair(), 0.25, epochs=2, batch_size=32, amp=True)


def test_training_in_bfloat16_works_on_a_processor(ray_cluster: None, tmp_path: Path) -> None:
    tables = {"task": {"object": in_half_precision}, "study": {"num_samples": 1}, "space": SPACE}
    tables |= {"search": {"textbook": False}, "resources": SMALL["resources"]}
    folder = Path(study.run(tables, storage_path=tmp_path))
    last = json.loads((folder / "trials" / "0000" / "rounds.jsonl").read_text().splitlines()[-1])
    assert 0.5 < last["val_accuracy"] <= 1
