import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import environment

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.slow
def test_ones_own_task_runs_as_its_first_lines_say(ray_cluster: None, tmp_path: Path) -> None:
    answer = subprocess.run(
        [
            sys.executable, "-m", "study.cli", "run", "--set", 'task={object = "own_task:task"}',
            "--name", "two-moons", "--num-samples", "3", "--storage-path", str(tmp_path),
        ],
        cwd=EXAMPLES, env=environment(), capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert Path(answer.stdout.strip()).read_text().startswith("<!doctype html>")
