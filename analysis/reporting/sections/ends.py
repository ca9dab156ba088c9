"""What failed or was stopped and why, and what stopping and sharing saved."""

from __future__ import annotations

import pandas as pd

from analysis.judging.samples_budget import samples_budget
from analysis.reading.candidates import has_figures
from analysis.reading.results import Results
from analysis.reporting.page.document import Section, as_table, count
from analysis.reporting.page.drawing import figure
from analysis.spending.cost import cost_data, cost_summary, plot_cost
from analysis.spending.stopping import LEAST_AUDITS, stopping_audit
from analysis.statistics.replicates import searched
from study.telling import percent


def ends(results: Results) -> Section:
    """Trials that did not run to their end, and the cost of all."""
    trials = searched(results).trials
    again = len(results.trials) - len(trials)
    counts = trials["status"].value_counts()
    told = ", ".join(f"{number} {status}" for status, number in counts.items())
    cost = cost_summary(results)
    sentences = [
        f"{count(len(trials), 'trial')}: {told}"
        + (f"; and {count(again, 'replicate')} on further seeds." if again else "."),
        f"All trials together trained for {cost['spent_train_epochs']:,.0f} epochs. Sharing the "
        f"dense run saved {cost['saved_by_sharing_train_epochs']:,.0f}, stopping early "
        f"{cost['saved_by_stopping_train_epochs']:,.0f}.",
        *_budget(results),
        *_audit(results),
    ]
    if len(results.controls):
        took = float(results.controls["train_samples"].sum())
        sentences.append(f"Controls took {took:,.0f} training examples beside these.")
    other = results.trials[results.trials["status"] != "completed"]
    columns = ["trial_id", "status", "stop_reason", "rounds_finished", "rounds", "error"]
    tables = []
    if len(other):
        tables.append(as_table("Trials that did not complete", other[columns], words=True))
    lost = diverged(results)
    if len(lost):
        sentences.append(
            f"{count(len(lost), 'network')} diverged: not all figures of "
            f"{'it' if len(lost) == 1 else 'them'} are finite, so "
            f"{'it is' if len(lost) == 1 else 'they are'} on no front and in no comparison."
        )
        tables.append(as_table("Networks that diverged", lost))
    sentences += [f"{file} {problem}" for file, problem in results.problems.items()]
    return Section(
        "ends",
        "What failed, what was stopped, what was saved",
        sentences,
        figures=[figure(_where(results), plot_cost(results), cost_data(results))],
        tables=tables,
    )


def diverged(results: Results) -> pd.DataFrame:
    """The networks of which not all figures are finite."""
    columns = ["trial_id", "round", "seed", "density"]
    columns += [metric.column for metric in results.metrics]
    return results.rounds.loc[~has_figures(results), columns]


def _where(results: Results) -> str:
    """What most of the epochs were for."""
    spent = cost_data(results).sum().filter(regex="^(?!saved)")
    if spent.sum() == 0:
        return "No epoch was finished."
    return f"{percent(spent.max() / spent.sum(), 0)} of the epochs spent went to {spent.idxmax()}."


def _budget(results: Results) -> list[str]:
    budget = samples_budget(results)
    if budget is None or not budget.has_ended_it:
        return []
    return [
        f"The search ended because its budget of {budget.budget:,} training examples was spent; "
        f"with the trials that were under way then it took {budget.spent:,.0f}."
    ]


def _audit(results: Results) -> list[str]:
    audit = stopping_audit(results)
    if not audit["stopped"] and not audit["audited"]:
        return []
    begin = f"Early stopping ended {count(int(audit['stopped']), 'trial')}. "
    ran_on = f"{count(int(audit['audited']), 'audit')}"
    if audit["audited"] < LEAST_AUDITS:
        return [
            f"{begin}How likely a stop is wrong is not known: {ran_on} (of trials to be stopped "
            f"that ran on all the same), and {LEAST_AUDITS} are needed."
        ]
    return [
        f"{begin}Of those to be stopped {audit['audited']:.0f} ran on all the same, and "
        f"{audit['reached_front']:.0f} of these reached the front: the chance that a stop is wrong "
        f"is estimated at {percent(audit['wrong_share'])}, and is at most "
        f"{percent(audit['wrong_bound'])} (95 % upper bound, Clopper-Pearson)."
    ]
