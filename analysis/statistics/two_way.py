"""How sure a difference is that was seen on a few seeds and some examples: both are samples."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from analysis.statistics.levels import checked_confidence


class TwoWay(NamedTuple):
    """A mean over seeds and examples, and how far from the truth it may be.

    ``error`` is its standard error and ``freedom`` the degrees of freedom of that; both are NaN
    with one seed, which says nothing of others. ``resolution`` is what one example is worth.
    """

    mean: float
    error: float
    freedom: float
    seeds: int
    resolution: float = 0.0

    def at_most(self, confidence: float) -> float:
        """The one-sided upper bound: the truth lies below it in this share of studies.

        Half an example is added, as counts are corrected for continuity: without it the bound of
        a share holds too rarely where few examples decide.
        """
        quantile = self._quantile(checked_confidence(confidence))
        return self.mean + quantile * self.error + self.resolution / 2

    def interval(self, confidence: float) -> tuple[float, float]:
        """The two-sided interval; each end is the bound of its side."""
        quantile = self._quantile(0.5 + checked_confidence(confidence) / 2)
        half = quantile * self.error + self.resolution / 2
        return self.mean - half, self.mean + half

    def _quantile(self, quantile: float) -> float:
        return float(stdtrit(self.freedom, quantile))


def pseudo_values(whole: np.ndarray, without: np.ndarray) -> np.ndarray:
    """What each part of a split contributes to a figure of the whole.

    Of a mean over examples these are the means of the parts, where those are of one size.

    Parameters
    ----------
    whole
        The figure, float64, shape (seeds,).
    without
        The figure of the split without each part, shape (seeds, parts).

    References
    ----------
    Tukey 1958, "Bias and confidence in not-quite large samples".
    """
    parts = without.shape[1]
    values: np.ndarray = parts * whole[:, None] - (parts - 1) * without
    return values


def two_way(values: np.ndarray, resolution: float = 0.0) -> TwoWay:
    """The mean of a table of which rows and columns are both drawn at random.

    A network that is trained again differs by its seed, and what it is judged on by its examples;
    an interval over seeds alone forgets the latter, one over examples the former. With a the mean
    square of rows (seeds), b that of columns (parts of the examples) and e that of what is left,
    the variance of the mean is estimated by (a + b - e) / (rows x columns), and by no less than the
    larger of a and b gives alone; its degrees of freedom are Satterthwaite's.

    Parameters
    ----------
    values
        float64, shape (seeds, parts), such as :func:`pseudo_values`.
    resolution
        Of a share 1 / examples, else 0. The standard error is no smaller: where networks differ
        on no example, the next one might have been one on which they do.

    References
    ----------
    Satterthwaite 1946, "An approximate distribution of estimates of variance components"; Owen
    2007, "The pigeonhole bootstrap", on what an interval must bear in such a table.
    """
    seeds, parts = values.shape
    mean = float(values.mean())
    if seeds < 2 or not np.isfinite(mean):
        return TwoWay(mean, np.nan, np.nan, seeds, resolution)
    rows, columns = values.mean(axis=1), values.mean(axis=0)
    of_seeds = float(rows.var(ddof=1)) / seeds
    if parts < 2:
        variance, freedom = of_seeds, seeds - 1.0
    else:
        of_parts = float(columns.var(ddof=1)) / parts
        left = values - rows[:, None] - columns[None] + mean
        freedom_left = (seeds - 1) * (parts - 1)
        of_both = float((left**2).sum()) / freedom_left / (seeds * parts)
        variance = max(of_seeds + of_parts - of_both, of_seeds, of_parts)
        terms = (of_seeds, seeds - 1), (of_parts, parts - 1), (of_both, freedom_left)
        total = sum(term**2 / freedom for term, freedom in terms)
        freedom = variance**2 / total if total > 0 else float(seeds - 1)
    freedom = min(max(freedom, float(seeds - 1)), 1e6)
    error = max(float(np.sqrt(variance)), resolution)
    return TwoWay(mean, error, freedom, seeds, resolution)


def paired_two_way(first: np.ndarray, second: np.ndarray, resolution: float = 0.0) -> TwoWay:
    """The mean of first minus second, of the same seeds on the same parts.

    Parameters
    ----------
    first, second
        Pseudo-values, shape (seeds, parts). Parts without which a metric is not defined, such as
        one that needs every class, are left out.
    resolution
        As in :func:`two_way`.
    """
    table = first - second
    defined = np.isfinite(table).all(axis=0)
    return two_way(table[:, defined] if defined.any() else table, resolution)
