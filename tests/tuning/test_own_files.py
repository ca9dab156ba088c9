"""A user's task reads files of its own, by paths from the folder that he stands in.

That folder has modules of the names of installed ones in it: they are neither run nor in the way.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file
from torch import nn

MODULE = """
import numpy as np
from torch import nn
from study.tasks import make_task

def model():
    return nn.Linear(2, 2)

def task():
    data = np.load("data.npy")
    split = data[:, :2], data[:, 2].astype(int)
    return make_task(model, split, 0.2, epochs=0, batch_size=20, weights="dense.safetensors")
"""
STUDY = """
study = {name = "mine", num_samples = 1}
task = {object = "reading:task"}
space = {rounds = 1, retrain = "finetune", retrain_epochs = 1}
"""


@pytest.mark.slow
def test_own_files_are_found_on_workers_and_shadow_nothing_installed(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    points = draw.normal(size=(100, 2))
    np.save(tmp_path / "data.npy", np.c_[points, points[:, 0] > 0])
    save_file(nn.Linear(2, 2).state_dict(), tmp_path / "dense.safetensors")
    for name in ("pandas", "analysis", "study", "torch"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('not this one')")
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "reading.py").write_text(MODULE)
    (tmp_path / "tasks" / "mine.toml").write_text(STUDY)
    own = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    own["RAY_ADDRESS"] = "local"  # a Ray of its own: workers stand where it was begun
    answer = subprocess.run(
        [sys.executable, "-P", "-m", "study.cli", "run", "tasks/mine.toml", "--no-report"],
        cwd=tmp_path, env=own, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert (tmp_path / "studies" / "mine" / "trials" / "0000" / "rounds.jsonl").exists()
