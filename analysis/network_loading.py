"""The network of a trial, where torch is installed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from analysis.reading.results import Results

if TYPE_CHECKING:
    from torch import nn


def load_network(
    results: Results | str | os.PathLike[str],
    trial: str,
    round: int | None = None,
    *,
    trust_code: bool = False,
) -> nn.Module:
    """Load the network of a trial after one of its rounds; this alone of the analysis needs torch.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned, of one study or several; or a study's folder.
    trial
        As it is called in ``results.trials``.
    round, trust_code
        As in :func:`study.load_network`.

    Returns
    -------
    nn.Module
        In eval mode, on the CPU.

    Raises
    ------
    UsageError
        As :func:`study.load_network`.

    Examples
    --------
    >>> results = analysis.load("studies/digits-mlp")  # doctest: +SKIP
    >>> best = analysis.smallest_within(results).iloc[0]  # doctest: +SKIP
    >>> analysis.load_network(results, best["trial_id"], best["round"])  # doctest: +SKIP
    """
    import study  # its facade: torch comes with the first use of what needs it

    if not isinstance(results, Results):
        return study.load_network(results, trial, round, trust_code=trust_code)
    folder = results.folder_of(trial).location
    own = next((name for name in results.parts if trial.startswith(f"{name}/")), None)
    name = trial if own is None else trial.removeprefix(f"{own}/")
    chosen = None if round is None else int(round)  # of a frame it is one of numpy's
    return study.load_network(folder, name, chosen, trust_code=trust_code)
