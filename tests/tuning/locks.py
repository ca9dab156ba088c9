"""Locks as dead processes leave them."""

import os
import subprocess
import sys
from pathlib import Path


def lock_of_a_dead_process(lock: Path) -> None:
    """Leave the lock of a process that was killed while it held it."""
    program = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from study.tuning.dense_runs.lock_files import held\n"
        f"with held(Path({str(lock)!r})):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = str(Path(__file__).parents[2])
    subprocess.run(
        [sys.executable, "-c", program], check=False, env={**os.environ, "PYTHONPATH": root}
    )
    assert lock.exists()
