"""Studies that are cut off, and go on: what they come to is what the unkilled study came to."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

import study
from analysis import load
from analysis.judging.status import study_status
from benchmarks.chaos.comparing import records
from study import owners
from study.configuration.loading import load_config
from study.errors import StudyFailedError, UsageError
from study.files.problems import ProblemWarning
from study.interrupts import Interrupts
from study.owners import claimed, holder
from study.pruning.selection.saliency import SaliencyInputs
from study.records import SCANNED_LAYERS_FILE
from study.storage import Folder
from study.tuning.dense_runs.scan_files import ScannedLayers, stored_scan
from study.tuning.ending import StopWatch
from study.tuning.launching import Finished, run_study, running_study, scan_only
from study.tuning.preparing import Prepared, prepare
from study.tuning.resuming import prepare_resume
from tests.conftest import SMALL, call, environment

SEED = 3

TABLES: dict[str, Any] = {
    **SMALL,
    "study": {"name": "s", "num_samples": 4, "seed": SEED},
    "sensitivity": {"scan": True, "levels": [0.5, 0.9]},
    "resources": {"max_concurrent": 1, "checkpoint_interval_s": 0.001},
}


def start(place: Path, listener: Callable[..., None] = lambda *_: None, **changes: Any) -> Finished:
    tables = {**TABLES, **changes}
    config = load_config(tables, [f"study.storage_path={json.dumps(str(place))}"])
    return run_study(prepare(config), listener)


def go_on(folder: Path, **asked: Any) -> Finished:
    prepared, past = prepare_resume(Folder(folder), trust_code=True, **asked)
    return run_study(prepared, lambda *_: None, past)


@pytest.fixture(scope="module")
def whole(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("whole")
    start(place)
    return place / "s"


def at(event: str, count: int, act: Callable[[], object]) -> Callable[..., None]:
    """A listener that acts when an event happens for the n-th time."""
    seen = [0]

    def listen(happened: str, *_: Any) -> None:
        seen[0] += happened == event
        if happened == event and seen[0] == count:
            act()

    return listen


@pytest.mark.parametrize(
    ("event", "count", "signum"),
    [("training_dense_run", 1, signal.SIGINT), ("search_started", 1, signal.SIGTERM),
     ("round_finished", 6, signal.SIGINT), ("trial_completed", 3, signal.SIGTERM)],
)  # fmt: skip
def test_a_study_that_a_signal_ended_goes_on_to_the_same_records(
    whole: Path, tmp_path: Path, event: str, count: int, signum: signal.Signals
) -> None:
    ended = start(tmp_path, at(event, count, lambda: os.kill(os.getpid(), signum)))
    assert ended.exit_code == 128 + signum
    held = holder(Folder(tmp_path / "s"))
    assert held is not None
    assert held.standing == "interrupted"
    assert '"study_interrupted"' in (tmp_path / "s" / "events.jsonl").read_text()
    assert go_on(tmp_path / "s").exit_code == 0
    assert records(tmp_path / "s") == records(whole)


def test_a_study_whose_folder_is_removed_fails_and_says_so(
    ray_cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owners, "BEAT_S", 0.05)

    def remove() -> None:
        (tmp_path / "s").rename(tmp_path / "gone")  # at once: its owner writes into it all the time
        time.sleep(1)

    with pytest.raises(StudyFailedError, match="was removed while the study ran"):
        start(tmp_path, at("round_finished", 2, remove))


SCAN: dict[str, Any] = {
    **TABLES,
    "study": {**TABLES["study"], "num_samples": 1},
    "sensitivity": {"scan": True, "levels": [0.5], "recovery_epochs": 20},
}
"""Of which a layer takes long enough to be met between two."""


def killed_within_the_scan(place: Path) -> Path:
    """A scan whose driver is killed when its first layer is finished."""
    (place / "s.json").write_text(json.dumps(SCAN))
    code = (
        "import json, sys, study\n"
        "study.run(json.load(open(sys.argv[1])), storage_path=sys.argv[2])\n"
    )
    command = [sys.executable, "-c", code, str(place / "s.json"), str(place)]
    with subprocess.Popen(command, env=environment()) as process:
        deadline = time.monotonic() + 120
        while not (place / "s" / SCANNED_LAYERS_FILE).exists() and time.monotonic() < deadline:
            assert process.poll() is None, "the study ended before it was killed"
            time.sleep(0.005)
        process.kill()
    return place / "s"


def scanning(place: Path) -> Prepared:
    return prepare(load_config(SCAN, [f"study.storage_path={json.dumps(str(place))}"]))


@pytest.mark.slow
def test_a_scan_whose_driver_was_killed_goes_on_with_the_layers_that_are_left(
    ray_cluster: None, tmp_path: Path
) -> None:
    whole = stored_scan(scan_only(scanning(tmp_path / "whole"), lambda *_: None))
    assert whole is not None
    layers = {each.layer for each in whole.records}
    folder = Folder(killed_within_the_scan(tmp_path))
    scanned = ScannedLayers(folder, load_config(SCAN).sensitivity, StopWatch(folder, ("stop",)))
    kept = [found for layer in layers if (found := scanned.known(SEED, layer)) is not None]
    assert 0 < len(kept) < len(layers)

    mark = {"val_loss": 12345.0}  # of a layer that was scanned again, it would be gone
    for found in kept:
        marked = tuple(each.model_copy(update=mark) for each in found.records)
        scanned.keep(SEED, replace(found, records=marked))
    prepared, past = prepare_resume(folder, trust_code=True)
    assert not past
    run_study(prepared, lambda *_: None, past)

    ended = stored_scan(folder)
    assert ended is not None
    names = {found.layer for found in kept}
    assert ended.records == tuple(
        each.model_copy(update=mark) if each.layer in names else each for each in whole.records
    )
    assert ended.train_samples == whole.train_samples


def test_a_finished_study_takes_more_trials_and_keeps_what_it_has(
    whole: Path, tmp_path: Path
) -> None:
    shutil.copytree(whole, tmp_path / "s")
    before = records(tmp_path / "s")
    go_on(tmp_path / "s")
    assert records(tmp_path / "s") == before
    go_on(tmp_path / "s", num_samples=6)
    after = records(tmp_path / "s")
    assert {name.partition("/")[0] for name in after} == {f"{n:04d}" for n in range(6)}
    assert {name: after[name] for name in before} == before


_BROKEN = "PRUNE_STUDY_TEST_BROKEN"


def broken_at_first(inputs: SaliencyInputs) -> dict[str, Tensor]:
    """Fails while a file is there, at the second cut, which no rehearsal comes to."""
    is_cut = any(bool((weight == 0).any()) for weight in inputs.weights.values())
    if is_cut and Path("/tmp", _BROKEN).exists():
        raise RuntimeError("broken")
    return {layer: weight.abs() for layer, weight in inputs.weights.items()}


def test_failed_trials_are_tried_again_where_that_is_asked_for(
    ray_cluster: None, tmp_path: Path
) -> None:
    space = {**SMALL["space"], "saliency": f"{__name__}:broken_at_first", "rounds": 3}
    study = {**TABLES["study"], "num_samples": 1}
    tables = {"space": space, "study": study, "sensitivity": {"scan": False}}
    flag = Path("/tmp", _BROKEN)
    flag.touch()
    try:
        assert start(tmp_path, **tables).failed_trials == 1
    finally:
        flag.unlink()
    told: list[str] = []
    _, past = prepare_resume(Folder(tmp_path / "s"), trust_code=True, tell=told.append)
    assert [each.outcome.status for each in past if each.outcome is not None] == ["errored"]
    assert told == ["1 of 1 trials errored and are left; --retry-errored runs them again"]
    start(tmp_path / "well", **tables)
    for errored in ("retry", "restart"):
        folder = shutil.copytree(tmp_path / "s", tmp_path / errored / "s")
        told.clear()
        assert go_on(folder, errored=errored, tell=told.append).failed_trials == 0
        assert told == []
        assert records(folder) == records(tmp_path / "well" / "s")


def test_a_study_whose_driver_was_killed_before_it_wrote_of_its_task_goes_on(
    whole: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "s"
    shutil.copytree(whole / "owners", folder / "owners")
    shutil.copy(whole / "study.toml", folder)
    go_on(folder)
    assert records(folder) == records(whole)
    assert {"task.json", "provenance.json"} <= {path.name for path in folder.iterdir()}
    (folder / "task.json").unlink()
    with pytest.raises(UsageError, match="made by an older version"):
        prepare_resume(Folder(folder))


def test_what_follows_a_search_and_fails_is_the_study_s_failure(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "s"
    shutil.copytree(whole, folder)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("study.commands.studies.conducting.finish", full)
    answer = call("resume", str(folder), "--quiet")
    assert answer.exit_code == 1
    said = f"the study failed: OSError: [Errno 28] No space left on device; go on with: prune-study resume {folder}"  # noqa: E501
    assert said in answer.stderr
    assert "Traceback" not in answer.output
    assert "in full" in (folder / "error.txt").read_text()
    seen = holder(Folder(folder))
    assert seen is not None
    assert seen.standing == "failed"
    go_on(folder)
    assert not (folder / "error.txt").exists()


@pytest.mark.parametrize("command", ["confirm", "replicate --trial=0000"])
def test_what_adds_to_a_study_is_refused_while_somebody_runs_it(
    whole: Path, tmp_path: Path, command: str
) -> None:
    shutil.copytree(whole, tmp_path / "s")
    name, *options = command.split()
    with claimed(Folder(tmp_path / "s")):
        answer = call(name, str(tmp_path / "s"), *options)
    assert answer.exit_code == 2
    assert "is being run by" in answer.stderr


def test_what_cannot_go_on_is_refused_by_name(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="this folder holds no study"):
        prepare_resume(Folder(tmp_path))
    folder = tmp_path / "s"
    shutil.copytree(whole, folder)
    with pytest.raises(UsageError, match="--num-samples: 2, and the study has 4 trials"):
        prepare_resume(Folder(folder), num_samples=2)
    with claimed(Folder(folder)), pytest.raises(UsageError, match="is being run by"):
        prepare_resume(Folder(folder))
    changed = (folder / "study.toml").read_text().replace("lr = 0.", "lr = 0.1")
    (folder / "study.toml").write_text(changed)
    with pytest.raises(UsageError, match="task: it is not what it was"):
        prepare_resume(Folder(folder))
    assert call("resume", str(folder), "--retry-errored", "--restart-errored").exit_code == 2


def test_a_damaged_record_is_named_and_nothing_is_run(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    shutil.copytree(whole, folder)
    (folder / "trials" / "0002" / "rounds.jsonl").write_text("{]\n")
    with pytest.raises(UsageError, match=r"0002/rounds.jsonl cannot be read in line 1"):
        prepare_resume(Folder(folder))


def test_lines_that_a_crash_tore_are_skipped_and_named(whole: Path, tmp_path: Path) -> None:
    """By whatever reads the folder; they stay where they are, and others follow them."""
    folder = tmp_path / "s"
    shutil.copytree(whole, folder)
    named = dict[str, str]()
    for file, torn in (("events.jsonl", '{"event": "ro'), ("optuna.journal", '{"op_code": 4, "')):
        lines = (folder / file).read_text().splitlines()
        (folder / file).write_text("\n".join([*lines[:-1], torn, lines[-1]]) + "\n")
        named[file] = f"cannot be read in line {len(lines)} "
    with pytest.warns(ProblemWarning) as told:
        prepare_resume(Folder(folder))
    assert sorted(str(each.message).partition("(")[0] for each in told) == [
        f"s: {file} {how}" for file, how in named.items()
    ]
    with pytest.warns(ProblemWarning):
        problems = study_status(load(folder))["problems"]
    assert {file: text.partition("(")[0] for file, text in problems.items()} == named


def test_what_fails_after_the_trials_fails_the_study(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    shutil.copytree(whole, folder)
    prepared, past = prepare_resume(Folder(folder))
    with (
        pytest.raises(StudyFailedError, match=r"OSError: \[Errno 28\] disk full"),
        Interrupts() as interrupts,
        running_study(prepared, lambda *_: None, interrupts, past),
    ):
        raise OSError(28, "disk full")
    held = holder(Folder(folder))
    assert held is not None
    assert held.standing == "failed"
    last = json.loads((folder / "events.jsonl").read_text().splitlines()[-1])
    assert last["event"] == "study_failed"
    assert last["detail"]["why"] == "OSError: [Errno 28] disk full"
    assert 'raise OSError(28, "disk full")' in (folder / "error.txt").read_text()
    assert records(folder) == records(whole)


def test_from_python_too(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "s")
    assert study.resume(tmp_path / "s", num_samples=5) == str(tmp_path / "s")
    assert (tmp_path / "s" / "trials" / "0004" / "outcome.json").exists()
