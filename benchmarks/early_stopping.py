"""What early stopping saves: of the examples that studies would train on, the share it spared.

A study is run with ``future_dominated`` and without audits, which would give part of the saving
back. What a stopped trial was spared is what its coming rounds would have taken at its own pace.
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
"""Percent below which it is off by default."""


def measure(quick: bool = False) -> list[Figure]:
    """Percent of the training examples that stopping saved, and trials that were stopped."""
    figures = []
    for preset, trials in STUDIES.items():
        saved, stopped = [], []
        for seed in range(1 if quick else 2):
            share, number = _saving(preset, trials, seed)
            saved.append(100 * share)
            stopped.append(float(number))
        case = f"{preset}, {trials} trials"
        figures += [
            Figure.of(case, "% of examples saved", saved, goal=f">= {WORTH_IT:g}"),
            Figure.of(case, "trials stopped", stopped),
        ]
    return figures


def _saving(preset: str, trials: int, seed: int) -> tuple[float, int]:
    changes = [
        'search.early_stopping="future_dominated"',
        "search.stopping_audit=0.0",
        "report.test=false",
        "report.controls=false",
    ]
    config = load_config(preset, changes)
    with TemporaryDirectory() as folder:
        path = study.run(config, storage_path=folder, num_samples=trials, seed=seed)
        results = analysis.load(path)
    cost = analysis.cost_summary(results)
    saved = cost["saved_by_stopping_train_samples"]
    stopped = analysis.stopping_audit(results)["stopped"]
    return saved / (cost["spent_train_samples"] + saved), int(stopped)
