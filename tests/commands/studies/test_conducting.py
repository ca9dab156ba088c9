"""What the terminal and the report say first where a study has nothing to recommend."""

from pathlib import Path

import pytest
import torch
from torch import nn

from study.tasks import Task, make_task
from tests.conftest import call

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_cluster")]

STUDY = """
study = {{name = "mine", num_samples = 1}}
task = {{object = "{object}"}}
space = {{rounds = 1, retrain = "finetune", retrain_epochs = 1}}
report = {{test = false}}
confirm = {{share = 0}}
search = {{textbook = false, constraints = {constraints}}}
resources = {{max_concurrent = 1}}
"""


def steady_task() -> Task:
    """Two points of a line, whose classes are drawn: nobody is always right."""
    drawn = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(60, 4, generator=drawn), torch.randint(2, (60,), generator=drawn)
    return make_task(
        lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)),
        (inputs, targets), 0.3, epochs=1, batch_size=8,
    )  # fmt: skip


def exploding_task() -> Task:
    """Its first steps are finite, as a rehearsal finds, and its dense run is not."""
    drawn = torch.Generator().manual_seed(0)
    return make_task(
        lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)),
        (torch.randn(60, 4, generator=drawn), torch.arange(60) % 2), 0.3,
        epochs=2, batch_size=8, lr=1e25, lr_schedule="constant",
    )  # fmt: skip


def first_of_report(folder: Path) -> str:
    text = call("report", str(folder), "--format", "md").stdout
    return text.split("## How far does it prune?")[1].strip().splitlines()[0].replace("\\", "")


def test_a_dense_run_that_diverges_is_exit_code_3_and_nothing_is_recommended(
    tmp_path: Path,
) -> None:
    (tmp_path / "s.toml").write_text(
        STUDY.format(object=f"{__name__}:exploding_task", constraints="[]")
    )
    answer = call("run", "s.toml", "--quiet", cwd=tmp_path)
    assert answer.exit_code == 3, answer.output
    assert "the dense run diverged" in answer.stderr
    assert "none is recommended" in answer.stderr
    assert "none is recommended" in first_of_report(tmp_path / "studies" / "mine")


def test_where_no_network_meets_the_constraints_the_terminal_and_the_report_say_so(
    tmp_path: Path,
) -> None:
    (tmp_path / "s.toml").write_text(
        STUDY.format(object=f"{__name__}:steady_task", constraints='["accuracy >= 1"]')
    )
    answer = call("run", "s.toml", "--quiet", cwd=tmp_path)
    assert answer.exit_code == 0, answer.output
    assert "No network meets accuracy >= 1, so none is recommended." in answer.stderr
    assert first_of_report(tmp_path / "studies" / "mine") == (
        "No network meets accuracy >= 1, so none is recommended."
    )
