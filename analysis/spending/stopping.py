"""How likely an early stop is wrong, judged by the trials that were let run on."""

from __future__ import annotations

from scipy.special import betaincinv

from analysis.reading.results import Results

LEAST_AUDITS = 5
"""Audited trials below which nothing is said of the chance that a stop is wrong."""


def stopping_audit(results: Results) -> dict[str, float]:
    """Early stopping and its audit.

    Returns
    -------
    dict
        ``stopped`` (trials that early stopping ended), ``audited`` (trials that were to be
        stopped and ran on to their end), ``reached_front`` (of these, how many joined the front
        after all), ``wrong_share`` (their share: the estimate of P(wrong | stopped), as audited
        trials are a random sample of those to be stopped), and ``wrong_bound`` (the one-sided 95 %
        Clopper-Pearson upper bound of that chance). The last two are NaN below
        :data:`LEAST_AUDITS` audited trials: then it is not known.

    References
    ----------
    Clopper and Pearson 1934, "The use of confidence or fiducial limits".
    """
    trials = results.trials
    stopped = int(trials["stop_reason"].isin(["future_dominated", "mo_asha"]).sum())
    ended = trials[trials["audited"].fillna(False) & trials["reached_front"].notna()]
    n, wrong = len(ended), int(ended["reached_front"].sum())
    known = n >= LEAST_AUDITS
    bound = float(betaincinv(wrong + 1, n - wrong, 0.95)) if wrong < n else 1.0
    return {
        "stopped": stopped,
        "audited": n,
        "reached_front": wrong,
        "wrong_share": wrong / n if known else float("nan"),
        "wrong_bound": bound if known else float("nan"),
    }
