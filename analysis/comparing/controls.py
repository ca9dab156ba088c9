"""Networks beside their controls, paired by seed, on the examples that confirm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis.reading.candidates import with_figures
from analysis.reading.results import Results
from analysis.statistics.intervals import CONFIDENCE, t_interval
from analysis.statistics.two_way import PART_SIZES, TwoWay, jackknifed, paired_two_way
from study.records import CONTROLS, MetricRecord


def control_table(results: Results) -> pd.DataFrame:
    """Quality of replicated networks minus that of each control, over seeds and examples.

    Both are judged on the examples that confirm. Of studies of older versions, which have no such
    figures, it is the validation split, and the interval Student's over seeds alone.

    Returns
    -------
    DataFrame
        network (trial and round), control (see :data:`study.records.CONTROLS`), NAME and
        control_NAME (of the study's quality), difference, low, high (95 %), n (seeds), examples
        (that judged; missing where these are older), train_epochs (of the network, its dense run
        and every round included), control_train_epochs (that the weights of the control were
        trained). What diverged is left out.
    """
    name = results.quality.name
    rows = [
        {
            "network": network,
            "control": role,
            **_difference(results.quality, group, ("own", "control"), (name, f"control_{name}")),
            "train_epochs": group["own_epochs"].mean(),
            "control_train_epochs": group["train_epochs"].mean(),
        }
        for (network, role), group in _pairs(results).groupby(["network", "role"], sort=False)
    ]
    columns = ["network", "control", name, f"control_{name}", *_SPREAD]
    return pd.DataFrame(rows, columns=[*columns, "train_epochs", "control_train_epochs"])


def masks_alone(results: Results) -> pd.DataFrame:
    """What masks are worth where nothing else differs: same new weights, trained for as long.

    Returns
    -------
    DataFrame
        network (trial and round), reinit and shuffled_reinit (mean quality of these controls),
        difference, low, high (95 %), n (seeds), examples.
    """
    sides = ("reinit", "shuffled_reinit")
    of_parts = ["examples", *PART_SIZES]
    pairs = _pairs(results)[["network", "replicate", "role", *of_parts, *_FIGURES["control"]]]
    first, second = (
        pairs[pairs["role"] == role].rename(
            columns=dict(zip(_FIGURES["control"], names, strict=True))
        )
        for role, names in zip(sides, (_FIGURES["own"], _FIGURES["control"]), strict=True)
    )
    both = first.merge(second.drop(columns=of_parts), on=["network", "replicate"])
    rows = [
        {"network": network, **_difference(results.quality, group, ("own", "control"), sides)}
        for network, group in both.groupby("network", sort=False)
    ]
    return pd.DataFrame(rows, columns=["network", *sides, *_SPREAD])


_SPREAD = ("difference", "low", "high", "n", "examples")

_FIGURES = {"own": ("own", "own_without"), "control": ("control", "control_without")}
"""Columns of a side: the figure, and the same without each part of the examples."""


def _difference(
    quality: MetricRecord, group: pd.DataFrame, sides: tuple[str, str], names: tuple[str, str]
) -> dict[str, Any]:
    first, second = (group[side].to_numpy(dtype=np.float64) for side in sides)
    means = dict(zip(names, (first.mean(), second.mean()), strict=True))
    parts = [list(group[_FIGURES[side][1]]) for side in sides]
    if all(isinstance(each, dict) and quality.name in each for side in parts for each in side):
        figures = [jackknifed(group, each, quality.name, _FIGURES[each][1]) for each in sides]
        examples = int(group["examples"].min())
        resolution = 1.0 / examples if quality.unit == "share" else 0.0
        measured = paired_two_way(figures[0], figures[1], resolution)
        return {**means, **_told(measured), "examples": examples}
    spread = t_interval(first - second)
    interval = {"difference": spread.mean, "low": spread.low, "high": spread.high, "n": spread.n}
    return {**means, **interval, "examples": None}


def _told(measured: TwoWay) -> dict[str, Any]:
    low, high = measured.interval(CONFIDENCE)
    return {"difference": measured.mean, "low": low, "high": high, "n": measured.seeds}


def _pairs(results: Results) -> pd.DataFrame:
    """One row a control beside its network, ``own``, of the same seed, in the order of roles."""
    quality = results.quality
    found = results.controls
    network = with_figures(results)[["trial_id", "round", quality.column, "train_epochs"]]
    network = network.rename(columns={quality.column: "own_val", "train_epochs": "own_epochs"})
    judged = results.confirmation[["trial_id", "round", quality.confirm_column, "without"]]
    judged = judged.drop_duplicates(["trial_id", "round"], keep="last")
    judged = judged.rename(columns={quality.confirm_column: "own", "without": "own_without"})
    own = network.merge(judged, on=["trial_id", "round"], how="left")
    found = found.rename(columns={"without": "control_without"})
    pairs = found.merge(own.rename(columns={"trial_id": "replicate"}), on=["replicate", "round"])
    pairs["control"] = pairs[quality.confirm_column]
    # Of older versions neither has figures on what confirms.
    older = ~(np.isfinite(pairs["own"]) & np.isfinite(pairs["control"]))
    pairs["own"] = pairs["own"].where(~older, pairs["own_val"])
    pairs["control"] = pairs["control"].where(~older, pairs[quality.column])
    pairs = pairs[np.isfinite(pairs["own"]) & np.isfinite(pairs["control"])]
    named = "trial " + pairs["of"].astype("str") + ", round " + pairs["round"].astype("str")
    place = pairs["role"].map({role: place for place, role in enumerate(CONTROLS)})
    ordered: pd.DataFrame = pairs.assign(network=named, place=place).sort_values(
        ["of", "round", "place", "seed"]
    )
    return ordered
