"""The batch script: checked by shellcheck, and run here, with stand-ins for Slurm's commands."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from study.clusters.launch import plan_launch
from study.clusters.slurm import SlurmJob, batch_script
from study.errors import UsageError
from tests.clusters.processes import alone, listens, wait_until

SRUN = """#!/usr/bin/env bash
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""

SCONTROL = """#!/usr/bin/env bash
if [[ $1 == show ]]; then printf 'node%s\\n' $(seq "$SLURM_JOB_NUM_NODES"); else
echo "$@" >> "$SLURM_SUBMIT_DIR/scontrol.log"; fi
"""

LISTENING = f"""#!/usr/bin/env bash
for word in "$@"; do
    [[ $word == --port=* ]] && exec {sys.executable} -m http.server "${{word#*=}}"
done
exec sleep 1000
"""

ADDRESS = """#!/usr/bin/env bash
echo 127.0.0.1
"""

WORDS = """#!/usr/bin/env bash
printf '%s\\0' "$@" > "$SLURM_SUBMIT_DIR/words"
"""

ODD = [
    "with space; touch hacked1", "$(touch hacked2)`touch hacked3`", "' & touch hacked4 & '",
    '" $HOME ${PWD} \\', "😀 ü * ? [a] ~ ! #", "-n", "{{ job }} {% if %}",
]  # fmt: skip

STUDY_UNTIL_TOLD = """#!/usr/bin/env bash
ls -l "$RAY_AUTH_TOKEN_PATH" > "$SLURM_SUBMIT_DIR/token"
trap 'kill $!; exit 143' TERM
sleep 1000 &
echo begun > "$SLURM_SUBMIT_DIR/begun"
wait
"""

SMALL = (
    "study.num_samples=2", "task.epochs=2", "space.rounds=1", "search.textbook=false",
    "sensitivity.scan=false", "confirm.share=0", "report.controls=false", "report.test=false",
    "search.warm_start=[]", "task.model_options.widths=[8]", "space.rewind_epoch=1",
)  # fmt: skip


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a job on two nodes; its number decides the port."""
    (tmp_path / "bin").mkdir()
    play(tmp_path, srun=SRUN, scontrol=SCONTROL)
    number = next(n for n in range(os.getpid() % 5_000, 10_000) if not listens(20_000 + n))
    own = alone(
        SLURM_JOB_ID=str(number),
        SLURM_JOB_NODELIST="node[1-2]",
        SLURM_JOB_NUM_NODES="2",
        SLURM_SUBMIT_DIR=str(tmp_path),
    )
    own["PATH"] = os.pathsep.join([str(tmp_path / "bin"), own["PATH"]])
    yield own
    shutil.rmtree(f"/tmp/ray-{own['SLURM_JOB_ID']}", ignore_errors=True)


def play(folder: Path, **commands: str) -> None:
    for name, text in commands.items():
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(stat.S_IRWXU)


def script(folder: Path, *changes: str, job: SlurmJob | None = None) -> Path:
    plan = plan_launch("digits-mlp", changes, name="s", storage_path=str(folder / "studies"))
    (folder / "s.sbatch").write_text(batch_script(plan, job or SlurmJob(nodes=2, cpus=1)))
    return folder / "s.sbatch"


def _notes(script: Path) -> list[str]:
    """What shellcheck finds, but for one note on what is meant."""
    found = subprocess.run(
        [Path(sys.executable).parent / "shellcheck", "--enable=check-set-e-suppressed", script],
        capture_output=True, text=True,
    )  # fmt: skip
    assert found.returncode in (0, 1)
    return [line for line in found.stdout.splitlines() if "SC" in line and "SC2310" not in line]


@pytest.mark.parametrize(
    "job",
    [
        SlurmJob(),
        SlurmJob(4, 32, 8, "1-00:00:00", ("--partition=gpu",), ("module load ray", "cd /tmp")),
    ],
)
def test_shellcheck_finds_nothing(tmp_path: Path, job: SlurmJob) -> None:
    assert _notes(script(tmp_path, "task.lr=0.1", 'task.optimizer="sgd"', job=job)) == []


def test_options_come_before_the_first_command_and_setup_before_ray(tmp_path: Path) -> None:
    job = SlurmJob(2, 4, 1, "2:00:00", ("--partition=gpu", "--qos=low"), ("module load ray",))
    lines = script(tmp_path, job=job).read_text().splitlines()
    options = [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH")]
    assert {"--requeue", "--signal=B:USR1@120", "--partition=gpu", "--qos=low"} <= {*options}
    assert {"--nodes=2", "--cpus-per-task=4", "--gpus-per-node=1", "--time=2:00:00"} <= {*options}
    first = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
    last_option = max(i for i, line in enumerate(lines) if line.startswith("#SBATCH"))
    assert last_option < first < lines.index("module load ray") < lines.index("stop_ray() {")


@pytest.mark.parametrize("odd", ODD)
def test_names_and_values_come_to_the_command_as_they_are(
    tmp_path: Path, slurm: dict[str, str], odd: str
) -> None:
    """The whole script is run, in a folder in which whatever is substituted would leave a file."""
    folder = tmp_path / odd
    folder.mkdir()
    (folder / "s.toml").write_text('task = {dataset = "digits", model = "mlp"}')
    change = f"task.data_dir={json.dumps(odd, ensure_ascii=False)}"
    plan = plan_launch(str(folder / "s.toml"), [change], name="s", storage_path=str(folder / "st"))
    (tmp_path / "s.sbatch").write_text(batch_script(plan, SlurmJob(nodes=2, cpus=1)))
    assert _notes(tmp_path / "s.sbatch") == []
    play(tmp_path, ray=LISTENING, python=ADDRESS, **{"prune-study": WORDS})
    for command in (["bash", "-n", "s.sbatch"], ["bash", "s.sbatch"]):
        ended = subprocess.run(command, env=slurm, cwd=tmp_path, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
    words = (tmp_path / "words").read_text().split("\0")
    assert words[:-1] == plan.command(None, "--wait-for-nodes", "2")[1:]
    assert not [*tmp_path.rglob("hacked*")]


def test_a_line_s_end_in_a_path_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a\ntouch hacked"
    folder.mkdir()
    (folder / "s.toml").write_text('task = {dataset = "digits", model = "mlp"}')
    for study, place in ((folder / "s.toml", tmp_path), ("digits-mlp", folder)):
        with pytest.raises(UsageError, match="control character"):
            plan_launch(str(study), storage_path=str(place))


def test_a_real_study_runs_on_two_real_ray_nodes_that_ask_for_a_token(
    tmp_path: Path, slurm: dict[str, str]
) -> None:
    log = tmp_path / "log"
    with log.open("w") as output:
        ended = subprocess.run(
            ["bash", script(tmp_path, *SMALL)], env=slurm, cwd=tmp_path, stdout=output,
            stderr=output, timeout=400,
        )  # fmt: skip
    said = log.read_text()
    assert ended.returncode == 0, said
    assert "nodes are up after" not in said  # both were, in time
    rounds = [*(tmp_path / "studies" / "s").glob("trials/*/rounds.jsonl")]
    assert [len(path.read_text().splitlines()) for path in rounds] == [2, 2]
    assert not [*tmp_path.glob(".ray-token*")]
    assert not (tmp_path / "scontrol.log").exists()


@pytest.mark.parametrize(("number", "requeued"), [(signal.SIGUSR1, True), (signal.SIGTERM, False)])
def test_before_the_time_limit_it_stops_and_is_queued_again_but_not_when_cancelled(
    tmp_path: Path, slurm: dict[str, str], number: signal.Signals, requeued: bool
) -> None:
    play(tmp_path, ray=LISTENING, python=ADDRESS, **{"prune-study": STUDY_UNTIL_TOLD})
    process = subprocess.Popen(
        ["bash", script(tmp_path)], env=slurm, cwd=tmp_path, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until((tmp_path / "begun").exists)
        process.send_signal(number)
        assert process.wait(30) == 143
    finally:
        process.kill()
    log = tmp_path / "scontrol.log"
    asked = log.read_text() if log.exists() else ""
    assert asked == (f"requeue {slurm['SLURM_JOB_ID']}\n" if requeued else "")
    assert (tmp_path / "token").read_text().startswith("-rw------- ")
    assert not [*tmp_path.glob(".ray-token*")]
