"""The command line, as a user calls it."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import tomli_w

from study.configuration.loading import load_config, to_toml
from study.records import CONTROLS
from tests.conftest import SMALL, call, environment

pytestmark = pytest.mark.usefixtures("ray_cluster")

COMMAND = [sys.executable, "-m", "study.cli"]


def call_alone(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """As a terminal does: in a process of its own."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, cwd=cwd, env=environment(),
        check=False, timeout=300,
    )  # fmt: skip


def study_file(folder: Path) -> Path:
    file = folder / "mine.toml"
    file.write_text(to_toml(load_config(SMALL)))
    return file


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "digits-mpl"], "Did you mean 'digits-mlp'"),
        (["run", "nowhere.toml"], "there is no file"),
        (["run", "--set", "task.epoch=3"], "Did you mean 'epochs'"),
        (["run", "--num-samples", "0"], "greater than or equal to 1"),
        (["run", "--num-samples", "x"], "not a valid integer"),
        (["run", "--name", "../x"], "study.name"),
        (["run", "--time-budget", "soon"], "is no time"),
        (["run", "--set", "space.rewind_epoch=99"], "past the end of the dense run"),
        (["run", "--set", "task.dataset=cifar10"], "needs the folder"),
        (["run", "--set", "task.data_dir=/nowhere"], "no folder /nowhere"),
        (["run", "--set", "space.exclude=['*']"], "nothing to prune"),
        (["run", "--set", "space.include=['fc9']"], "Did you mean 'fc"),
        (["run", "--set", "space.layer_floor=0.5"], "end the bounds at 0.5"),
        (["run", "--name", "n" * 300], "at most 100 characters"),
        (["run", "--storage-path", "/dev/null"], "must be a folder"),
        (["run", "--set", "space.saliency=magnitud"], "Did you mean 'magnitude'"),
        (["run", "--set", "space.schedule=geometri"], "Did you mean 'geometric'"),
        (["runn"], "No such command"),
        (["run", "--nmae", "x"], "No such option"),
        (["run", "--dry-run", "--set", "resources.cpus_per_trial=1000"], "no node of the cluster"),
        (
            ["run", "--set", "task.module_dir='/nonexistent'"],
            "task.module_dir: '/nonexistent' is no",
        ),
        (["status", "nowhere", "s3://k:SECRET@b"], "extra argument (s3://***@b)"),
        (["status", "nowhere"], "holds no study"),
        (["table", "nowhere", "rounds"], "holds no study"),
        (["list", "modles"], "is not one of"),
    ],
)
def test_bad_input_is_one_clear_message_and_exit_code_2(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    answer = call(*arguments, cwd=tmp_path)
    assert answer.exit_code == 2, answer.stderr
    assert message in answer.stderr
    assert "Traceback" not in answer.stderr
    assert answer.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_says_what_would_run_and_writes_nothing(tmp_path: Path) -> None:
    answer = call("run", "--dry-run", "--train-samples-budget", "50000", cwd=tmp_path)
    assert answer.exit_code == 0, answer.stderr
    assert "3 prunable layers, 6,464 weights" in answer.stdout
    assert "at most 115 epochs" in answer.stdout
    assert "begins once the search has taken 50,000 examples" in answer.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_prints_a_study_file_that_runs_the_same(tmp_path: Path) -> None:
    printed = call("run", "--dry-run", "--set", "task.epochs=7", cwd=tmp_path).stdout
    (tmp_path / "copy.toml").write_text(printed)
    assert load_config(tmp_path / "copy.toml").task.epochs == 7


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("presets", "digits-mlp"),
        ("models", "resnet20"),
        ("datasets", "fashion_mnist"),
        ("saliencies", "movement"),
        ("allocations", "lamp"),
        ("allocations", "knapsack"),
        ("saliencies", "obs"),
        ("saliencies", "norm_scale"),
        ("allocations", "isomorphic"),
        ("allocations", "sensitivity"),
        ("structures", "channels+2:4"),
        ("schedules", "cubic"),
        ("tasks", 'model = "vgg16"'),
    ],
)
def test_names_are_listed(tmp_path: Path, what: str, name: str) -> None:
    answer = call("list", what, cwd=tmp_path)
    assert name in answer.stdout.splitlines()


def test_help_config_explains_every_table(tmp_path: Path) -> None:
    answer = call("run", "--help-config", cwd=tmp_path)
    for table in ("study", "task", "space", "objectives", "search", "resources"):
        assert f"[{table}]" in answer.stdout


@pytest.mark.slow
def test_a_study_runs_from_a_file_and_prints_where_its_report_is(tmp_path: Path) -> None:
    file = study_file(tmp_path)
    answer = call_alone("run", str(file), "--num-samples", "2", "--name", "one", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    report = Path(answer.stdout.strip())
    assert report == tmp_path / "studies" / "one" / "report.html"
    assert "<svg" in report.read_text()
    assert "2/2 trials" in answer.stderr
    assert "\x1b" not in answer.stderr

    again = call_alone("run", str(file), "--name", "one", cwd=tmp_path)
    assert again.returncode == 2
    assert "exists already" in again.stderr
    assert "Traceback" not in again.stderr

    state = json.loads(call("status", str(report.parent), "--format", "json").stdout)
    assert state["state"] == "finished"
    assert state["trials"]["completed"] == 2
    assert call("list", "studies", cwd=tmp_path).stdout == "one\n"


@pytest.mark.slow
def test_failed_trials_are_exit_code_3(tmp_path: Path) -> None:
    # Broken at the second cut, which no rehearsal comes to.
    (tmp_path / "mine.py").write_text(
        "def broken(inputs):\n"
        "    if any((w == 0).any() for w in inputs.weights.values()):\n"
        "        raise RuntimeError('broken')\n"
        "    return {layer: w.abs() for layer, w in inputs.weights.items()}\n"
    )
    answer = call_alone(
        "run", str(study_file(tmp_path)), "--num-samples", "1", "--quiet",
        "--set", "space.saliency=mine:broken", "--set", "space.rounds=2",
        "--set", "space.schedule=geometric", cwd=tmp_path,
    )  # fmt: skip
    assert answer.returncode == 3, answer.stderr
    assert "1 of 1 trials failed" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.slow
def test_an_interrupt_stops_cleanly_with_exit_code_130(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "run", str(study_file(tmp_path)), "--num-samples", "10000"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        folder = tmp_path / "studies" / "small"
        deadline = time.monotonic() + 120
        while len(list(folder.glob("trials/*/outcome.json"))) < 4:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    state = json.loads(call("status", str(folder), "--format", "json").stdout)
    assert state["state"] == "interrupted"
    assert state["trials"]["completed"] + state["trials"]["stopped"] >= 4
    assert state["trials"]["running"] == 0
    assert (folder / "report.html").exists()


@pytest.mark.slow
def test_tables_come_in_every_format(small_study: Path, tmp_path: Path) -> None:
    folder = str(small_study)
    assert (
        len(pd.read_csv(io.StringIO(call("table", folder, "trials", "--format", "csv").stdout)))
        == 6
    )
    rows = json.loads(call("table", folder, "pareto", "--format", "json").stdout)
    assert all(0 < row["density"] <= 1 for row in rows)
    target = tmp_path / "rounds.parquet"
    assert call("table", folder, "rounds", "--format", "parquet", "-o", str(target)).exit_code == 0
    assert {"trial_id", "round", "val_accuracy"} <= set(pd.read_parquet(target).columns)
    assert "fc1" in call("table", folder, "layers").stdout


@pytest.mark.slow
def test_a_report_can_be_written_again_and_is_the_same(small_study: Path, tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        answer = call("report", str(small_study), "-o", str(tmp_path / name))
        assert answer.exit_code == 0, answer.stderr
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_nothing_to_report_is_exit_code_4(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(to_toml(load_config(SMALL)))
    answer = call("report", str(tmp_path))
    assert answer.exit_code == 4
    assert "no finished round" in answer.stderr


def test_the_doctor_finds_this_environment_fit(tmp_path: Path) -> None:
    answer = call("doctor", cwd=tmp_path)
    assert answer.exit_code == 0, answer.stdout
    assert "ok    torch" in answer.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_scan_alone_prints_a_table_and_keeps_it(tmp_path: Path) -> None:
    answer = call(
        "sensitivity", str(study_file(tmp_path)), "--format", "json",
        "--set", "sensitivity.levels=[0, 0.5, 0.9]", cwd=tmp_path,
    )  # fmt: skip
    assert answer.exit_code == 0, answer.stderr
    rows = json.loads(answer.stdout)
    assert [(row["layer"], row["sparsity"]) for row in rows[:4]] == [
        ("fc1", 0.0),
        ("fc1", 0.5),
        ("fc1", 0.9),
        ("fc2", 0.0),
    ]
    folder = tmp_path / "studies" / "small-sensitivity"
    assert len(pd.read_parquet(folder / "sensitivity.parquet")) == 9


@pytest.mark.slow
def test_a_space_that_names_no_form_can_be_bounded_by_the_scan(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(tomli_w.dumps(SMALL))
    answer = call(
        "run", str(file), "--num-samples", "2", "--no-report",
        "--set", 'space.per_layer.bounds="sensitivity"', cwd=tmp_path,
    )  # fmt: skip
    assert answer.exit_code == 0, answer.stderr
    folder = Path(answer.stdout.strip())
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    (scanned,) = [e for e in events if e["event"] == "sensitivity_scanned"]
    highest = scanned["detail"]["thresholds"]
    for trial in (folder / "trials").iterdir():
        plan = json.loads((trial / "plan.json").read_text())
        assert all(level <= highest[layer] for layer, level in plan["sparsity"].items())


@pytest.mark.slow
def test_ways_of_pruning_are_compared(small_study: Path) -> None:
    answer = call("compare", str(small_study), "--by", "retrain", "--format", "json")
    assert answer.exit_code == 0, answer.stderr
    assert isinstance(json.loads(answer.stdout), list)
    wrong = call("compare", str(small_study), "--by", "retrian")
    assert wrong.exit_code == 2
    assert "Did you mean 'retrain'" in wrong.stderr


def test_a_report_comes_as_markdown_and_as_json(small_study: Path) -> None:
    text = call("report", str(small_study), "--format", "md").stdout
    assert text.startswith("# small")
    assert json.loads(call("report", str(small_study), "--format", "json").stdout)["headline"]


def test_a_status_is_watched_until_the_study_is_over(small_study: Path) -> None:
    answer = call("status", str(small_study), "--watch")
    assert answer.exit_code == 0
    assert answer.stdout.startswith("small: finished, 6 completed of 6")


def test_an_unknown_table_gets_the_nearest_name(small_study: Path) -> None:
    answer = call("table", str(small_study), "threshold")
    assert answer.exit_code == 2
    assert "Did you mean 'thresholds'" in answer.stderr


def test_output_into_a_folder_that_is_not_there_is_refused(small_study: Path) -> None:
    answer = call("table", str(small_study), "rounds", "-o", "/nowhere/at/all.csv")
    assert answer.exit_code == 2
    assert "there is no folder '/nowhere/at'" in answer.stderr


def test_a_reader_that_has_seen_enough_is_no_error(small_study: Path) -> None:
    command = f"{sys.executable} -m study.cli table {small_study} layers --format json | head -1"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    answer = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True,
        env=environment, check=False,
    )  # fmt: skip
    assert answer.stderr == ""
    assert answer.returncode == 0


def test_what_the_system_refuses_is_a_line_and_no_traceback(
    small_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object) -> None:
        raise OSError("no answer from s3://b/x?endpoint_override=u:HUSH@h&scheme=http")

    monkeypatch.setattr("analysis.load", unreachable)
    answer = call("status", str(small_study))
    assert answer.exit_code == 1
    assert answer.stderr.startswith("prune-study: OSError: no answer from s3://b/x")
    assert "HUSH" not in answer.stderr
    assert "Traceback" not in answer.output


def test_a_damaged_file_is_a_line_on_stderr(small_study: Path, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    shutil.copytree(small_study, folder)
    (folder / "trials" / "0000" / "rounds.jsonl").unlink()
    answer = call_alone("table", str(folder), "trials", "--format", "csv")
    assert answer.returncode == 0
    (line,) = answer.stderr.splitlines()
    assert line.startswith("prune-study: small: trials/0000/rounds.jsonl has no round")


def test_a_network_is_run_again_and_scanned_from_its_masks(
    small_study: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "small"
    shutil.copytree(small_study, folder)
    answer = call("replicate", str(folder), "--trial", "0000", "--seeds", "1", "--format", "json")
    assert answer.exit_code == 0, answer.stderr
    assert sorted(row["control"] for row in json.loads(answer.stdout)) == sorted(CONTROLS)
    scanned = call("sensitivity", str(folder), "--trial", "0000", "--format", "json")
    assert {row["trial_id"] for row in json.loads(scanned.stdout)} == {"0000"}
    for wrong in (["replicate", str(folder), "--trial", "nope"],
                  ["sensitivity", str(folder), "--trial", "0000", "--round", "99"],
                  ["sensitivity", str(folder), "--round", "1"]):  # fmt: skip
        assert call(*wrong).exit_code == 2
    held = sorted((folder / "owners").iterdir())
    again = call("replicate", str(folder), "--trial", "0000", "--seeds", "1", "--format", "json")
    assert again.exit_code == 0
    origin = next(folder.glob("controls/*/origin.json"))
    origin.write_text("{")
    damaged = call("replicate", str(folder), "--trial", "0000", "--seeds", "1")
    assert damaged.exit_code == 2
    assert str(origin.relative_to(folder)) in damaged.stderr
    assert sorted((folder / "owners").iterdir()) == held  # nobody held it who had nothing to run


def test_a_comparison_is_written_as_a_page(small_study: Path, tmp_path: Path) -> None:
    page = tmp_path / "compare.html"
    answer = call("compare", str(small_study), "--by", "retrain", "-o", str(page))
    assert answer.exit_code == 0, answer.stderr
    assert page.read_text().count("<figure>") == 2
