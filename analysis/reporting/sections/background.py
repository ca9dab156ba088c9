"""What was run, whether a reviewer would accept it, and everything else that is on record."""

from __future__ import annotations

import shlex
from typing import Any

from analysis.judging.checks import checklist_frame
from analysis.judging.samples_budget import samples_budget
from analysis.judging.status import study_state
from analysis.reading.commands import command, short_place
from analysis.reading.results import Results
from analysis.reporting.page.document import Section, Table, as_table, count
from analysis.statistics.replicates import searched
from study.records import STUDY_FILE


def task_name(results: Results) -> str:
    """The task in a few words."""
    task = results.config.get("task", {})
    return str(task.get("object") or f"{task.get('model')} on {task.get('dataset')}")


def what_was_run(results: Results) -> Section:
    """Task, space, budget, machine, versions, seeds and command."""
    provenance, config = results.provenance, results.config
    facts: dict[str, Any] = {
        "task": task_name(results),
        "space": _space(config.get("space", {})),
        "search": _search(config.get("search", {})),
        "notes": "; ".join(provenance.get("notes") or []),
        "objectives": ", ".join(f"{n} ({way})" for n, way in results.objectives.items()),
        "trials": _trials(results),
        "budget": _budget(results),
        "examples": _examples(provenance.get("examples") or {}),
        "networks": f"{int((results.rounds['round'] > 0).sum()):,} pruned and evaluated",
        "seeds": ", ".join(str(seed) for seed in sorted(results.rounds["seed"].unique())),
        "command": shlex.join(provenance.get("command", [])),
        "started (UTC)": provenance.get("started_at", ""),
        "machine": f"{provenance.get('cpus', '?')} CPUs, {provenance.get('platform', '')}",
        "GPUs": ", ".join(provenance.get("gpus", [])) or "none",
        "python": provenance.get("python", ""),
        **provenance.get("packages", {}),
        "commit": provenance.get("git_commit") or "not a working copy",
    }
    rows = [[key, str(value)] for key, value in facts.items() if value != ""]
    return Section(
        "run", "What was run", tables=[Table("Settings", ["what", "value"], rows, words=True)]
    )


def reviewer(results: Results) -> Section:
    """The checklist of Blalock et al."""
    frame = checklist_frame(results)
    counts = frame["status"].value_counts()
    told = ", ".join(f"{counts.get(name, 0)} {name}" for name in ("PASS", "WARN", "FAIL"))
    return Section(
        "checklist",
        "Would a reviewer accept it?",
        [f"The recommendations of Blalock et al. 2020, evaluated on this study: {told}."],
        tables=[as_table("Checklist", frame, words=True)],
    )


def appendix(results: Results) -> Section:
    """Full tables, the study file, and where each number comes from."""
    rounds = results.rounds
    columns = [
        "trial_id", "round", "seed", "density", "compression_ratio", "theoretical_speedup",
        *(metric.column for metric in results.metrics), results.quality.test_column,
        "train_epochs", "wall_s",
    ]  # fmt: skip
    shown = rounds[[name for name in columns if name in rounds]]
    tables = [as_table("Every round of every trial", shown.head(MOST_ROWS), folded=True)]
    missing, place = [], short_place(results)
    if len(shown) > MOST_ROWS:
        missing.append(
            f"The table holds the first {MOST_ROWS} of {count(len(shown), 'round')}; all of them: "
            f"{command(results, 'table', 'rounds --format csv')}."
        )
    return Section(
        "appendix",
        "All figures, and how to get them",
        [
            "Every number above comes from the study's folder: rounds.jsonl and outcome.json in "
            "trials/ID and controls/ID, sensitivity.parquet, test.jsonl and events.jsonl. In "
            f"Python: results = analysis.load({place!r}), then results.trials, .rounds, .layers, "
            ".sensitivity, .controls. "
            "The same study file, seed and versions give the same numbers on a CPU at one worker."
        ],
        tables=tables,
        missing=missing,
        code=[("The whole study file", results.folders[0].read(STUDY_FILE).decode())],
    )


MOST_ROWS = 400
"""Rounds that the appendix prints: the file stays below a megabyte."""


def _space(space: dict[str, Any]) -> str:
    if space.get("function"):
        return f"function {space['function']}"
    names = (
        "structure", "unit_sparsity", "block", "width_multiple", "form", "per_layer", "density",
        "allocation", "threshold", "budget", "cost", "cost_exponent", "offset_scale", "saliency",
        "rounds", "cut",
        "floor", "schedule", "retrain", "rewind_epoch", "lr_rewind_epoch", "retrain_epochs",
        "retrain_lr", "retrain_lr_schedule", "optimizer_state", "layer_floor", "include", "exclude",
    )  # fmt: skip
    return "; ".join(
        f"{name} {_short(space[name])}" for name in names if space.get(name) not in (None, [], {})
    )


def _search(search: dict[str, Any]) -> str:
    parts = [str(search.get("sampler", ""))]
    is_sampled = search.get("sampler") != "stages"
    if is_sampled and search.get("every_round"):
        parts.append("every round teaches")
    if is_sampled and search.get("warm_start"):
        parts.append(f"warm start {_short(search['warm_start'])}")
    if search.get("early_stopping", "none") != "none":
        parts.append(f"early stopping {search['early_stopping']}")
    if search.get("extend"):
        parts.append("extension")
    parts += [str(constraint) for constraint in search.get("constraints", [])]
    if search.get("target"):
        parts.append(f"at {search['target']}")
    return "; ".join(parts)


def _trials(results: Results) -> str:
    trials = searched(results).trials
    counts = trials["status"].value_counts()
    told = ", ".join(f"{number} {status}" for status, number in counts.items())
    planned = results.config.get("study", {}).get("num_samples", len(trials))
    again = len(results.trials) - len(trials)
    replicates = f"; {count(again, 'replicate')} on further seeds" if again else ""
    return f"{told} of {planned}; the study is {study_state(results)}{replicates}"


def _budget(results: Results) -> str:
    """What of the budget of training examples was spent; empty where there was none."""
    budget = samples_budget(results)
    if budget is None:
        return ""
    return f"the search took {budget}{', which ended it' if budget.has_ended_it else ''}"


def _examples(examples: dict[str, int]) -> str:
    return ", ".join(f"{number:,} for {split}" for split, number in examples.items())


def _short(value: Any) -> str:
    if isinstance(value, dict) and {"low", "high"} <= set(value):
        return f"{value['low']} to {value['high']}"
    if isinstance(value, list):
        return ", ".join(str(each) for each in value)
    return str(value)
