"""What a study's folder says that must be the same however often the study was killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.trial import TrialState

from study.storage import Folder
from study.tuning.search.journal import FolderJournal

TIMES = ("wall_s", "finished_at", "latency_ms", "latency_spread_ms", "dense_latency_ms",
         "predicted_latency_ms", "speedup_measured")  # fmt: skip
"""What two runs of the same thing may differ in."""

Records = dict[str, list[dict[str, Any]]]


def finished_rounds(study: Path) -> dict[str, str]:
    """When each finished round was finished, by trial and round."""
    found = {}
    for path in sorted(study.glob("trials/*/rounds.jsonl")):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            found[f"{path.parent.name}/{record['round']}"] = record["finished_at"]
    return found


def records(study: Path) -> Records:
    """All records that must be the same in each run of a study, by file."""
    found: Records = {}
    for path in sorted(study.glob("trials/*/rounds.jsonl")):
        lines = map(json.loads, path.read_text().splitlines())
        found[f"{path.parent.name}/rounds"] = [
            {key: value for key, value in line.items() if key not in TIMES} for line in lines
        ]
    for path in sorted(study.glob("trials/*/plan.json")):
        found[f"{path.parent.name}/plan"] = [json.loads(path.read_text())]
    for path in sorted(study.glob("trials/*/outcome.json")):
        outcome = json.loads(path.read_text())
        kept = ("status", "stop_reason", "rounds_finished", "rounds_planned")
        found[f"{path.parent.name}/outcome"] = [{key: outcome[key] for key in kept}]
    return found


def told(study: Path) -> tuple[list[str], int]:
    """What Optuna knows, trial by trial in any order, and how many of its trials are still open."""
    storage = JournalStorage(FolderJournal(Folder(study)))
    (name,) = optuna.get_all_study_names(storage)
    trials = optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)
    known = [t for t in trials if t.state == TrialState.COMPLETE]
    is_open = [t for t in trials if t.state in (TrialState.RUNNING, TrialState.WAITING)]
    facts = (
        (t.user_attrs.get("trial_id"), t.user_attrs.get("round"), t.params, t.values) for t in known
    )
    return sorted(map(repr, facts)), len(is_open)


def of_the_same_plans(found: Records, expected: Records) -> tuple[int, int]:
    """Trials of two studies that ran the same plan, and how many of them differ in a record.

    Of several trials at a time, what is drawn depends on which ends first, and which plan has which
    number with it: trials are compared by their plans.
    """
    mine, theirs = _by_plan(found), _by_plan(expected)
    shared = mine.keys() & theirs.keys()
    return len(shared), sum(mine[plan] != theirs[plan] for plan in shared)


def _by_plan(found: Records) -> dict[str, Any]:
    names = sorted({each.partition("/")[0] for each in found})
    by_plan = {}
    for name in names:
        rounds = [{**each, "trial_id": ""} for each in found.get(f"{name}/rounds", ())]
        plan = json.dumps(found[f"{name}/plan"], sort_keys=True)
        by_plan[plan] = (rounds, found.get(f"{name}/outcome"))
    return by_plan
