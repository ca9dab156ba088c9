"""The progress display: on a terminal, and elsewhere."""

import io
from typing import Any

from rich.console import Console

from study.configuration.loading import load_config
from study.records import MetricRecord
from study.terminal.progress import Progress
from tests.conftest import SMALL

OBJECTIVES = {"accuracy": "max", "density": "min"}
CONFIG = load_config(
    {**SMALL, "study": {"name": "small", "num_samples": 4}, "objectives": OBJECTIVES}
)
ACCURACY = MetricRecord(name="accuracy", direction="max", unit="share")


def result(round_: int, density: float, accuracy: float) -> dict[str, Any]:
    return {"round": round_, "rounds_planned": 3, "density": density, "val_accuracy": accuracy}


def tell(progress: Progress) -> None:
    progress.listen("training_dense_run", "", {})
    progress.listen("search_started", "", {})
    for trial in ("0000", "0001"):
        progress.listen("trial_started", trial, {})
        progress.listen("round_finished", trial, result(0, 1.0, 0.95))
        progress.listen("round_finished", trial, result(1, 0.4, 0.945))
    progress.listen("round_finished", "0000", result(2, 0.2, 0.90))
    progress.listen("trial_completed", "0000", result(2, 0.2, 0.90))


def shown(width: int) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=width, color_system=None)
    progress = Progress(CONFIG, ACCURACY, quiet=False, console=console)
    progress._is_live = False
    tell(progress)
    out.seek(0)
    out.truncate(0)
    console.print(progress.view())
    return out.getvalue()


def test_a_terminal_sees_the_trials_that_run_and_the_front_so_far() -> None:
    text = shown(100)
    assert "1/4 trials" in text
    assert "3 networks, 2 on the front" in text
    assert "within 1 point of dense: density 0.4 at 94.5%" in " ".join(text.split())
    assert text.count("●") == 2
    row = next(line for line in text.splitlines() if line.startswith("0001"))
    assert row.split() == ["0001", "1/3", "0.4", "94.5%"]
    assert not any(line.startswith("0000") for line in text.splitlines())


def test_nothing_is_wider_than_the_terminal() -> None:
    for width in (40, 80, 140):
        assert all(len(line) <= width for line in shown(width).splitlines())


def test_elsewhere_there_are_plain_lines() -> None:
    out = io.StringIO()
    with Progress(CONFIG, ACCURACY, quiet=False, console=Console(file=out, width=200)) as progress:
        tell(progress)
    text = out.getvalue()
    assert "\x1b" not in text
    assert "small: training the dense network\n" in text
    assert "small: searching\n" in text
    assert text.splitlines()[-1].startswith("small: searching")
    assert "1/4 trials" in text.splitlines()[-1]


def test_a_trial_that_is_lengthened_counts_once() -> None:
    out = io.StringIO()
    with Progress(CONFIG, ACCURACY, quiet=False, console=Console(file=out, width=200)) as progress:
        tell(progress)
        progress.listen("trial_started", "0000", {})
        progress.listen("trial_completed", "0000", result(3, 0.1, 0.8))
    assert "1/4 trials" in out.getvalue().splitlines()[-1]


def test_failed_and_stopped_trials_are_counted() -> None:
    out = io.StringIO()
    with Progress(CONFIG, ACCURACY, quiet=False, console=Console(file=out, width=200)) as progress:
        tell(progress)
        progress.listen("trial_errored", "0001", {})
        progress.listen("trial_stopped", "0002", {})
    assert "1 failed · 1 stopped early" in out.getvalue().splitlines()[-1]


def test_another_metric_is_told_under_its_name_and_without_percent() -> None:
    perplexity = MetricRecord(name="perplexity", direction="min", unit="amount")
    objectives = {"perplexity": "min", "density": "min"}
    config = CONFIG.model_copy(update={"objectives": objectives})
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, color_system=None)
    progress = Progress(config, perplexity, quiet=False, console=console)
    progress._is_live = False
    progress.listen("trial_started", "0000", {})
    for round_, density, value in ((0, 1.0, 30.0), (1, 0.4, 30.25), (2, 0.2, 40.0)):
        found = {"round": round_, "rounds_planned": 3, "density": density}
        progress.listen("round_finished", "0000", {**found, "val_perplexity": value})
    console.print(progress.view())
    text = out.getvalue()
    assert "within 1 % of dense: density 0.4 at perplexity 30.25" in " ".join(text.split())
    assert "trial  round  density  perplexity" in text
    assert "accuracy" not in text
    best = next(line for line in text.splitlines() if "│" in line)
    assert best.split()[0] == "30.25"
