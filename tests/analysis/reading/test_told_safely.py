"""Names and messages from a study folder do nothing to a terminal, a spreadsheet or a drawing."""

from __future__ import annotations

import csv
import io
import json
import warnings
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

import analysis
from analysis.style import plain, short
from analysis.tables import render_table
from study.configuration.loading import load_config
from study.terminal.progress import Progress
from tests.analysis.study_folders import ACCURACY, new_study, searched_study
from tests.conftest import SMALL, call

HOSTILE = "\x1b]0;owned\x07[/b]=1+1"


@pytest.mark.filterwarnings("default::study.files.problems.ProblemWarning")
def test_a_message_with_escape_sequences_is_shown_as_codes(tmp_path: Path) -> None:
    study = new_study(tmp_path / "s", name="s")
    study.trial("0000", status="errored", reason="error", error=HOSTILE)
    study.folder.write("{", "trials", f"{HOSTILE[:8]}x", "plan.json")
    for arguments in (("status",), ("table", "trials"), ("table", "trials", "--format", "csv")):
        shown = call(arguments[0], study.path, *arguments[1:])
        assert shown.exit_code == 0, shown.output
        assert "\\u001b]0;owned\\u0007[/b]=1+1" in shown.output
        assert "\x1b" not in shown.output
        assert "\x1b" not in shown.stderr


def test_brackets_in_names_are_no_marks_of_rich() -> None:
    shown = io.StringIO()
    config = load_config({**SMALL, "study": {"name": "small"}})
    console = Console(file=shown, width=120)
    with Progress(config, ACCURACY, quiet=False, console=console) as progress:
        progress.say(f"confirming trial {HOSTILE}")
        progress.listen("trial_started", f"0000[/b]{HOSTILE}", {})
        console.print(progress.view())
    assert "confirming trial \\u001b]0;owned\\u0007[/b]=1+1" in shown.getvalue()
    assert "0000[/b]" in shown.getvalue()
    assert "\x1b" not in shown.getvalue()


def test_no_cell_of_a_csv_is_a_formula_and_numbers_are_as_they_were() -> None:
    texts = ["=1+1", "+cmd", "-2+3", "@sum", "\tx", "\rx", "-1.5", "+2e3", "fine", "a\x1b[2J", None]
    frame = pd.DataFrame({"=name": texts, "number": [-1.5] * len(texts)})
    frame["flag"] = pd.array([True, None, False] + [True] * 8, dtype="boolean")
    rows = list(csv.DictReader(io.StringIO(render_table(frame, "csv").decode())))
    assert [row["'=name"] for row in rows] == [
        "'=1+1", "'+cmd", "'-2+3", "'@sum", "'\tx", "'\\u000dx", "-1.5", "+2e3", "fine",
        "a\\u001b[2J", "",
    ]  # fmt: skip
    assert {row["number"] for row in rows} == {"-1.5"}
    assert [row["flag"] for row in rows[:3]] == ["True", "", "False"]
    plain_rows = json.loads(render_table(frame, "json"))
    assert plain_rows[0]["=name"] == "=1+1"


def test_names_that_begin_with_an_underscore_are_in_every_legend(tmp_path: Path) -> None:
    layers = {"_hidden": (30, 40), "$x$": (10, 30)}
    paths = [searched_study(tmp_path / each, trials=12, name=each, layers=layers, rng_seed=number)
             for number, each in enumerate(("_c12", "_c13"))]  # fmt: skip
    for path in paths:
        study = new_study(Path(path), name=Path(path).name, layers=layers)
        study.trial("dead", rounds=1, sparsity={"_hidden": 1.0, "$x$": 1.0})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", analysis.ProblemWarning)
        one, both = analysis.load(paths[0]), analysis.load(paths)
    drawn = {
        "_hidden": [analysis.plot_sensitivity(one), analysis.plot_dead_units(one)],
        "_c12": [
            analysis.plot_comparison(both, "study"),
            analysis.plot_hypervolume(both),
            analysis.plot_pareto(both),
            analysis.plot_attainment(both),
            analysis.plot_rounds(both, hue="study"),
        ],
    }
    for name, axes in drawn.items():
        for ax in axes:
            legend = ax.get_legend()
            assert legend is not None, ax.get_title()
            told = " ".join(text.get_text() for text in legend.get_texts())
            assert name in told, ax.get_title()
            ax.figure.canvas.draw()  # a formula would be read now


@pytest.mark.parametrize("name", ["_child0", "a$b$", "\x1b[2J", "…"])
def test_a_name_is_shown_whatever_is_in_it(name: str) -> None:
    shown = plain(name)
    assert not shown.startswith("_")
    assert "\x1b" not in shown
    assert shown.count("$") == shown.count("\\$")
    assert short("_" + "x" * 60).startswith("…")
