"""Which networks hold on new seeds, and on examples that did not choose them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.reading.candidates import meets
from analysis.reading.results import Results
from analysis.statistics.levels import checked_levels
from analysis.statistics.replicates import MEASURES
from analysis.statistics.two_way import TwoWay, jackknifed, paired_two_way
from study.confirmation import seeds_needed
from study.records import MetricRecord
from study.telling import is_tolerable, scale

TOLERANCES = (0.005, 0.01, 0.02)
"""Of studies from before they said which."""

CONFIDENCE = 0.9
"""Likewise, of the bound that names a network."""


def confirmed_networks(results: Results) -> pd.DataFrame:
    """Every network that was run again on new seeds, and how far below dense it may be.

    Both the network and the dense one of the same seed are judged on the same examples; the bound
    is of their difference, over seeds and examples (:func:`analysis.statistics.two_way`). Where
    half of the examples were kept back, the search saw none of these.

    Returns
    -------
    DataFrame
        study, trial_id and round of the network that was run again; n (new seeds), examples,
        groups (of examples that belong together; missing where there are none), held_back; means
        over the seeds of density, compression_ratio, theoretical_speedup, train_epochs, macs,
        nonzero_parameters, ``confirm_NAME`` and ``dense_NAME`` of the study's quality;
        ``NAME_drop`` (how much worse than dense), drop_bound (its upper bound), drop_low and
        drop_high (the two-sided interval of which it is the upper end); confidence (that of a name,
        all descents together) and own_confidence (that of each bound: of several descents that
        were run again one may be lucky, so each is held to more); enough (whether it has the seeds
        that naming needs); meets_constraints; and of the test split test_NAME, test_dense,
        test_drop, test_low, test_high, test_examples, contradicted (whether the mean drop there
        lies above the bound; of an amount, as a share of the dense value of either split), NaN
        where it was not read. Infinite drops are of networks that diverged on a seed.
    """
    parts = results.parts or {results.name: results}
    tables = [_of_study(part, name if results.parts else "") for name, part in parts.items()]
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else tables[0]


def named_networks(results: Results, tolerances: Sequence[float] | None = None) -> pd.DataFrame:
    """The smallest network that was shown to be no more than tolerated worse than dense.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    tolerances
        As in :func:`analysis.smallest_within`; unset: those of the study's ``[confirm]``.

    Returns
    -------
    DataFrame
        A row a tolerance, for each study: ``tolerated_drop`` and the columns of
        :func:`confirmed_networks`; NaN where no network was confirmed to be that good.
    """
    rows: list[dict[str, Any]] = []
    for name, part in (results.parts or {results.name: results}).items():
        table = _of_study(part, name if results.parts else "")
        levels = tolerances_of(part) if tolerances is None else tolerances
        rows += [
            {"tolerated_drop": level, "study": name, **_smallest(part, table, level)}
            for level in checked_levels("tolerances", levels, low_is_allowed=True)
        ]
    table = pd.DataFrame(rows, columns=["tolerated_drop", *_columns(results.quality)])
    whole = ["round", "n", "examples", "groups", "test_examples"]
    return table.astype(dict.fromkeys(whole, "Int64"))


def tolerances_of(results: Results) -> tuple[float, ...]:
    """The tolerances of a study's ``[confirm]``."""
    return tuple(results.config.get("confirm", {}).get("tolerances", TOLERANCES))


def needed_seeds(results: Results, examples: int) -> int:
    """New seeds that naming needs where so many examples judge."""
    return seeds_needed(results.config.get("confirm", {}).get("seeds"), examples)


def _smallest(results: Results, table: pd.DataFrame, tolerance: float) -> dict[str, Any]:
    quality = results.quality
    good = is_tolerable(quality, table["drop_bound"], table[f"dense_{quality.name}"], tolerance)
    fit = table[good & table["enough"] & table["meets_constraints"]]
    if fit.empty:
        return {}
    ascending = results.direction_of(results.size) == "min"
    best = fit.sort_values([results.size, "drop_bound"], ascending=[ascending, True], kind="stable")
    return {str(name): value for name, value in best.iloc[0].items() if name != "study"}


def _columns(quality: MetricRecord) -> list[str]:
    name = quality.name
    return [
        "study", "trial_id", "round", "n", "examples", "groups", "held_back", *MEASURES,
        quality.confirm_column, f"dense_{name}", quality.drop_column, "drop_low", "drop_high",
        "drop_bound", "confidence", "own_confidence", "enough", "meets_constraints",
        quality.test_column,
        "test_dense", "test_drop", "test_low", "test_high", "test_examples", "contradicted",
    ]  # fmt: skip


def _of_study(results: Results, prefix: str) -> pd.DataFrame:
    """The confirmed networks of one study; its trials are called by ``prefix/ID`` among others."""
    quality = results.quality
    found = results.confirmation
    if found.empty:
        return pd.DataFrame(columns=_columns(quality)).astype(
            {"enough": "bool", "meets_constraints": "bool"}
        )
    # A seed that was run twice, to different rounds, is one seed.
    found = found.drop_duplicates(["replicate_of", "seed", "round"], keep="last")
    sizes = results.rounds.set_index(["trial_id", "round"])
    test = results.held_out.drop_duplicates(["trial_id", "round"], keep="last")
    test = test.set_index(["trial_id", "round"])
    confidence = float(results.config.get("confirm", {}).get("confidence", CONFIDENCE))
    own_confidence = 1.0 - (1.0 - confidence) / max(_descents(results, found), 1)
    rows = []
    for of, runs in found.groupby("replicate_of", sort=True):
        dense = runs[runs["round"] == 0].set_index("seed")
        lost = _diverged(runs, quality)
        for round_, own in runs[runs["round"] > 0].groupby("round", sort=True):
            own = own[own["seed"].isin(dense.index)].set_index("seed")
            if own.empty:
                continue
            row = _facts(results, own, dense.loc[own.index], sizes, own_confidence)
            row["confidence"] = confidence
            if any(at <= int(str(round_)) for at in lost):
                row |= dict.fromkeys([quality.drop_column, "drop_high", "drop_bound"], np.inf)
            row |= _on_test(quality, own, dense.loc[own.index], test, row, own_confidence)
            rows.append({"study": results.name, "trial_id": of, "round": round_, **row})
    every = pd.DataFrame(rows)
    of_metrics = {metric.confirm_column: metric.column for metric in results.metrics}
    table = every.reindex(columns=_columns(quality))
    table["meets_constraints"] = meets(results, every.rename(columns=of_metrics))
    if prefix:
        table = table.assign(study=prefix, trial_id=f"{prefix}/" + table["trial_id"].astype("str"))
    return table


def _descents(results: Results, found: pd.DataFrame) -> int:
    """How many trials were run again on enough seeds: of many, one is lucky.

    The chance that a bound is wrong is divided by their number (Bonferroni).
    """
    enough = needed_seeds(results, int(found["examples"].min()))
    return int((found.groupby("replicate_of")["seed"].nunique() >= enough).sum())


def _diverged(runs: pd.DataFrame, quality: MetricRecord) -> list[int]:
    """Rounds at which a seed ended because its network had diverged."""
    bad = ~np.isfinite(runs[quality.confirm_column].to_numpy(dtype=np.float64))
    return [int(round_) for round_ in runs.loc[bad, "round"]]


def _facts(
    results: Results, own: pd.DataFrame, dense: pd.DataFrame, sizes: pd.DataFrame, confidence: float
) -> dict[str, Any]:
    quality = results.quality
    examples = int(own["examples"].min())
    measured = drop_over_seeds(quality, own, dense, quality.confirm_column)
    low, high = measured.interval(_two_sided(confidence))
    keys = pd.MultiIndex.from_arrays([own["trial_id"], own["round"]])
    return {
        "n": len(own),
        "examples": examples,
        "groups": own["groups"].min(),
        "held_back": bool(own["held_back"].all()),
        **{name: float(sizes[name].reindex(keys).mean()) for name in MEASURES},
        **{m.confirm_column: float(own[m.confirm_column].mean()) for m in results.metrics},
        f"dense_{quality.name}": float(dense[quality.confirm_column].mean()),
        quality.drop_column: measured.mean,
        "drop_low": low,
        "drop_high": high,
        "drop_bound": measured.at_most(confidence),
        "own_confidence": confidence,
        "enough": len(own) >= needed_seeds(results, examples),
    }


def _two_sided(confidence: float) -> float:
    """Of the interval whose upper end is the one-sided bound."""
    return 2.0 * confidence - 1.0


def drop_over_seeds(
    quality: MetricRecord, own: pd.DataFrame, dense: pd.DataFrame, column: str
) -> TwoWay:
    """How much worse networks are than the dense ones of their seeds, over seeds and examples.

    Parameters
    ----------
    quality
        What they are judged by.
    own, dense
        A row a seed, in the same order, with ``column``, ``examples``, and what
        :func:`analysis.statistics.two_way.jackknifed` takes.
    column
        The figure of all examples.
    """
    sign = 1.0 if quality.direction == "max" else -1.0
    unpruned, pruned = (
        jackknifed(each, column, quality.name).signed(sign) for each in (dense, own)
    )
    resolution = 1.0 / float(own["examples"].min()) if quality.unit == "share" else 0.0
    return paired_two_way(unpruned, pruned, resolution)


def _on_test(
    quality: MetricRecord,
    own: pd.DataFrame,
    dense: pd.DataFrame,
    test: pd.DataFrame,
    row: dict[str, Any],
    confidence: float,
) -> dict[str, Any]:
    """The same networks on the test split, where all of them were read there."""
    reads = []
    for frame in (own, dense):
        keys = pd.MultiIndex.from_arrays([frame["trial_id"], frame["round"]])
        if not keys.isin(test.index).all():
            return {}
        reads.append(test.loc[keys])
    networks, unpruned = reads
    if not all(bool(each) for frame in reads for each in frame["without"]):
        return {}  # read by an older version, without its parts
    figures, dense_figures = networks[quality.test_column], unpruned[quality.test_column]
    if not np.isfinite(dense_figures).all():
        return {}
    known = {
        quality.test_column: float(figures.mean()),
        "test_dense": float(dense_figures.mean()),
        "test_examples": int(networks["examples"].min()),
    }
    if not np.isfinite(figures).all():
        return {**known, quality.test_column: np.nan, "test_drop": np.inf, "contradicted": True}
    measured = drop_over_seeds(quality, networks, unpruned, quality.test_column)
    low, high = measured.interval(_two_sided(confidence))
    # A label is in the unit of the tolerance, which of an amount is the dense value's own; and it
    # never says better than dense.
    shown = row["drop_bound"] / scale(quality, row[f"dense_{quality.name}"])
    found = measured.mean / scale(quality, known["test_dense"])
    return {
        **known,
        "test_drop": measured.mean,
        "test_low": low,
        "test_high": high,
        "contradicted": found > max(shown, 0.0),
    }
