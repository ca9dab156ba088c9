"""How many early stops were wrong, judged by the trials that were let run on."""

from __future__ import annotations

from scipy.special import betaincinv

from analysis.reading.results import Results


def stopping_audit(results: Results) -> dict[str, float]:
    """Early stopping and its audit.

    Returns
    -------
    dict
        ``stopped`` (trials that early stopping ended), ``audited`` (trials that were to be
        stopped and ran on to their end), ``reached_front`` (of these, how many joined the front
        after all), ``wrong_share`` (their share; NaN without audited ones), with ``low`` and
        ``high``, the 95 % Clopper-Pearson interval.

    References
    ----------
    Clopper and Pearson 1934, "The use of confidence or fiducial limits".
    """
    trials = results.trials
    stopped = int(trials["stop_reason"].isin(["future_dominated", "mo_asha"]).sum())
    ended = trials[trials["audited"].fillna(False) & trials["reached_front"].notna()]
    n, wrong = len(ended), int(ended["reached_front"].sum())
    low = float(betaincinv(wrong, n - wrong + 1, 0.025)) if wrong else 0.0
    high = float(betaincinv(wrong + 1, n - wrong, 0.975)) if wrong < n else 1.0
    return {
        "stopped": stopped,
        "audited": n,
        "reached_front": wrong,
        "wrong_share": wrong / n if n else float("nan"),
        "low": low if n else float("nan"),
        "high": high if n else float("nan"),
    }
