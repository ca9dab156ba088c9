"""Which settings matter."""

from __future__ import annotations

import pandas as pd

from analysis.reading.results import Results
from analysis.reporting.page.document import Figure, Section
from analysis.reporting.page.drawing import figure
from analysis.settings.importance import importances, plot_importance
from analysis.settings.surrogate import KNOWS_TOO_LITTLE, trust
from analysis.statistics.replicates import searched
from analysis.style import label
from study.objectives import is_size


def importance(results: Results) -> Section:
    """Permutation importance of every setting for every objective that settings do not fix."""
    results = searched(results)
    figures: list[Figure] = []
    for objective in results.objectives:
        # A size follows from the plan: that the sparsity decides the density is no finding.
        if objective not in results.trials or is_size(objective):
            continue
        table = importances(results, objective)
        if table.empty:
            continue
        sentence = f"For {label(objective)}, {what_matters(table)}"
        figures.append(figure(sentence, plot_importance(results, objective), table))
    missing = []
    if not figures:
        missing.append(
            "Importances need at least ten finished trials whose settings and results vary: run "
            "more trials."
        )
    return Section("importance", "Which settings matter?", figures=figures, missing=missing)


def what_matters(table: pd.DataFrame) -> str:
    """What a table of importances allows to say: nothing, that something matters, or what."""
    r2, sure = float(table["r2"].iloc[0]), table[table["low"] > 0]
    explained = f"{max(r2, 0):.0%}".removesuffix("%") + " %"
    unseen = "of the variance of trials that it has not seen"
    if not r2 >= KNOWS_TOO_LITTLE:
        return (
            f"the model of the settings knows too little to name any: it explains {explained} "
            f"{unseen}. That is no sign that none matters; run more trials."
        )
    if sure.empty:
        return (
            f"it is not known which setting matters: together they explain {explained} {unseen}"
            f"{trust(r2)}, and no single one stands out from chance."
        )
    names = [str(name) for name in sure["parameter"]]
    first, others = names[0], names[1:MOST_NAMED]
    also = f"; {' and '.join(others)} stand{'' if others[1:] else 's'} out too" if others else ""
    return (
        f"{first} matters most of those that stand out from chance{also}. The model behind this "
        f"explains {explained} {unseen}{trust(r2)}."
    )


MOST_NAMED = 3
"""Settings that a sentence names; the figure has all."""
