"""The network that a study at one size was run for."""

from __future__ import annotations

import pandas as pd

from analysis.judging.to_confirm import best_at_target
from analysis.reading.candidates import dense_value, with_figures
from analysis.reading.commands import command, export_command
from analysis.reading.results import Results
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
    limit = results.target
    if limit is None:
        return []
    target, found = str(limit), searched(results)
    answers = best_at_target(results)
    if answers.empty:
        return _predicted_alone(found, target, limit, None)
    metric, best = results.quality, answers.iloc[0]
    trial, round_ = best["trial_id"], int(best["round"])
    tell = Telling(metric, dense_value(found))
    words = (
        f"The best network with {target} is trial {trial}, round {round_}, "
        f"{_confirmed(results, table, trial, round_)}: "
        f"{tell.named(best[metric.column])} on the validation split, which chose it, with "
        f"{_size(best, limit)}{1 / best['theoretical_speedup']:.3g} of the dense network's "
        f"multiply-adds and a density of {best['density']:.3g}."
    )
    return [
        f"{words} {export_command(results, trial, round_)} writes it.",
        *_predicted_alone(found, target, limit, float(best[metric.column])),
    ]


def _confirmed(results: Results, table: pd.DataFrame, trial: str, round_: int) -> str:
    """Whether the network was run again on new seeds, and what they say of it."""
    own = table[(table["trial_id"] == trial) & (table["round"] == round_)] if len(table) else table
    known = own[own["enough"] & own["drop_bound"].notna()] if len(own) else own
    if known.empty:
        how = command(results, "confirm", f"--round {round_}", trial)
        return f"which is not confirmed on new seeds ({how} does that)"
    row = known.iloc[0]
    on_new = Telling(results.quality, row[f"dense_{results.quality.name}"])
    return f"confirmed on new seeds as {bound_label(row, on_new)}"


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
