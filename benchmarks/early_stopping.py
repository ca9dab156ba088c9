"""What early stopping saves, and how often it is wrong.

Each study is run twice with ``future_dominated``. Once without audits, which would give part of the
saving back: what a stopped trial was spared is what its coming rounds would have taken at its own
pace. And once with every trial that was to be stopped let run on, which tells how many of them
joined the front after all.
"""

from __future__ import annotations

from tempfile import TemporaryDirectory

import analysis
import study
from benchmarks.measuring import Figure
from study.configuration.loading import load_config

STUDIES = {"digits-mlp": 24, "mnist5k-lenet300": 48}
"""Preset and number of trials."""

WORTH_IT = 5.0
"""Percent of a study's examples below which stopping is off in its preset."""


def measure(quick: bool = False) -> list[Figure]:
    """Percent of the training examples that stopping saves, and of its stops that are wrong."""
    figures = []
    for preset, trials in STUDIES.items():
        saved, wrong = [], []
        for seed in range(1 if quick else 2):
            saved.append(100 * _saved(_run(preset, trials, seed, audit=0.0)))
            wrong += _wrong(_run(preset, trials, seed, audit=1.0))
        case = f"{preset}, {trials} trials"
        figures.append(Figure.of(case, "% of examples saved", saved, goal=f">= {WORTH_IT:g}"))
        if wrong:
            share = 100 * sum(wrong) / len(wrong)
            told = f"% of {len(wrong)} stops wrong"
            figures.append(Figure(case, told, share, share, share, len(wrong)))
    return figures


def _run(preset: str, trials: int, seed: int, audit: float) -> analysis.Results:
    changes = [
        'search.early_stopping="future_dominated"',
        f"search.stopping_audit={audit}",
        "report.test=false",
        "report.controls=false",
    ]
    with TemporaryDirectory() as folder:
        config = load_config(preset, changes)
        path = study.run(config, storage_path=folder, num_samples=trials, seed=seed)
        return analysis.load(path)


def _saved(results: analysis.Results) -> float:
    """Share of the examples that the study would have trained on."""
    cost = analysis.cost_summary(results)
    saved = cost["saved_by_stopping_train_samples"]
    return saved / (cost["spent_train_samples"] + saved)


def _wrong(results: analysis.Results) -> list[bool]:
    """Of each trial that was to be stopped, whether it joined the front."""
    reached = results.trials["reached_front"]
    return [bool(each) for each in reached[reached.notna()]]
