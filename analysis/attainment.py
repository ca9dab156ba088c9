"""Fronts over seeds: what half of the seeds attain, the best and the worst of them."""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np
import pandas as pd

from analysis.objectives import DEFAULT_OBJECTIVES, Objectives, costs
from analysis.pareto import pareto_front


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
    least one run (the best), 1 for all of them (the worst).

    Parameters
    ----------
    points
        For example ``results.rounds``.
    objectives
        Two or three columns and their directions.
    by
        The column that tells the runs apart.
    shares
        In [0, 1].

    Returns
    -------
    DataFrame
        share, the objectives, and ``runs``, how many there were; ordered along each surface.

    References
    ----------
    Fonseca, Guerreiro, López-Ibáñez & Paquete 2011, "On the computation of the empirical
    attainment function".
    """
    fronts = pareto_front(points, objectives, by=by)
    values = costs(fronts, objectives)
    runs = fronts[by].factorize(sort=True)[0]
    count = len(np.unique(runs))
    columns = ["share", *objectives, "runs"]
    if count == 0:
        return pd.DataFrame(columns=columns)
    signs = np.array([-1.0 if way == "max" else 1.0 for way in objectives.values()])
    surfaces = []
    for share in shares:
        level = 100.0 * max(int(np.ceil(share * count - 1e-9)), 1) / count
        if count == 1:
            surface = values
        else:
            surface = moocore.eaf(values, runs + 1, percentiles=[level])[:, :-1]
        surface = surface[np.lexsort(surface.T[::-1])] * signs
        table = pd.DataFrame(surface, columns=list(objectives))
        table.insert(0, "share", share)
        surfaces.append(table.assign(runs=count))
    return pd.concat(surfaces, ignore_index=True)[columns]
