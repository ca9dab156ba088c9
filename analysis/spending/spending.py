"""What each round cost beyond what was paid for before it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.reading.results import Results

AMOUNTS = ("train_epochs", "train_samples", "wall_s")


def scan_train_samples(results: Results) -> float:
    """What the sensitivity scan before the search cost, in training examples.

    Its recovery training in full, the dense runs of its further seeds, and of each example that it
    evaluated a third. 0 without a scan, and of studies that did not write it down.
    """
    if results.parts:
        return sum(map(scan_train_samples, results.parts.values()))
    if results.events.empty:
        return 0.0
    scans = results.events.loc[results.events["event"] == "sensitivity_scanned", "detail"]
    # A study that is resumed tells of its scan once more, and does not make it again.
    return float(sum(detail.get("train_samples", 0) for detail in scans[-1:]))


def round_costs(rounds: pd.DataFrame) -> pd.DataFrame:
    """Epochs, examples and seconds that each round added, in the order of ``rounds``.

    The columns of ``rounds`` are cumulative within a trial and hold the dense run. Here each
    round has its own share, and the dense run, which the trials of a seed share, is charged
    once: to the trial whose dense round was recorded first. A trial whose record of round 0 is
    lost is not charged for it again; only where it is lost in all trials of a seed can the dense
    run not be told from their first rounds, and each is charged for it.

    Parameters
    ----------
    rounds
        ``results.rounds``, whole.

    Returns
    -------
    DataFrame
        train_epochs, train_samples and wall_s (seconds), with the index of ``rounds``.
    """
    amounts = rounds[list(AMOUNTS)].to_numpy(dtype=np.float64)
    if not len(rounds):
        return pd.DataFrame(amounts, index=rounds.index, columns=list(AMOUNTS))
    trial = rounds["trial_id"].factorize()[0]
    number = rounds["round"].to_numpy()
    order = np.lexsort((number, trial))
    added = amounts[order].copy()
    added[1:] -= np.where(np.diff(trial[order])[:, None] == 0, amounts[order][:-1], 0.0)
    result = np.empty_like(added)
    result[order] = added
    places = rounds[["study", "seed", "finished_at"]].assign(place=np.arange(len(rounds)))
    dense = places[number == 0].sort_values("finished_at", kind="stable")
    again = dense.duplicated(["study", "seed"])
    result[dense.loc[again, "place"]] = 0.0
    first = order[np.append(True, np.diff(trial[order]) != 0)]
    orphans = first[number[first] > 0]
    if len(orphans):
        paid = dense[~again].set_index(["study", "seed"])["place"]
        runs = pd.MultiIndex.from_frame(places.iloc[orphans][["study", "seed"]])
        payer = paid.reindex(runs).to_numpy(dtype=np.float64)
        known = ~np.isnan(payer)
        less = result[orphans[known]] - amounts[payer[known].astype(np.int64)]
        result[orphans[known]] = np.maximum(less, 0.0)
    return pd.DataFrame(result, index=rounds.index, columns=list(AMOUNTS))
