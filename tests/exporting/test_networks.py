"""Networks of a real study, loaded again."""

import json
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import study
from study.configuration.loading import load_config
from study.errors import UsageError
from study.exporting.networks import find_round, small_network
from study.exporting.origins import origin_of
from study.objectives import quality_of
from study.pruning import PruningPlan
from study.storage import Folder
from study.tasks import evaluate, load_task
from tests.conftest import SMALL

pytestmark = pytest.mark.slow


def rounds_of(folder: Path, trial: str) -> list[dict[str, object]]:
    lines = (folder / "trials" / trial / "rounds.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def trial(small_study: Path) -> str:
    """One of at least two rounds."""
    names = sorted(path.name for path in (small_study / "trials").iterdir())
    return next(name for name in names if len(rounds_of(small_study, name)) > 2)


def test_its_weights_are_those_of_the_file_with_zeros_where_it_is_masked(
    small_study: Path, trial: str
) -> None:
    file = load_file(small_study / "trials" / trial / "round_01.safetensors")
    state = study.load_network(small_study, trial, round=1).state_dict()
    assert {f"model.{name}" for name in state} == {n for n in file if n.startswith("model.")}
    for name, tensor in state.items():
        assert torch.equal(tensor, file[f"model.{name}"])
    masks = {n.removeprefix("mask."): m for n, m in file.items() if n.startswith("mask.")}
    assert len(masks) == 3
    for layer, mask in masks.items():
        assert not state[f"{layer}.weight"][~mask].any()
        assert (~mask).any()


def test_it_does_on_the_validation_split_what_its_record_says(
    small_study: Path, trial: str
) -> None:
    task = load_task(**load_config(SMALL).task_arguments())
    for record in rounds_of(small_study, trial):  # the dense network among them
        network = study.load_network(small_study, trial, record["round"])  # type: ignore[arg-type]
        found = evaluate(network, task.data.validation, task)
        assert found.metrics["accuracy"] == record["val_accuracy"]
        assert found.loss == pytest.approx(record["val_loss"], rel=1e-6)


def test_it_is_a_plain_module_in_eval_mode_on_the_cpu(small_study: Path, trial: str) -> None:
    network = study.load_network(small_study, trial)
    task = load_task(**load_config(SMALL).task_arguments())
    fresh = task.build_model()
    assert [type(m) for m in network.modules()] == [type(m) for m in fresh.modules()]
    assert list(network.state_dict()) == list(fresh.state_dict())
    assert not any(module.training for module in network.modules())
    assert {parameter.device.type for parameter in network.parameters()} == {"cpu"}
    # Nothing keeps the zeros any more: one step of training fills them.
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    batch = task.data.train.take(torch.arange(64))
    torch.nn.functional.cross_entropy(network(batch.inputs), batch.targets).backward()
    before = [int((p == 0).sum()) for p in network.parameters()]
    optimizer.step()
    assert sum(int((p == 0).sum()) for p in network.parameters()) < sum(before)


def test_without_a_round_it_is_the_last_one(small_study: Path, trial: str) -> None:
    last = rounds_of(small_study, trial)[-1]["round"]
    found = study.load_network(small_study, trial).state_dict()
    wanted = study.load_network(small_study, trial, last).state_dict()  # type: ignore[arg-type]
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_a_round_whose_record_was_not_written_any_more_is_not_finished(
    small_study: Path, trial: str, tmp_path: Path
) -> None:
    folder = tmp_path / "small"
    shutil.copytree(small_study, folder)
    rounds = folder / "trials" / trial / "rounds.jsonl"
    rounds.write_text("".join(line + "\n" for line in rounds.read_text().splitlines()[:2]))
    found = study.load_network(folder, trial).state_dict()
    wanted = study.load_network(small_study, trial, 1).state_dict()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_a_uri_and_the_name_of_a_replicate_do_as_well(
    small_study: Path, trial: str, tmp_path: Path
) -> None:
    folder = tmp_path / "small"
    shutil.copytree(small_study, folder)
    shutil.copytree(folder / "trials" / trial, folder / "trials" / f"{trial}-round-2-seed-7")
    found = study.load_network(f"file://{folder}", f"{trial}-round-2-seed-7", 2).state_dict()
    wanted = study.load_network(small_study, trial, 2).state_dict()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_a_network_that_was_trained_on_a_gpu_is_loaded_where_there_is_none(
    small_study: Path, trial: str, tmp_path: Path
) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    folder = tmp_path / "small"
    shutil.copytree(small_study, folder)
    file = folder / "study.toml"
    file.write_text(file.read_text().replace('device = "auto"', 'device = "cuda"'))
    assert tomllib.loads(file.read_text())["task"]["device"] == "cuda"
    study.load_network(folder, trial)


def test_what_is_not_there_is_told_with_what_is(small_study: Path, trial: str) -> None:
    with pytest.raises(UsageError, match=r"trial: unknown name '9999'\. .*0000, 0001, 0002"):
        study.load_network(small_study, "9999")
    with pytest.raises(UsageError, match=rf"round: trial {trial} has no round 9; it has \[0, 1, 2"):
        study.load_network(small_study, trial, 9)
    with pytest.raises(UsageError, match="holds no study"):
        study.load_network(small_study / "nowhere", trial)


def test_a_pattern_is_not_broken_by_leaving_neurons_out(small_study: Path, trial: str) -> None:
    found = find_round(Folder(small_study), trial)
    patterned = replace(found, plan=PruningPlan(structure="2:4"))
    config, task = load_config(SMALL), load_task(**load_config(SMALL).task_arguments())
    with pytest.raises(UsageError, match="has the pattern 2:4, which leaving neurons out would"):
        small_network(Folder(small_study), task, patterned)
    metric = quality_of(task.metrics, config.objectives)
    origin = origin_of(config, patterned, metric, torch.zeros(1, 1, 8, 8))
    assert origin["structure"] == "2:4"
