"""Every command and every snippet of the README and of docs/ does what it says."""

import re
import shlex
import shutil
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from study.cli import main as cli
from study.configuration.loading import load_config
from tests.conftest import SMALL, call

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NOT_RUN = re.compile(r"<!-- not run: \S.* -->\n$")


@dataclass(frozen=True)
class Block:
    """A block of code in a page."""

    page: str
    language: str
    text: str
    is_run: bool


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(page.name, match[1], match[2], NOT_RUN.search(text[: match.start()]) is None)
        for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
    ]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def named(blocks: list[Block]) -> list[Any]:
    return [pytest.param(block, id=f"{block.page}-{n}") for n, block in enumerate(blocks)]


@pytest.mark.parametrize("block", named([b for b in BLOCKS if b.language == "toml" and b.is_run]))
def test_a_study_file_that_is_shown_is_one(block: Block) -> None:
    tables = tomllib.loads(block.text)
    load_config({"task": {"dataset": "digits", "model": "mlp"}, **tables})


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
@pytest.mark.slow
def test_the_python_of_a_page_runs_from_top_to_bottom(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_cluster: None
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("study.configuration.loading.files", lambda _: small_presets(tmp_path))
    known = prelude()
    for block in blocks_of(page):
        if block.language != "python" or not block.is_run:
            continue
        first = block.text.partition("\n")[0]
        if first.startswith("# ") and first.endswith(".py"):
            (tmp_path / first.removeprefix("# ")).write_text(block.text)
        exec(compile(block.text, f"{page.name}", "exec"), known)


def small_presets(folder: Path) -> Path:
    """A folder with the default study, to the same end in less time: what is trained is less."""
    tables = tomllib.loads((ROOT / "study" / "presets" / "digits-mlp.toml").read_text())
    tables["task"]["epochs"] = 2
    tables["space"] |= {"rounds": [1, 3], "rewind_epoch": [0.0, 1.0], "retrain_epochs": 0.5}
    tables["resources"] = SMALL["resources"]
    presets = folder / "presets"
    presets.mkdir(exist_ok=True)
    (presets / "digits-mlp.toml").write_text(tomli_w.dumps(tables))
    return presets


def prelude() -> dict[str, Any]:
    """What the README's snippets speak of as the reader's own."""
    import numpy as np
    import torch
    from torch import nn

    model = nn.Sequential()
    model.add_module("fc1", nn.Linear(2, 8))
    model.add_module("fc2", nn.Linear(8, 2))
    points = np.random.default_rng(0).normal(size=(60, 2)).astype("float32")
    labels = np.arange(60) % 2
    return {
        "network": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
        "keep_fc1": torch.ones(8, 2, dtype=torch.bool),
        "inputs": points,
        "targets": labels,
        "test_inputs": points,
        "test_targets": labels,
    }


def commands_of(block: Block) -> list[list[str]]:
    lines = [line.split("  #")[0].strip() for line in block.text.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("prune-study")]


SHOWN = {
    " ".join(command): command
    for block in BLOCKS
    if block.language == "sh" and block.is_run
    for command in commands_of(block)
}
COMMANDS = [pytest.param(command, id=name) for name, command in SHOWN.items()]


@pytest.fixture(scope="module")
def place(small_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study file, and a study under the name that the pages use."""
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(small_study, folder / "studies" / "digits-mlp")
    lines = ["[task]", 'dataset = "digits"', 'model = "mlp"', "epochs = 2"]
    (folder / "my-study.toml").write_text("\n".join(lines))
    shutil.copytree(ROOT / "examples", folder / "examples")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_is_shown_works(command: list[str], place: Path) -> None:
    arguments = command[1:]
    if arguments[0] in ("run", "run-or-resume") and "--help-config" not in arguments:
        arguments = [*arguments, "--dry-run", "--storage-path", "fresh"]  # checks, not hours
        arguments += ["--set", "resources.gpus_per_trial=0"]  # nor need this machine have one
    answer = call(*arguments, cwd=place)
    if "fashion" in " ".join(arguments) and "task.data_dir" in answer.stderr:
        pytest.skip("Fashion-MNIST is not on this machine")
    assert answer.exit_code == 0, answer.output


def test_every_command_that_is_shown_exists() -> None:
    shown = {command[1] for command in SHOWN.values()}
    assert shown <= set(cli.commands)
    assert set(cli.commands) <= shown | {"doctor", "list"}


def test_the_reference_of_the_study_file_is_up_to_date() -> None:
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        from make_study_file import PAGE, page
    finally:
        sys.path.pop(0)
    assert PAGE.read_text() == page(PAGE.read_text())


def test_the_table_of_metrics_is_that_of_the_code() -> None:
    from study.tasks.judging.builtin_metrics import BUILT_IN

    text = (ROOT / "docs" / "own-task.md").read_text()
    told = {}
    for names, better, unit in re.findall(r"^\| (`.+?`) \| (max|min) \| (\w+) \|", text, re.M):
        told |= dict.fromkeys(re.findall(r"`(\w+)`", names), (better, unit))
    assert told == {name: (metric.direction, metric.unit) for name, metric in BUILT_IN.items()}


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_link_within_the_project_has_a_target(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text()):
        assert (page.parent / link).exists(), link
