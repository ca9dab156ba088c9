"""The table of methods at equal multiply-adds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from benchmarks.search.sized import SEARCH
from benchmarks.search.sized_tasks import SizedSetting


def sized_table(setting: SizedSetting, folder: Path) -> str:
    """Test accuracy in percent by method, over the seeds that were run.

    A rival that was not run by itself is shown by the descent of the search that is such a run, and
    came to its end; of channels it may take a round more.
    Below the search stands what it had come to by the end of each stage. Beside each rival is what
    the search gains on it, over the seeds that both have: the mean over the levels, its standard
    error over seeds, and on how many seeds it is above 0.
    """
    methods = [*setting.rivals, SEARCH]
    runs = {name: _runs(folder, name) for name in methods}
    for seed, search in runs[SEARCH].items():
        for name, run in search.get("members", {}).items():
            runs[name].setdefault(seed, run)
    shares = [f"{level:.0%}" for level in setting.levels]
    head = ["method", "seeds", "examples", *shares, "mean", "search minus it", "search wins"]
    rows = [head, ["---"] * len(head)]
    rows += [_row(name, runs[name], runs[SEARCH]) for name in methods if runs[name]]
    stages = [name for run in runs[SEARCH].values() for name in _up_to(run)]
    for stage in dict.fromkeys(stages):
        own = {
            seed: _up_to(run)[stage] for seed, run in runs[SEARCH].items() if stage in _up_to(run)
        }
        rows.append([f"up to {stage}", *_row(SEARCH, own, {})[1:]])
    return "\n".join([f"**{setting.title}**", "", *(f"| {' | '.join(row)} |" for row in rows)])


def _up_to(run: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What a search had come to at the end of each of its stages but the last."""
    return {each["stage"]: each for each in run.get("stages", [])[:-1]}


def _runs(folder: Path, name: str) -> dict[int, dict[str, Any]]:
    found = folder.glob(f"{name}-[0-9]*.json")
    return {int(each.stem.rpartition("-")[2]): json.loads(each.read_text()) for each in found}


def _row(
    name: str, own: Mapping[int, dict[str, Any]], search: Mapping[int, dict[str, Any]]
) -> list[str]:
    tests = [_tests(run) for run in own.values()]
    levels = [f"{fmean(at):.1f}" for at in zip(*tests, strict=True)]
    examples = fmean(run["samples"] for run in own.values())
    row = [
        name,
        str(len(own)),
        f"{examples / 1e6:.2f} M",
        *levels,
        f"{fmean(map(fmean, tests)):.1f}",
    ]
    common = sorted(own.keys() & search.keys()) if name != SEARCH else []
    gains = [fmean(_tests(search[seed])) - fmean(_tests(own[seed])) for seed in common]
    return [
        *row,
        _spread(gains),
        f"{sum(gain > 0 for gain in gains)} of {len(gains)}" if gains else "",
    ]


def _tests(run: Mapping[str, Any]) -> Sequence[float]:
    return [100 * level["test"] for level in run["levels"]]


def _spread(gains: Sequence[float]) -> str:
    if len(gains) < 2:
        return "".join(f"{gain:+.1f}" for gain in gains)
    return f"{fmean(gains):+.1f} ± {stdev(gains) / math.sqrt(len(gains)):.1f}"
