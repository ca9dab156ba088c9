"""How far a search is with its budget of training examples, and whether that ended it."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.reading.files.documents import BEGINS
from analysis.reading.results import Results
from analysis.spending.spending import round_costs, scan_train_samples
from analysis.statistics.replicates import searched
from study.records import SAMPLES_SPENT


@dataclass(frozen=True)
class SamplesBudget:
    """A budget of training examples, and what of it is spent.

    Parameters
    ----------
    budget
        Examples after which the search begins no further trial.
    spent
        What its trials and its scan took so far, a dense run that trials share counted once.
    has_ended_it
        Whether the search, as it was run last, ended because of it.
    """

    budget: int
    spent: float
    has_ended_it: bool

    def __str__(self) -> str:
        """In words: ``1,042 of 1,000 training examples``."""
        return f"{self.spent:,.0f} of {self.budget:,} training examples"


def samples_budget(results: Results) -> SamplesBudget | None:
    """The budget of training examples of a study; None where it has none.

    Parameters
    ----------
    results
        Of one study.
    """
    budget = results.config.get("study", {}).get("train_samples_budget")
    if budget is None:
        return None
    spent = round_costs(searched(results).rounds)["train_samples"].sum()
    told = results.events["event"]
    ended = told[told.isin([*BEGINS, SAMPLES_SPENT])]
    has_ended_it = bool(len(ended)) and ended.iloc[-1] == SAMPLES_SPENT
    return SamplesBudget(budget, float(spent) + scan_train_samples(results), has_ended_it)
