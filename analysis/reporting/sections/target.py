"""The network that a study at one size was run for."""

from __future__ import annotations

import pandas as pd

from analysis.reading.candidates import dense_value, is_candidate, with_figures
from analysis.reading.results import Results
from analysis.reading.structures import has_units
from analysis.reporting.sections.bounds import bound_label
from analysis.spending.predicted_latency import predicted_latency
from analysis.statistics.replicates import searched
from study.objectives import Constraint
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
    if target is None:
        return []
    found = searched(results)
    rounds = found.rounds[is_candidate(found) & (found.rounds["round"] > 0).to_numpy()]
    limit = Constraint.parse(target)
    if rounds.empty:
        return _predicted_alone(found, target, limit, None)
    metric = results.quality
    best = rounds.sort_values(metric.column, ascending=metric.direction == "min").iloc[0]
    trial, round_ = best["trial_id"], int(best["round"])
    tell = Telling(metric, dense_value(found))
    words = (
        f"The best network with {target} is trial {trial}, round {round_}: "
        f"{tell.named(best[metric.column])} on the validation split, which chose it, with "
        f"{_size(best, limit)}{1 / best['theoretical_speedup']:.3g} of the dense network's "
        f"multiply-adds and a density of {best['density']:.3g}."
    )
    own = table[(table["trial_id"] == trial) & (table["round"] == round_)] if len(table) else table
    known = own[own["enough"] & own["drop_bound"].notna()] if len(own) else own
    if len(known):
        row = known.iloc[0]
        on_new = Telling(metric, row[f"dense_{metric.name}"])
        words += f" On new seeds it is {bound_label(row, on_new)}."
    else:
        words += f" It was not confirmed: prune-study confirm DIR --trial {trial} --round {round_}."
    return [
        f"{words} {export_command(results, trial, round_)} writes it.",
        *_predicted_alone(found, target, limit, float(best[metric.column])),
    ]


def _size(best: pd.Series, limit: Constraint) -> str:
    """Of a latency: what was measured, and what was predicted before."""
    if limit.column != "latency_ms":
        return ""
    measured = f"{best['latency_ms'] / best['dense_latency_ms']:.3g} of the dense network's latency"
    return (
        f"{measured}, measured ({best['latency_ms']:.3g} ms; predicted "
        f"{best['predicted_latency_ms']:.3g} ms), "
    )


def _predicted_alone(
    results: Results, target: str, limit: Constraint, best: float | None
) -> list[str]:
    """That better networks met a limit on latency by prediction, and not by the clock."""
    if limit.column != "latency_ms":
        return []
    metric = results.quality
    table = predicted_latency(results)
    missed = table[
        (table["predicted_share"] <= limit.limit) & (table["measured_share"] > limit.limit)
    ].merge(with_figures(results)[["trial_id", "round", metric.column]], on=["trial_id", "round"])
    if best is not None:
        is_better = Telling(metric).is_better
        missed = missed[[is_better(value - best) for value in missed[metric.column]]]
    if missed.empty:
        return []
    first = missed.sort_values(metric.column, ascending=metric.direction == "min").iloc[0]
    which = "" if best is None else " and better"
    return [
        f"{len(missed)} more predicted to have {target}{which} did not by the clock, which decides "
        f"here: such as trial {first['trial_id']}, round {int(first['round'])}, predicted to take "
        f"{first['predicted_share']:.3g} of the dense network's latency, and measured to take "
        f"{first['measured_share']:.3g}."
    ]


def export_command(results: Results, trial_id: str, round_: int) -> str:
    """The command that hands a network over, without what is dead in it where units were cut."""
    shrink = " --shrink" if has_units(results.structure_of(trial_id)) else ""
    return f"prune-study export DIR --trial {trial_id} --round {round_} -o network.onnx{shrink}"
