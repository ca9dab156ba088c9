"""Which settings matter."""

from __future__ import annotations

from analysis.reading.results import Results
from analysis.reporting.page.document import Figure, Section
from analysis.reporting.page.drawing import figure
from analysis.settings.importance import importances, plot_importance
from analysis.settings.surrogate import trust
from analysis.statistics.replicates import searched
from analysis.style import label


def importance(results: Results) -> Section:
    """Permutation importance of every setting for every objective."""
    results = searched(results)
    figures: list[Figure] = []
    for objective in results.objectives:
        if objective not in results.trials:
            continue
        table = importances(results, objective)
        if table.empty:
            continue
        r2, sure = float(table["r2"].iloc[0]), table[table["low"] > 0]
        matters = (
            f"{sure.iloc[0]['parameter']} matters most of those that stand out from chance"
            if len(sure)
            else "no setting stands out from chance"
        )
        sentence = (
            f"For {label(objective)}, {matters}. The model behind this "
            f"explains {max(r2, 0):.0%} of the variance of trials it has not seen"
            f"{trust(r2)}."
        )
        figures.append(figure(sentence, plot_importance(results, objective), table))
    missing = []
    if not figures:
        missing.append(
            "Importances need at least ten finished trials whose settings and results vary: run "
            "more trials."
        )
    return Section("importance", "Which settings matter?", figures=figures, missing=missing)
