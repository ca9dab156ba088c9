"""What is found out before a study begins."""

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from study.commands.dry_run import describe
from study.configuration.loading import load_config, to_toml
from study.errors import UsageError
from study.tasks import Task, make_task
from study.tuning.preparing import prepare
from tests.conftest import SMALL


@pytest.mark.parametrize(
    ("course", "message"),
    [("cosin", "Did you mean 'cosine'"), ("nowhere:course", "no module named 'nowhere'")],
)
def test_a_course_of_retraining_that_there_is_not_is_refused(
    course: str, message: str, tmp_path: Path
) -> None:
    space = {**SMALL["space"], "retrain_lr_schedule": ["constant", course]}
    config = load_config({**SMALL, "space": space, "study": {"storage_path": str(tmp_path)}})
    with pytest.raises(UsageError, match=message):
        prepare(config)


@pytest.mark.parametrize("missing", ["/nonexistent", "file", "x" * 300])
def test_a_folder_of_modules_that_is_none_is_refused_but_not_of_a_study_that_goes_on(
    missing: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    task = {**SMALL["task"], "module_dir": str(tmp_path / missing)}
    config = load_config({**SMALL, "task": task, "study": {"storage_path": str(tmp_path / "s")}})
    for is_new in (True, False):  # False: of a dry run
        with pytest.raises(UsageError, match=r"task\.module_dir: .* Allowed: a folder that exists"):
            prepare(config, is_new=is_new)
    assert prepare(config, is_new=False, is_resumed=True).layers
    assert not (tmp_path / "s").exists()


OF_SMALL = {key: table for key, table in SMALL.items() if key != "search"}


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"cut": [0.2, 0.5], "retrain_epochs": [1, 2]}, "21 rounds of up to 2"),
        ({"cut": [0.3, 0.36, 0.5], "floor": 0.05, "form": "global"}, "9 rounds of up to 4"),
        ({"rounds": [1, 25], "schedule": ["geometric", "one_shot"]}, "25 rounds of up to 4"),
        ({"per_layer": {"bounds": "sensitivity"}}, "5 rounds of up to 4"),
    ],
)
def test_spaces_of_many_rounds_can_be_prepared_told_and_written_out(
    space: dict[str, Any], said: str, tmp_path: Path
) -> None:
    config = load_config({**OF_SMALL, "space": space, "study": {"storage_path": str(tmp_path)}})
    prepared = prepare(config)
    assert said in describe(prepared)
    assert "the first trial is the textbook run: 4 epochs dense, up to " in describe(prepared)
    assert load_config(tomllib.loads(to_toml(config))) == config
    assert prepared.textbook is not None
    assert prepared.textbook.allocation == "lamp"


def test_the_textbook_run_is_rehearsed_and_can_be_switched_off(tmp_path: Path) -> None:
    tables = {**OF_SMALL, "study": {"storage_path": str(tmp_path)}}
    without = prepare(load_config(tables, ["search.textbook=false"]))
    prepared = prepare(load_config(tables))
    assert without.textbook is None
    assert prepared.plans == (*without.plans, prepared.textbook)
    assert "textbook run" not in describe(without)


def test_scores_that_a_cost_cannot_divide_are_found_before_the_study_begins(
    tmp_path: Path,
) -> None:
    space = {
        "form": "global",
        "allocation": ["erk", "lamp"],
        "saliency": ["magnitude", "movement"],
        "cost_exponent": [0.0, 1.0],
    }
    tables = {**OF_SMALL, "space": space, "study": {"storage_path": str(tmp_path)}}
    with pytest.raises(UsageError, match="never negative"):
        prepare(load_config(tables))
    prepared = prepare(load_config(tables, ["space.saliency='magnitude'"]))
    assert prepared.plans[0].cost_exponent == 1.0
    assert prepared.plans[0].allocation == "lamp"


def in_three_groups() -> Task:
    """300 examples of three patients, of whom a share of 0.3 holds out one."""
    inputs = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
    return make_task(
        lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)),
        (inputs, (inputs[:, 0] > 0).long()),
        validation=0.3,
        groups=np.repeat(np.arange(3), 100),
        epochs=1,
    )


def test_one_group_to_confirm_by_is_refused_before_a_study(tmp_path: Path) -> None:
    tables = {
        **SMALL,
        "task": {"object": f"{__name__}:in_three_groups"},
        "study": {"storage_path": str(tmp_path)},
    }
    with pytest.raises(UsageError, match=r"groups: 1 of them is held out .* at least 2 are needed"):
        prepare(load_config(tables, ["confirm.share=0.25"]))
    assert not list(tmp_path.iterdir())
    assert prepare(load_config(tables, ["confirm.share=0"])).plans


def test_latency_is_measured_where_it_is_an_objective(tmp_path: Path) -> None:
    tables = {**SMALL, "study": {"storage_path": str(tmp_path)}}
    timed = {**tables, "objectives": {"accuracy": "max", "latency_ms": "min"}}
    with pytest.raises(UsageError, match=r"latency.backend: none measures nothing"):
        prepare(load_config(timed))
    assert prepare(load_config(timed, ["latency.backend='eager'"])).plans
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match=r"latency.backend: cuda needs a GPU"):
            prepare(load_config(tables, ["latency.backend='cuda'"]))


def test_no_more_threads_are_timed_than_there_are_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.tuning.preparing.os.cpu_count", lambda: 4)
    tables = {**SMALL, "study": {"storage_path": str(tmp_path)}, "latency": {"backend": "eager"}}
    with pytest.raises(UsageError, match=r"latency.threads: 5 is more than the 4 .* 1 to 4\."):
        prepare(load_config(tables, ["latency.threads=5"]))
    assert prepare(load_config(tables, ["latency.threads=4"])).plans


def test_cuts_by_latency_need_it_to_be_measured(tmp_path: Path) -> None:
    space = {"structure": "channels", "budget": "latency_ms"}
    tables = {**OF_SMALL, "space": space, "study": {"storage_path": str(tmp_path)}}
    with pytest.raises(UsageError, match=r"latency.backend: none .* a budget or a cost"):
        prepare(load_config(tables))


def test_a_size_that_no_plan_reaches_is_told_as_the_user_asked_for_it(tmp_path: Path) -> None:
    tables = {**SMALL, "study": {"storage_path": str(tmp_path)}, "space": {"structure": "channels"}}
    with pytest.raises(
        UsageError, match=r"^search\.target: 'macs <= 0\.001' is less, .* leaves \S+ at least"
    ):
        prepare(load_config(tables, ["search.target='macs <= 0.001'"]))


def test_what_a_refusal_proposes_is_accepted(tmp_path: Path) -> None:
    tables = {**SMALL, "study": {"storage_path": str(tmp_path)}, "space": {"structure": "channels"}}
    with pytest.raises(UsageError) as refused:
        prepare(load_config(tables, ["search.target='macs <= 0.001'"]))
    least, proposed = re.findall(
        r"leaves (\S+) at least .* Let it be (\S+) at", str(refused.value)
    )[0]
    assert float(least) <= float(proposed) < float(least) + 0.01
    assert prepare(load_config(tables, [f"search.target='macs <= {proposed}'"])).plans


def test_a_target_is_the_size_of_every_plan(tmp_path: Path) -> None:
    tables = {**SMALL, "study": {"storage_path": str(tmp_path)}}
    prepared = prepare(load_config(tables, ["search.target='macs <= 0.4'"]))
    assert prepared.config.objectives == {"accuracy": "max"}
    assert {plan.budget for plan in prepared.plans} == {"macs"}
    assert all(plan.sparsity == pytest.approx(0.6) for plan in prepared.plans)


def test_every_structure_of_a_space_is_rehearsed(tmp_path: Path) -> None:
    structures = ["channels", "2:4", "blocks", "channels+2:4"]
    space = {
        **SMALL["space"], "structure": structures, "block": [2, 4], "width_multiple": 4,
        "density": [0.4, 0.8], "saliency": ["magnitude", "wanda"],
    }  # fmt: skip
    tables = {**OF_SMALL, "space": space, "study": {"storage_path": str(tmp_path)}}
    prepared = prepare(load_config(tables))
    found = {(plan.structure, plan.saliency) for plan in prepared.plans[:-1]}
    assert found == {(s, by) for s in structures for by in ("magnitude", "wanda")}
    assert prepared.textbook is not None
    assert prepared.textbook.structure == "channels"


@pytest.mark.parametrize(
    ("space", "changes", "message"),
    [
        ({"structure": ["weights", "channels"], "saliency": "l2"}, [], "'l2' scores units alone"),
        ({"structure": "blocks"}, [], r"fc3 \(10 outputs, 16 inputs\) have not"),
        ({"structure": ["weights", "3:8"]}, ["task.model_options={widths=[20]}"], "3:8 needs"),
        (
            {"structure": ["weights", "2:4"]},
            ["search.target='density <= 0.3'"],
            "structure 2:4 ends at a density of its own",
        ),
    ],
)
def test_structures_that_a_task_cannot_have_are_refused_before_the_study(
    space: dict[str, Any], changes: list[str], message: str, tmp_path: Path
) -> None:
    tables = {**OF_SMALL, "space": space, "study": {"storage_path": str(tmp_path)}}
    with pytest.raises(UsageError, match=message):
        prepare(load_config(tables, changes))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("space", "changes", "asks"),
    [
        (
            {},
            [],
            r"space.density: plans go down to 0.02, the default, of .* weights, but .* leaves",
        ),
        ({"budget": "macs", "density": [0.01, 0.5]}, [], r"down to 0.01 of the .* multiply-adds"),
        ({"density": 0.05}, [], r"space.density: plans go down to 0.05 of"),
        ({}, ["search.target='macs <= 0.02'"], r"search.target: 'macs <= 0.02' is less"),
        ({"cut": [0.2, 0.4], "floor": 0.03}, [], r"space.floor: plans go down to 0.03"),
        (
            {"structure": "channels+weights", "unit_sparsity": 0.95, "density": [0.01, 0.5]},
            [],
            r"space.unit_sparsity: 0.95 of .* are to go",
        ),
    ],
)
def test_what_goes_farther_than_channels_can_names_its_field_and_what_works(
    space: dict[str, Any], changes: list[str], asks: str, tmp_path: Path
) -> None:
    fields = {"structure": "channels", "width_multiple": 8, "rounds": 1, **space}
    if "cut" in space:
        del fields["rounds"]
    tables = {**OF_SMALL, "space": fields, "study": {"storage_path": str(tmp_path)}}
    with pytest.raises(UsageError, match=asks) as refused:
        prepare(load_config(tables, changes))
    told = re.search(
        r"(?:Set (\S+) = (.*?)|Let it be (\S+) at (?:most|least)), or", str(refused.value)
    )
    assert told is not None
    if told[1]:
        mended = [*changes, f"{told[1]}={told[2]}"]
    elif changes:
        mended = [f"search.target='macs <= {told[3]}'"]
    else:
        mended = [f"space.unit_sparsity={told[3]}"]
    assert prepare(load_config(tables, mended)).plans


OF_CHANNELS = {"structure": "channels", "rounds": [1, 2], "retrain_epochs": 1}


def test_a_space_of_channels_is_told_with_its_coupled_sets(tmp_path: Path) -> None:
    space = {**OF_CHANNELS, "form": "per_layer", "per_layer": {"bounds": {"fc1": [0.0, 0.5]}}}
    tables = {**OF_SMALL, "space": space, "study": {"storage_path": str(tmp_path)}}
    prepared = prepare(load_config(tables))
    assert "# 2 coupled sets of channels\n#   fc1      24\n#   fc2      16" in describe(prepared)
    assert "#   fc3 stays: nothing reads them: they are the network's outputs" in describe(prepared)
    dense, least = 64 * 24 + 24 * 16 + 16 * 10, 64 * 12 + 12 * 1 + 1 * 10
    assert prepared.floor_density == pytest.approx(least / dense)
    assert prepared.textbook is not None
    assert isinstance(prepared.textbook.sparsity, float)
    assert 1 - prepared.textbook.sparsity >= prepared.floor_density
    wrong = {**space, "per_layer": {"bounds": {"fc3": [0.0, 0.5]}}}
    with pytest.raises(UsageError, match=r"layer 'fc3' is unknown.*Allowed: fc1, fc2"):
        prepare(load_config({**tables, "space": wrong}))


def test_a_scan_that_does_not_go_as_far_as_the_space_is_refused_before_it(tmp_path: Path) -> None:
    space = {**OF_CHANNELS, "allocation": "sensitivity", "density": [0.2, 0.8]}
    tables = {**OF_SMALL, "space": space, "study": {"storage_path": str(tmp_path)}}
    prepared = prepare(load_config(tables, ["sensitivity.levels=[0, 0.5, 0.9]"]))
    assert prepared.plans[-2].allocation == "sensitivity"
    assert prepared.plans[-2].sparsity == pytest.approx(0.8)
    with pytest.raises(UsageError, match="no share that was not scanned"):
        prepare(load_config(tables, ["sensitivity.levels=[0, 0.25, 0.4]"]))
