"""What is launched, and what is refused."""

from pathlib import Path

import pytest

from study.clusters.launch import check_room, plan_launch
from study.errors import UsageError
from tests.conftest import call


def test_the_command_names_the_study_by_its_place_there() -> None:
    plan = plan_launch("digits-mlp", ["task.lr=0.1"], storage_path="/shared", num_samples=3)
    words = plan.command("elsewhere.toml", "--wait-for-nodes", "2")
    assert words == [
        "prune-study", "run-or-resume", "digits-mlp", "--name", "digits-mlp",
        "--storage-path", "/shared", "--num-samples", "3", "--set", "task.lr=0.1",
        "--wait-for-nodes", "2",
    ]  # fmt: skip
    assert plan.location == "/shared/digits-mlp"


def test_the_study_file_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text("[study]\n")
    answer = call("launch", "s.toml", "--backend", "slurm", "--storage-path", "/shared",
                  "-o", "./s.toml", cwd=tmp_path)  # fmt: skip
    assert answer.exit_code == 2
    assert "is the study file itself" in answer.stderr
    assert (tmp_path / "s.toml").read_text() == "[study]\n"


@pytest.mark.parametrize(("time", "is_one"), [("90", True), ("2-12:30", True), ("1d", False)])
def test_the_limit_of_a_run_is_one_of_slurm_s(tmp_path: Path, time: str, is_one: bool) -> None:
    answer = call("launch", "digits-mlp", "--backend", "slurm", "--storage-path", "/shared",
                  "--time", time, cwd=tmp_path)  # fmt: skip
    assert answer.exit_code == (0 if is_one else 2)
    assert ("is no limit of Slurm's" in answer.stderr) == (not is_one)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("studies", "is relative"),
        ("s3://KEY:HUSH@bucket/studies", "hold a secret"),
        ("s3://bucket/studies?endpoint_override=localhost", "credentials and options"),
        ("s4://bucket/studies", "s3"),
    ],
)
def test_a_folder_that_not_all_machines_would_find_is_refused(place: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        plan_launch("digits-mlp", storage_path=place)
    assert "HUSH" not in str(refused.value)


@pytest.mark.parametrize(
    ("needs", "has", "fit"),
    [
        ({"cpus_per_trial": 2}, (7, 0), 3),
        ({"cpus_per_trial": 0.5, "gpus_per_trial": 0.25}, (8, 1), 4),
        ({"gpus_per_trial": 0.05}, (64, 1), 20),
        ({"cpus_per_trial": 3}, (2, 0), "cpus_per_trial is 3, and a node has 2"),
        ({"gpus_per_trial": 0.5}, (2, 0), "gpus_per_trial is 0.5, and a node has 0"),
    ],
)
def test_as_many_trials_fit_as_cpus_and_gpus_allow(
    needs: dict[str, float], has: tuple[float, float], fit: int | str
) -> None:
    changes = [f"resources.{key}={value}" for key, value in needs.items()]
    plan = plan_launch("digits-mlp", changes, storage_path="/shared")
    if isinstance(fit, int):
        assert check_room(plan, *has, machine="node") == fit
    else:
        with pytest.raises(UsageError, match=fit):
            check_room(plan, *has, machine="node")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--backend", "slurm", "--pvc", "x"), "--pvc: means something to kuberay only"),
        (("--backend", "job", "--cpus", "2"), "--cpus: means something to kuberay and slurm"),
        (("--backend", "kuberay"), "--image"),
        (("--backend", "kuberay", "--image", "x"), "--pvc"),
        (("--backend", "kuberay", "--image", "x", "--pvc", "x", "--workers", "0"), "--workers"),
        (("--backend", "kuberay", "--image", "x", "--pvc", "x", "--workers", "1-x"), "--workers"),
        (("--backend", "kuberay", "--image", "x", "--pvc", "A b"), "lower-case"),
        (("--backend", "kuberay", "--image", "x", "--pvc", "x", "--spot", "yes"), "--spot"),
        (("--backend", "slurm", "--sbatch", "partition=gpu"), "--sbatch"),
        (("--backend", "slurm", "--sbatch", "--qos=x\nrm -rf /"), "--sbatch"),
        (("--backend", "slurm", "--output", "nowhere/x"), "nowhere"),
        (("--backend", "job", "--address", "ray://x:1"), "--address"),
        (("--backend", "job", "--address", "http://127.0.0.1:9"), "no Ray dashboard answers"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_written(
    arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    result = call("launch", "digits-mlp", "--storage-path", "/shared", *arguments, cwd=tmp_path)
    assert result.exit_code == 2
    assert said in result.output
    assert not [*tmp_path.iterdir()]
