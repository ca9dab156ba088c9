"""Fronts over seeds: what half of the seeds attain, the best and the worst of them."""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np
import pandas as pd

from analysis.fronts.pareto import pareto_front
from analysis.reading.objectives import DEFAULT_OBJECTIVES, Objectives, check_objectives, costs
from analysis.statistics.levels import checked_levels
from study.errors import UsageError, unknown_name


def attainment_surfaces(
    points: pd.DataFrame,
    objectives: Objectives = DEFAULT_OBJECTIVES,
    *,
    by: str = "seed",
    shares: Sequence[float] = (0.0, 0.5, 1.0),
) -> pd.DataFrame:
    """Fronts that a share of the runs attain.

    A run attains a point when its front has one that is no worse in any objective. The surface
    of share 0.5 is what at least half of the runs attain (the median front); 0 stands for at
    least one run (the best), 1 for all of them (the worst). Runs of which no point has a value
    attain nothing, and count.

    Parameters
    ----------
    points
        For example ``results.rounds``.
    objectives
        Two or three columns and their directions.
    by
        The column that tells the runs apart. A seed of one study and the same of another are two
        runs.
    shares
        In [0, 1].

    Returns
    -------
    DataFrame
        share, the objectives, and ``runs``, how many there were; ordered along each surface.

    Raises
    ------
    UsageError
        If there are not two or three objectives, a column does not exist, or a share is not in
        [0, 1].

    References
    ----------
    Fonseca, Guerreiro, López-Ibáñez & Paquete 2011, "On the computation of the empirical
    attainment function".
    """
    check_objectives(objectives)
    if len(objectives) not in (2, 3):
        raise UsageError(f"surfaces are attained in 2 or 3 objectives, not {len(objectives)}")
    levels = checked_levels("shares", shares, low_is_allowed=True)
    if max(levels) > 1:
        raise UsageError(f"shares: {max(levels):g} is not at most 1")
    if not isinstance(by, str) or by not in points.columns:
        raise unknown_name("by", str(by), points.columns)
    units = [by] if by == "study" or "study" not in points.columns else ["study", by]
    run = points.groupby(units, sort=True).ngroup()
    fronts = pareto_front(points.assign(_run=run), objectives, by="_run")
    values = costs(fronts, objectives)
    runs = np.unique(fronts["_run"].to_numpy(), return_inverse=True)[1]
    # A run without a value attains nothing; it counts all the same.
    count, with_front = int(run.max()) + 1 if len(run) else 0, len(np.unique(runs))
    columns = ["share", *objectives, "runs"]
    signs = np.array([-1.0 if way == "max" else 1.0 for way in objectives.values()])
    surfaces = [pd.DataFrame(columns=columns, dtype="float64")]
    for share in levels:
        needed = max(int(np.ceil(share * count - 1e-9)), 1)
        if needed > with_front:
            continue
        if with_front == 1:
            surface = values
        else:
            level = 100.0 * needed / with_front
            surface = moocore.eaf(values, runs + 1, percentiles=[level])[:, :-1]
        surface = surface[np.lexsort(surface.T[::-1])] * signs
        table = pd.DataFrame(surface, columns=list(objectives))
        table.insert(0, "share", share)
        surfaces.append(table.assign(runs=count))
    filled = [table for table in surfaces if len(table)]
    return pd.concat(filled, ignore_index=True)[columns] if filled else surfaces[0]
