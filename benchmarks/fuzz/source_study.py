"""A real finished study, small, with everything in it that a study may have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

STUDY = """
[study]
name = "source"
num_samples = 3
[task]
dataset = "digits"
model = "mlp"
model_options = {widths = [16]}
epochs = 2
batch_size = 64
[space]
rounds = [1, 2]
retrain_epochs = [1, 1]
[sensitivity]
scan = true
seeds = 1
levels = [0.5, 0.9]
[confirm]
share = 0.4
[report]
controls = true
control_seeds = 1
controlled_networks = 1
[resources]
max_concurrent = 1
"""

MOST_ROUNDS_KEPT = 3


def source_study(cache: Path = Path("build/fuzz")) -> Path:
    """Folder of the study; it is run once, in about a minute, and kept."""
    made = cache.absolute() / "source"
    if not (made / "report.html").exists():
        cache.mkdir(parents=True, exist_ok=True)
        file = cache / "source.toml"
        file.write_text(STUDY)
        command = [sys.executable, "-m", "study.cli", "run", str(file), "--quiet",
                   "--storage-path", str(made.parent)]  # fmt: skip
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": os.getcwd()})  # noqa: PTH109
        scan = [sys.executable, "-m", "study.cli", "sensitivity", str(made), "--trial", "0000"]
        subprocess.run(scan, check=True, stdout=subprocess.DEVNULL)
    return made
