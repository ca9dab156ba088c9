"""A job that is sent again goes on with its study."""

from pathlib import Path

import click
import pytest

from study.cli import main
from tests.conftest import call

Call = tuple[str, int | None, int | None]
"""The folder, trials, and examples."""


@pytest.fixture
def resumed(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """Calls of ``resume``, which ends with a code of its own."""
    calls: list[Call] = []

    @click.command()
    @click.argument("directory")
    @click.option("--num-samples", type=int)
    @click.option("--train-samples-budget", type=int)
    @click.option("--trust-code", is_flag=True)
    @click.pass_context
    def resume(
        ctx: click.Context,
        directory: str,
        num_samples: int | None,
        train_samples_budget: int | None,
        trust_code: bool,
    ) -> None:
        assert trust_code  # whoever names the study file trusts it
        calls.append((directory, num_samples, train_samples_budget))
        ctx.exit(3)

    monkeypatch.setitem(main.commands, "resume", resume)
    return calls


def test_a_study_that_is_new_is_run_as_run_would(tmp_path: Path, resumed: list[Call]) -> None:
    arguments = ("digits-mlp", "--storage-path", "st", "--dry-run", "--set", "task.lr=0.0625")
    ours = call("run-or-resume", *arguments, cwd=tmp_path)
    assert ours.exit_code == 0
    assert "lr = 0.0625" in ours.stdout
    assert ours.stdout == call("run", *arguments, cwd=tmp_path).stdout
    assert not resumed


def test_a_study_that_was_begun_is_resumed_and_ends_as_that_does(
    tmp_path: Path, resumed: list[Call]
) -> None:
    begun = tmp_path / "st" / "mine"
    begun.mkdir(parents=True)
    (begun / "study.toml").touch()
    arguments = ("digits-mlp", "--storage-path", str(tmp_path / "st"), "--name", "mine")
    more = ("--num-samples", "9", "--train-samples-budget", "5000")
    answer = call("run-or-resume", *arguments, *more, cwd=tmp_path)
    assert answer.exit_code == 3
    assert resumed == [(str(begun), 9, 5000)]
    assert "is resumed" in answer.stderr
    assert call("run-or-resume", *arguments, cwd=tmp_path).exit_code == 3
    assert resumed[1:] == [(str(begun), None, None)]


def test_modules_are_found_beside_the_study_file_wherever_they_were_before(
    tmp_path: Path, resumed: list[Call], monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    (moved / "own.toml").write_text('[task]\nobject = "own:task"\n')
    (tmp_path / "st" / "study").mkdir(parents=True)
    (tmp_path / "st" / "study" / "study.toml").touch()
    searched: list[object] = []
    monkeypatch.setattr("study.plugins.search_in", searched.append)
    answer = call("run-or-resume", "moved/own.toml", "--storage-path", "st", cwd=tmp_path)
    assert answer.exit_code == 3, answer.output
    assert searched == [str(moved)]


def test_nodes_are_waited_for_and_room_is_asked_for_before_anything_is_run(
    tmp_path: Path, resumed: list[Call], monkeypatch: pytest.MonkeyPatch,
    ray_cluster: None,
) -> None:  # fmt: skip
    done: list[object] = []
    monkeypatch.setattr(
        "study.clusters.ray_nodes.ask_for_room", lambda trials, needs: done.append((trials, needs))
    )
    monkeypatch.setattr(
        "study.clusters.ray_nodes.wait_for_nodes",
        lambda nodes, limit_s, say: done.append((nodes, limit_s)),
    )
    (tmp_path / "digits-mlp").mkdir()
    (tmp_path / "digits-mlp" / "study.toml").touch()
    answer = call(
        "run-or-resume", "digits-mlp", "--storage-path", str(tmp_path), "--wait-for-nodes", "3",
        "--wait-limit", "2m", "--room-for", "5", "--set", "resources.gpus_per_trial=0.5",
        cwd=tmp_path,
    )  # fmt: skip
    assert answer.exit_code == 3
    assert done == [(5, {"CPU": 1.0, "GPU": 0.5}), (3, 120.0)]
