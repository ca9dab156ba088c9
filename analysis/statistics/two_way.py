"""How sure a difference is that was seen on a few seeds and some examples: both are samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from analysis.statistics.levels import checked_confidence

PART_SIZES = ("part_examples", "part_groups")
"""Columns of what records say of the sizes of parts."""


class TwoWay(NamedTuple):
    """A mean over seeds and examples, and how far from the truth it may be.

    ``error`` is its standard error and ``freedom`` the degrees of freedom of that; both are NaN
    with one seed, or one part of the examples, which says nothing of others. ``resolution`` is
    what one example is worth.
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


@dataclass(frozen=True, eq=False)
class Jackknifed:
    """A figure of some seeds, and the same without each part of the examples.

    Parameters
    ----------
    whole
        float64, shape (seeds,).
    without
        Shape (seeds, parts); NaN where the figure is not defined without a part.
    examples
        In each part, shape (parts,); None: as many in each.
    groups
        How many groups of equal size would say as much of what a part's groups have in common,
        shape (parts,): (sum of sizes)^2 / sum of squared sizes. None: parts are alike.
    """

    whole: np.ndarray
    without: np.ndarray
    examples: np.ndarray | None = None
    groups: np.ndarray | None = None

    @property
    def weights(self) -> np.ndarray:
        """Share of the examples in each part, shape (parts,)."""
        return _weights(self.examples, self.without.shape[1])

    def signed(self, sign: float) -> Jackknifed:
        """The figures times -1 where less is better."""
        return Jackknifed(sign * self.whole, sign * self.without, self.examples, self.groups)


def jackknifed(frame: pd.DataFrame, column: str, name: str, without: str = "without") -> Jackknifed:
    """The figures of records, a row a seed.

    Parameters
    ----------
    frame
        With ``column``, ``without``, ``part_examples`` and ``part_groups`` of the records.
    column
        The figure of all examples.
    name
        The metric.
    without
        Column of the figures without each part.
    """
    table = np.array([each[name] for each in frame[without]], dtype=np.float64)
    sizes = [_shared(frame, each, table.shape[1]) for each in PART_SIZES]
    return Jackknifed(frame[column].to_numpy(dtype=np.float64), table, *sizes)


def _shared(frame: pd.DataFrame, column: str, parts: int) -> np.ndarray | None:
    """What all records say of their parts; None where one is older and does not say."""
    told = {tuple(each) if isinstance(each, list | tuple) else () for each in frame[column]}
    if len(told) > 1 or not all(len(each) == parts for each in told):
        return None
    return np.array(told.pop(), dtype=np.float64)


def _weights(examples: np.ndarray | None, parts: int) -> np.ndarray:
    sizes = np.ones(parts) if examples is None else np.asarray(examples, dtype=np.float64)
    shares: np.ndarray = sizes / sizes.sum()
    return shares


def pseudo_values(figures: Jackknifed) -> np.ndarray:
    """What each part of a split contributes to a figure of the whole, shape (seeds, parts).

    Of a mean over examples these are the means of the parts, of whatever sizes. A part that is
    all of the examples has none: NaN.

    References
    ----------
    Busing, Meijer & van der Leeden 1999, "Delete-m jackknife for unequal m"; of equal parts these
    are Tukey's of 1958.
    """
    weights = figures.weights
    with np.errstate(divide="ignore", invalid="ignore"):
        values: np.ndarray = (figures.whole[:, None] - (1.0 - weights) * figures.without) / weights
    return values


def two_way(
    values: np.ndarray,
    resolution: float = 0.0,
    *,
    whole: np.ndarray | None = None,
    examples: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> TwoWay:
    """The mean of a table of which rows and columns are both drawn at random.

    A network that is trained again differs by its seed, and what it is judged on by its examples;
    an interval over seeds alone forgets the latter, one over examples the former. With a the
    variance of the mean as rows (seeds) tell it, b as columns (parts of the examples) do and e
    what is left, it is estimated by a + b - e, and by no less than the larger of a and b.

    b is the jackknife's: the mean moves by so much when a part is left out, which a part that
    holds many of the examples does most, be it of one group or of many. Its degrees of freedom
    are those of Bell and McCaffrey, for groups that vary alike: one that dominates leaves about
    one, since nothing else tells how groups of its weight vary. Together they are Satterthwaite's.

    Parameters
    ----------
    values
        float64, shape (seeds, parts), such as :func:`pseudo_values`.
    resolution
        Of a share 1 / examples, else 0. The standard error is no smaller: where networks differ
        on no example, the next one might have been one on which they do.
    whole
        The figures themselves, shape (seeds,), whose mean is told: of a metric that is no mean
        over examples pseudo-values serve for the error alone. None: the means of the rows.
    examples, groups
        As in :class:`Jackknifed`.

    References
    ----------
    Satterthwaite 1946, "An approximate distribution of estimates of variance components"; Owen
    2007, "The pigeonhole bootstrap", on what an interval must bear in such a table; Bell &
    McCaffrey 2002, "Bias reduction in standard errors for linear regression with multi-stage
    samples".
    """
    seeds, parts = values.shape
    weights = _weights(examples, parts)
    rows = values @ weights
    figures = rows if whole is None else whole
    mean = float(figures.mean())
    if seeds < 2 or parts < 2 or not np.isfinite(mean) or not np.isfinite(rows).all():
        return TwoWay(mean, np.nan, np.nan, seeds, resolution)
    columns = values.mean(axis=0)
    centre = float(columns @ weights)
    moves = (weights / (1.0 - weights)) ** 2 * (parts - 1) / parts
    left = values - rows[:, None] - columns[None] + centre
    of_seeds = float(figures.var(ddof=1)) / seeds
    of_parts = float(moves @ (columns - centre) ** 2)
    of_both = float((left**2 @ moves).sum()) / (seeds * (seeds - 1))
    freedom_parts = _freedom(weights, moves, np.ones(parts) if groups is None else groups)
    variance = max(of_seeds + of_parts - of_both, of_seeds, of_parts)
    terms = (
        (of_seeds, seeds - 1.0),
        (of_parts, freedom_parts),
        (of_both, (seeds - 1.0) * freedom_parts),
    )
    total = sum(term**2 / freedom for term, freedom in terms)
    least = min(seeds - 1.0, freedom_parts)
    freedom = min(max(variance**2 / total, least), 1e6) if total > 0 else least
    error = max(float(np.sqrt(variance)), resolution)
    return TwoWay(mean, error, freedom, seeds, resolution)


def _freedom(weights: np.ndarray, moves: np.ndarray, groups: np.ndarray) -> float:
    """Degrees of freedom of the variance over parts, each of so many groups that vary alike.

    Twice the squared expectation over the variance of a quadratic form of normal values.
    """
    centred = np.eye(len(weights)) - weights[None]
    form = centred.T @ (moves[:, None] * centred) / groups[None]
    return float(np.trace(form) ** 2 / np.trace(form @ form))


def paired_two_way(first: Jackknifed, second: Jackknifed, resolution: float = 0.0) -> TwoWay:
    """The mean of first minus second, of the same seeds on the same parts.

    Parts without which a metric is not defined, such as one that needs every class, are left out
    of the error.

    Parameters
    ----------
    first, second
        Figures of as many seeds, in the same order.
    resolution
        As in :func:`two_way`.
    """
    table = pseudo_values(first) - pseudo_values(second)
    defined = np.isfinite(table).all(axis=0)
    sizes = (None if each is None else each[defined] for each in (first.examples, first.groups))
    examples, groups = sizes
    return two_way(
        table[:, defined],
        resolution,
        whole=first.whole - second.whole,
        examples=examples,
        groups=groups,
    )
