"""Networks beside their controls, paired by seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis.reading.candidates import with_figures
from analysis.reading.results import Results
from analysis.statistics.intervals import t_interval
from study.records import CONTROLS


def control_table(results: Results) -> pd.DataFrame:
    """Quality of replicated networks minus that of each control, over seeds.

    Returns
    -------
    DataFrame
        network (trial and round), control (see :data:`study.records.CONTROLS`), NAME and
        control_NAME (of the study's quality), difference, low, high (95 % Student-t), n (seeds),
        train_epochs (of the network, its dense run and every round included),
        control_train_epochs (that the weights of the control were trained). What diverged is left
        out.
    """
    name, value = results.quality.name, results.quality.column
    rows = [
        {
            "network": network,
            "control": role,
            **_difference(group["own"], group[value], name, f"control_{name}"),
            "train_epochs": group["own_epochs"].mean(),
            "control_train_epochs": group["train_epochs"].mean(),
        }
        for (network, role), group in _pairs(results).groupby(["network", "role"], sort=False)
    ]
    columns = ["network", "control", name, f"control_{name}", "difference", "low", "high", "n"]
    return pd.DataFrame(rows, columns=[*columns, "train_epochs", "control_train_epochs"])


def masks_alone(results: Results) -> pd.DataFrame:
    """What masks are worth where nothing else differs: same new weights, trained for as long.

    Returns
    -------
    DataFrame
        network (trial and round), reinit and shuffled_reinit (mean quality of these controls),
        difference, low, high (95 % Student-t), n (seeds).
    """
    sides = ("reinit", "shuffled_reinit")
    pairs = _pairs(results)
    by_role = pairs.pivot_table(
        index=["network", "replicate"], columns="role", values=results.quality.column, sort=False
    )
    both = by_role.reindex(columns=list(sides)).dropna()
    rows = [
        {"network": network, **_difference(group[sides[0]], group[sides[1]], *sides)}
        for network, group in both.groupby("network", sort=False)
    ]
    return pd.DataFrame(rows, columns=["network", *sides, "difference", "low", "high", "n"])


def _difference(first: pd.Series, second: pd.Series, *names: str) -> dict[str, Any]:
    spread = t_interval((first - second).to_numpy())
    means = dict(zip(names, (first.mean(), second.mean()), strict=True))
    interval = {"difference": spread.mean, "low": spread.low, "high": spread.high, "n": spread.n}
    return {**means, **interval}


def _pairs(results: Results) -> pd.DataFrame:
    """One row a control beside its network, ``own``, of the same seed, in the order of roles."""
    value = results.quality.column
    found = results.controls[np.isfinite(results.controls[value])]
    own = with_figures(results)[["trial_id", "round", value, "train_epochs"]]
    own = own.rename(columns={"trial_id": "replicate", value: "own", "train_epochs": "own_epochs"})
    pairs = found.merge(own, on=["replicate", "round"])
    network = "trial " + pairs["of"].astype("str") + ", round " + pairs["round"].astype("str")
    place = pairs["role"].map({role: place for place, role in enumerate(CONTROLS)})
    pairs = pairs.assign(network=network, place=place)
    ordered: pd.DataFrame = pairs.sort_values(["of", "round", "place", "seed"])
    return ordered
