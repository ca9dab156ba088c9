"""Every example runs as its first lines say, and its report speaks of its own metric."""

import ast
import html
import json
import math
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from search_spaces import SearchSpace
from study.configuration.loading import load_config
from tests.conftest import call

EXAMPLES = Path(__file__).parent.parent / "examples"


@dataclass(frozen=True)
class Example:
    """A study file of examples/, by what it is judged, and what a dense network reaches at least.

    ``worst`` is where a network would be that has learned nothing.
    """

    name: str
    metric: str
    worst: float
    dense: float
    epochs: int


TASKS = [
    Example("own_task", "accuracy", worst=0.5, dense=0.8, epochs=2),
    Example("text_classifier", "accuracy", worst=0.5, dense=0.65, epochs=2),
    Example("character_lm", "perplexity", worst=128, dense=20, epochs=2),
    Example("segmentation", "dice", worst=0, dense=0.05, epochs=2),
    Example("imbalanced_table", "average_precision", worst=0.025, dense=0.3, epochs=2),
    Example("from_checkpoint", "accuracy", worst=0.1, dense=0.9, epochs=0),
]
WHOLE = "own_task"
"""The example that is run with its textbook run and confirmation; of others one trial is."""

SPARED = ("search.textbook=false", "confirm.share=0")

SMALL = (
    "space.rounds=2", "space.retrain_epochs=1", "sensitivity.seeds=1", "resources.max_concurrent=1",
)  # fmt: skip


def run(example: Example, folder: Path, cwd: Path) -> Path:
    """Call the study as its first lines say, made small; its folder."""
    changes = [*SMALL, f"task.epochs={example.epochs}"]
    if example.epochs:
        changes.append("space.rewind_epoch=1")
    if example.name != WHOLE:
        changes += SPARED
    file = Path("examples") / f"{example.name}.toml"
    given = str(file if cwd == folder else file.relative_to("examples"))
    trials = "2" if example.name == WHOLE else "1"
    answer = call(
        "run", given, "--name", "small", "--num-samples", trials,
        "--storage-path", str(folder / "studies"),
        *(part for change in changes for part in ("--set", change)), cwd=cwd,
    )  # fmt: skip
    assert answer.exit_code == 0, answer.output
    assert Path(answer.stdout.strip()) == folder / "studies" / "small" / "report.html"
    return folder / "studies" / "small"


def lines(folder: Path) -> list[dict[str, Any]]:
    files = sorted(folder.glob("trials/*/rounds.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def words_of(report: Path) -> str:
    """What a reader sees."""
    text = re.sub(r"<(script|style)\b.*?</\1>", " ", report.read_text(), flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


@pytest.mark.slow
@pytest.mark.parametrize("example", TASKS, ids=[example.name for example in TASKS])
def test_an_example_runs_and_its_report_is_of_its_metric(
    example: Example, ray_cluster: None, tmp_path: Path
) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("checkpoints"))
    # From the folder above, or from where the file is: modules are found either way.
    beside = TASKS.index(example) % 2 == 0
    folder = run(example, tmp_path, tmp_path / "examples" if beside else tmp_path)
    task = json.loads((folder / "task.json").read_text())
    assert task["metrics"][0]["name"] == example.metric
    rounds = lines(folder)
    assert {record["round"] for record in rounds} >= {0, 1}
    sign = 1 if example.dense > example.worst else -1
    for record in rounds:
        value = record[f"val_{example.metric}"]
        assert math.isfinite(value)
        assert 0 <= value <= (1 if sign > 0 else 1000)
        if record["round"] == 0:
            assert sign * value >= sign * example.dense
    report = words_of(folder / "report.html")
    assert example.metric.replace("_", " ") in report
    if example.metric != "accuracy":
        assert not re.search("accurac", report, re.I)


@pytest.mark.slow
def test_the_checkpoint_of_the_example_is_what_is_pruned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from safetensors.torch import load_file

    from study.pruning import PruningPlan, run_pipeline
    from study.tasks import load_task

    shutil.copy(EXAMPLES / "from_checkpoint.py", tmp_path / "pruned_checkpoint.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    task = load_task(object="pruned_checkpoint:task")
    (file,) = (tmp_path / "checkpoints").iterdir()
    model = task.build_model()
    model.load_state_dict(load_file(file))
    with torch.no_grad():
        right = model(task.data.validation.inputs).argmax(1) == task.data.validation.targets
    dense, *_ = run_pipeline(PruningPlan(sparsity=0.5, retrain_epochs=0), task)
    assert dense.val_accuracy == int(right.sum()) / len(right)
    assert dense.train_epochs == 0


def test_every_example_is_a_study_file_beside_its_module_of_which_a_test_runs() -> None:
    files = {file.stem for file in EXAMPLES.glob("*.toml")}
    assert files == {file.stem for file in EXAMPLES.glob("*.py")} == {e.name for e in TASKS}
    for name in files:
        source = (EXAMPLES / f"{name}.py").read_text()
        assert f"prune-study run examples/{name}.toml" in (
            ast.get_docstring(ast.parse(source)) or ""
        )
        config = load_config(EXAMPLES / f"{name}.toml")
        assert config.task.object == f"{name}:task"
        assert isinstance(config.space, SearchSpace)


def test_examples_import_from_the_facades_alone() -> None:
    facades = {"study", "study.pruning", "study.tasks", "search_spaces", "analysis"}
    for file in EXAMPLES.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                if str(name).partition(".")[0] in ("study", "search_spaces", "analysis"):
                    assert name in facades, f"{file.name}: {name}"
