"""How far a study is."""

from __future__ import annotations

import math
from dataclasses import asdict
from shlex import quote
from typing import Any

import numpy as np
import pandas as pd

from analysis.fronts.study_front import study_front
from analysis.judging.samples_budget import SamplesBudget, samples_budget
from analysis.judging.search_stages import stages_end
from analysis.reading.files.documents import BEGINS, ENDS
from analysis.reading.loading import Results
from analysis.statistics.replicates import searched
from study.owners import holder
from study.visible import visible

STATUSES = ("completed", "stopped", "errored", "running", "lost")


def study_state(results: Results) -> str:
    """How the study stands: see :class:`study.owners.Held`.

    Returns
    -------
    str
        ``"running"``, ``"finished"``, ``"interrupted"``, ``"failed"``, or ``"dead"`` where its
        driver is gone without a word. Of a study of an older version only what its events say.
    """
    told = results.events["event"]
    told = told[told.isin([*BEGINS, *ENDS])]
    said = "running" if told.empty or told.iloc[-1] in BEGINS else told.iloc[-1].split("_")[1]
    held = holder(results.folders[0])
    # Once the search is over, its driver confirms and reports.
    return said if held is None or held.standing == "running" else held.standing


def study_status(results: Results) -> dict[str, Any]:
    """Counts of trials, what went wrong, and the front so far, as plain data.

    Parameters
    ----------
    results
        Of a running or ended study.
    """
    trials, rounds = results.trials, results.rounds
    asked = searched(results).trials
    front, quality = study_front(results), results.quality
    budget = samples_budget(results)
    columns = list(dict.fromkeys(["density", results.size, quality.column, *results.objectives]))
    return {
        "study": results.name,
        "folder": results.folders[0].location,
        "state": study_state(results),
        "driver": _driver(results),
        "num_samples": results.config.get("study", {}).get("num_samples"),
        "search_end": stages_end(results),
        "samples_budget": None if budget is None else asdict(budget),
        "trials": {name: int((asked["status"] == name).sum()) for name in STATUSES},
        "replicates": len(trials) - len(asked),
        "rounds_finished": int((rounds["round"] > 0).sum()),
        "running": [
            {
                "trial_id": row.trial_id,
                "round": _plain(row.rounds_finished),
                "rounds": _plain(row.rounds),
                "density": _plain(row.density),
                quality.column: _plain(getattr(row, quality.column)),
            }
            for row in trials[trials["status"] == "running"].itertuples()
        ],
        "errors": {
            row.trial_id: row.error for row in trials[trials["status"] == "errored"].itertuples()
        },
        "quality": quality.name,
        "size": results.size,
        "constraints": [str(constraint) for constraint in results.constraints],
        "front": [
            {key: _plain(value) for key, value in row.items()}
            for row in front[["trial_id", "round", *columns]].to_dict("records")
        ],
        "problems": results.problems,
    }


def _driver(results: Results) -> dict[str, Any] | None:
    """Who runs the study, or did last, and when it was last heard of."""
    held = holder(results.folders[0])
    if held is None:
        return None
    last = held.owner.claimed_at if held.sign is None else held.sign.at
    why = "" if held.sign is None else held.sign.why
    return {"owner": held.owner.owner, "pid": held.owner.pid, "last_sign_at": last, "why": why}


def status_text(status: dict[str, Any]) -> str:
    """The same for a person."""
    counts = ", ".join(f"{count} {name}" for name, count in status["trials"].items() if count)
    replicates = f", {status['replicates']} replicates" if status["replicates"] else ""
    lines = [
        f"{status['study']}: {status['state']}, {counts or 'no trial yet'} of "
        f"{status['num_samples']}{replicates}; {status['rounds_finished']} pruned networks",
    ]
    lines += [f"  {status['search_end']}"] if status["search_end"] else []
    budget, driver = status["samples_budget"], status["driver"]
    if budget is not None:
        ended = "its budget is spent: " if budget["has_ended_it"] else ""
        lines.append(f"  {ended}trained on {SamplesBudget(**budget)}")
    if driver is not None and status["state"] in ("dead", "failed"):
        why = f": {driver['why']}" if driver["why"] else ""
        lines.append(
            f"  its driver ({driver['owner']}, process {driver['pid']}) "
            f"{'failed' if status['state'] == 'failed' else 'is gone'}, last heard of "
            f"{driver['last_sign_at']}{why}; go on with: prune-study resume "
            f"{quote(status['folder'])}"
        )
    quality, size = status["quality"], status["size"]
    lines += [
        f"  running {trial['trial_id']}: round {trial['round']}/{trial['rounds']}, "
        f"density {_number(trial['density'])}, {quality} {_number(trial[f'val_{quality}'])}"
        for trial in status["running"]
    ]
    lines += [f"  failed {trial}: {error}" for trial, error in status["errors"].items()]
    lines += [f"  {file} {problem}" for file, problem in status["problems"].items()]
    if status["front"]:
        lines.append(f"front ({quality}, {size}):")
    elif status["constraints"] and status["rounds_finished"]:
        lines.append(f"front: no network meets {' and '.join(status['constraints'])}")
    lines += [
        f"  {_number(point[f'val_{quality}'])}  {_size(size, point[size])}  "
        f"trial {point['trial_id']} round {point['round']}"
        for point in status["front"]
    ]
    return visible("\n".join(lines))


def _size(name: str, value: float) -> str:
    return _number(value) if name == "density" else f"{value:,.10g}"


def _plain(value: Any) -> Any:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.4f}" if abs(value) < 1000 else f"{value:,.0f}"
