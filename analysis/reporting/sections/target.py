"""The network that a study at one size was run for."""

from __future__ import annotations

import pandas as pd

from analysis.reading.candidates import dense_value, is_candidate
from analysis.reading.results import Results
from analysis.reporting.sections.bounds import bound_label
from analysis.statistics.replicates import searched
from study.telling import Telling


def at_target(results: Results, table: pd.DataFrame) -> list[str]:
    """The best network of the size that ``search.target`` names, and whether it was confirmed.

    Parameters
    ----------
    results
        The study's.
    table
        Every network that was run again, of :func:`analysis.confirmed_networks`.
    """
    target = results.config.get("search", {}).get("target")
    found = searched(results)
    rounds = found.rounds[is_candidate(found) & (found.rounds["round"] > 0).to_numpy()]
    if target is None or rounds.empty:
        return []
    metric = results.quality
    best = rounds.sort_values(metric.column, ascending=metric.direction == "min").iloc[0]
    trial, round_ = best["trial_id"], int(best["round"])
    tell = Telling(metric, dense_value(found))
    words = (
        f"The best network with {target} is trial {trial}, round {round_}: "
        f"{tell.named(best[metric.column])} on the validation split, which chose it, with "
        f"{1 / best['theoretical_speedup']:.3g} of the dense network's multiply-adds and a density "
        f"of {best['density']:.3g}."
    )
    own = table[(table["trial_id"] == trial) & (table["round"] == round_)] if len(table) else table
    known = own[own["enough"] & own["drop_bound"].notna()] if len(own) else own
    if len(known):
        row = known.iloc[0]
        on_new = Telling(metric, row[f"dense_{metric.name}"])
        words += f" On new seeds it is {bound_label(row, on_new)}."
    else:
        words += f" It was not confirmed: prune-study confirm DIR --trial {trial} --round {round_}."
    return [f"{words} {export_command(results, trial, round_)} writes it."]


def export_command(results: Results, trial_id: str, round_: int) -> str:
    """The command that hands a network over, without what is dead in it where units were cut."""
    shrink = "" if results.structure == "weights" else " --shrink"
    return f"prune-study export DIR --trial {trial_id} --round {round_} -o network.onnx{shrink}"
