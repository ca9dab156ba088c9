"""Which settings of a plan matter, for each objective, and how sure that is."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
import optuna
import pandas as pd
from matplotlib.axes import Axes
from optuna.importance import (
    BaseImportanceEvaluator,
    FanovaImportanceEvaluator,
    PedAnovaImportanceEvaluator,
)

from analysis.reading.candidates import has_figures
from analysis.reading.results import Results
from analysis.reading.tasks import need_one_task
from analysis.settings.parameters import plan_parameters
from analysis.settings.surrogate import LEAST_GROUPS, as_numbers, fit_surrogate, trust
from analysis.style import axes_or_new, entitle, label, say, short, tidy
from study.errors import UsageError, unknown_name

Method = Literal["permutation", "fanova", "ped_anova"]

MOST_TESTED = 500
"""Unseen trials that are shuffled in each fold."""

SHARE = 0.8
"""Of the trials, in a resample."""

METHODS = ("permutation", "fanova", "ped_anova")


def importances(
    results: Results,
    objective: str | None = None,
    method: Method = "permutation",
    *,
    resamples: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """Importance of every setting that varied, on the last round of each trial.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    objective
        A column of ``results.trials`` such as ``"val_accuracy"`` or ``"density"``; unset: the
        study's quality.
    method
        ``"permutation"``: by how much the squared error of a surrogate on unseen trials grows
        when the setting is shuffled, as a share of the variance of all trials (above 1 where the
        shuffled setting misleads more than it ever told); settings that only some plans have are
        included.
        ``"fanova"`` and ``"ped_anova"``: Optuna's, normalised to a sum of 1, of settings that
        every plan has; the latter asks what matters among the best trials.
    resamples
        Subsamples of 80 % of the trials that show how stable the figures are.
    seed
        Of resampling and models.

    Returns
    -------
    DataFrame
        objective, parameter, importance (median over the resamples), low, high (their middle
        80 %; of permutation: of shuffles and folds), n (trials), r2 (of the surrogate on unseen
        trials; NaN for Optuna's). The most important first; empty with fewer than ten usable
        trials, or where the objective or all settings are constant.

    Raises
    ------
    UsageError
        If the method or the objective is unknown, or the studies are of different tasks.

    References
    ----------
    Hutter, Hoos & Leyton-Brown 2014, "An efficient approach for assessing hyperparameter
    importance"; Watanabe, Bansal & Hutter 2023, "PED-ANOVA".
    """
    objective = results.quality.column if objective is None else objective
    if method not in METHODS:
        raise unknown_name("method", method, METHODS)
    need_one_task(results, "importance", "Look at each study by itself.")
    if objective not in results.trials:
        raise unknown_name("objective", objective, results.trials.columns)
    trials = results.trials.drop_duplicates("trial_id").set_index("trial_id")
    if trials[objective].dtype.kind not in "fiu":
        raise UsageError(f"objective: {objective!r} is no number")
    diverged = set(results.rounds.loc[~has_figures(results), "trial_id"])
    counts = (trials["rounds_finished"] > 0) & ~trials.index.isin(diverged)
    usable = trials[counts & np.isfinite(trials[objective])]
    settings = plan_parameters(results).loc[usable.index]
    settings = settings.loc[:, settings.nunique(dropna=False) > 1]
    target = usable[objective].to_numpy(dtype=np.float64)
    columns = ["objective", "parameter", "importance", "low", "high", "n", "r2"]
    if len(usable) < LEAST_GROUPS or settings.empty or np.ptp(target) == 0:
        return pd.DataFrame(columns=columns)
    if method == "permutation":
        table = _permutation(settings, target, resamples, seed)
    else:
        table = _optuna(settings, target, method, results.direction_of(objective), resamples, seed)
    table = table.sort_values("importance", ascending=False, ignore_index=True, kind="stable")
    return table.assign(objective=objective, n=len(usable))[columns]


def plot_importance(
    results: Results,
    objective: str | None = None,
    method: Method = "permutation",
    *,
    resamples: int = 20,
    most: int = 12,
    ax: Axes | None = None,
) -> Axes:
    """Draw the importances of the settings, with their range over resamples.

    Parameters
    ----------
    results, objective, method, resamples
        As in :func:`analysis.importances`.
    most
        Settings to show at most.
    ax
        Where to draw; a new figure if unset.
    """
    objective = results.quality.column if objective is None else objective
    table = importances(results, objective, method, resamples=resamples)
    shown = table.head(most).iloc[::-1]
    ax = axes_or_new(ax, height=1.4 + 0.32 * max(len(shown), 2))
    if table.empty:
        return say(
            ax, f"importances need {LEAST_GROUPS} finished trials\nwhose settings and results vary"
        )
    tidy(ax)
    places = np.arange(len(shown))
    width = shown["importance"].to_numpy()
    ax.barh(places, width, color="#56B4E9", edgecolor="#0072B2", height=0.6)
    error = [
        np.maximum(width - shown["low"].to_numpy(), 0),
        np.maximum(shown["high"].to_numpy() - width, 0),
    ]
    ax.errorbar(width, places, xerr=error, fmt="none", ecolor="black", capsize=2, linewidth=1)
    ax.set_yticks(places, [short(str(name)) for name in shown["parameter"]])
    r2, n = float(table["r2"].iloc[0]), int(table["n"].iloc[0])
    names = {
        "permutation": "growth of error when shuffled (share of variance)",
        "fanova": "share of variance (fANOVA)",
        "ped_anova": "importance among the best (PED-ANOVA)",
    }
    honest = "" if np.isnan(r2) else f", R² on unseen trials {r2:.2f}{trust(r2)}"
    ax.set(xlabel=f"{names[method]}; lines: middle 80 %\nn = {n:,} trials{honest}")
    entitle(ax, f"what decides the {label(objective)}")
    return ax


def _permutation(
    settings: pd.DataFrame, target: np.ndarray, repeats: int, seed: int
) -> pd.DataFrame:
    features = as_numbers(settings)
    surrogate = fit_surrogate(features, target, np.arange(len(target)), seed)
    if surrogate is None:
        return pd.DataFrame(columns=["parameter", "importance", "low", "high", "r2"])
    variance = float(target.var())
    losses = []
    rng = np.random.default_rng(seed)
    for model, test in zip(surrogate.models, surrogate.tested, strict=True):
        # Measured in variance of all trials: R² of one small fold alone has a wild denominator.
        some = test[:MOST_TESTED]
        losses.append(_losses(model, features[some], target[some], max(repeats // 4, 2), rng))
    each = np.concatenate(losses) / variance
    low, high = np.quantile(each, [0.1, 0.9], axis=0)
    return pd.DataFrame(
        {
            "parameter": settings.columns,
            "importance": np.median(each, axis=0),
            "low": low,
            "high": high,
            "r2": surrogate.r2,
        }
    )


def _losses(
    model: Any, features: np.ndarray, target: np.ndarray, repeats: int, rng: np.random.Generator
) -> np.ndarray:
    """Growth of the squared error as each feature is shuffled, shape (repeats, features)."""
    rows, count = features.shape
    shuffled = np.broadcast_to(features, (repeats, count, rows, count)).copy()
    for repeat in range(repeats):
        for feature in range(count):
            shuffled[repeat, feature, :, feature] = features[rng.permutation(rows), feature]
    # One call for all: a call for each would spend its time on the way to the trees.
    predicted = model.predict(shuffled.reshape(-1, count)).reshape(repeats, count, rows)
    error = ((predicted - target) ** 2).mean(axis=2)
    grown: np.ndarray = error - ((model.predict(features) - target) ** 2).mean()
    return grown


def _optuna(
    settings: pd.DataFrame,
    target: np.ndarray,
    method: Method,
    best: Literal["max", "min"],
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    settings = settings.dropna(axis=1)
    columns = ["parameter", "importance", "low", "high", "r2"]
    if settings.empty:
        return pd.DataFrame(columns=columns)
    names = [str(name) for name in settings.columns]
    distributions = {name: _distribution(settings[name]) for name in names}
    trials = [
        optuna.create_trial(
            params={name: _plain(value) for name, value in zip(names, row, strict=True)},
            distributions=distributions,
            value=float(value),
        )
        for row, value in zip(settings.itertuples(index=False), target, strict=True)
    ]
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        # Without replacement: a tree takes a trial drawn twice for two that agree.
        places = rng.choice(len(trials), round(SHARE * len(trials)), replace=False)
        chosen = [trials[place] for place in places]
        found = _evaluate(chosen, method, best, seed)
        drawn.append([found.get(name, np.nan) for name in names])
    low, middle, high = np.nanquantile(np.array(drawn), [0.1, 0.5, 0.9], axis=0)
    total = middle.sum()  # medians of shares that sum to 1 do not quite
    rows = [
        (name, middle[place] / total, low[place] / total, high[place] / total, np.nan)
        for place, name in enumerate(names)
    ]
    return pd.DataFrame(rows, columns=columns)


def _evaluate(
    trials: list[Any], method: Method, best: Literal["max", "min"], seed: int
) -> dict[str, float]:
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        # PED-ANOVA compares the best trials with all, so it must know which end is best.
        study = optuna.create_study(direction="maximize" if best == "max" else "minimize")
        study.add_trials(trials)
        evaluator: BaseImportanceEvaluator = (
            FanovaImportanceEvaluator(n_trees=32, seed=seed) if method == "fanova" else _ped_anova()
        )
        return optuna.importance.get_param_importances(study, evaluator=evaluator)
    finally:
        optuna.logging.set_verbosity(verbosity)


def _ped_anova() -> BaseImportanceEvaluator:
    with warnings.catch_warnings():
        # Optuna calls it experimental up to version 4.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return PedAnovaImportanceEvaluator()


def _distribution(column: pd.Series) -> optuna.distributions.BaseDistribution:
    if column.dtype.kind == "f":
        return optuna.distributions.FloatDistribution(float(column.min()), float(column.max()))
    if column.dtype.kind in "iu":
        return optuna.distributions.IntDistribution(int(column.min()), int(column.max()))
    return optuna.distributions.CategoricalDistribution(sorted(column.unique()))


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
