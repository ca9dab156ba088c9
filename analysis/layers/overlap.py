"""Do different trials and seeds keep the same weights? Overlap of masks, against chance."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from analysis.fronts.study_front import study_front
from analysis.reading.files.masks import read_masks
from analysis.reading.files.problems import told_problems
from analysis.reading.results import Results
from analysis.style import axes_or_new, entitle, plain, say
from study.errors import UsageError, unknown_name
from study.files.documents import noted
from study.records import TRIALS_DIR, round_state_file

MOST_NETWORKS = 10

ALL_LAYERS = "(all)"

Network = tuple[str, int]


def mask_overlap(results: Results, networks: Sequence[Network] | None = None) -> pd.DataFrame:
    """Overlap of the masks of pairs of networks, layer by layer and over all layers.

    Intersection over union, beside what independent masks of the same densities would have on
    average: ``ab / (a + b - ab)``. Masks of one trial's rounds are nested, and so overlap more
    than chance by design; ``same_trial`` tells them apart.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    networks
        Pairs of trial_id and round; unset: pruned networks spread over the front, ten at most.

    Returns
    -------
    DataFrame
        trial_a, round_a, trial_b, round_b, same_trial, same_seed, layer (``"(all)"`` for all
        together), density_a, density_b, iou, chance, excess: (iou - chance) / (1 - chance), 0
        for independent masks and 1 for equal ones. A mask that keeps nothing has NaN. Networks
        whose file is missing or damaged are left out.

    Raises
    ------
    UsageError
        If there is no such trial or round.
    """
    chosen = list(networks) if networks is not None else front_networks(results)
    _check(results, chosen)
    seeds = results.rounds.drop_duplicates("trial_id").set_index("trial_id")["seed"]
    masks = {network: found for network in chosen if (found := _masks(results, network))}
    rows: list[dict[str, object]] = [
        {
            "trial_a": a[0], "round_a": a[1], "trial_b": b[0], "round_b": b[1],
            "same_trial": a[0] == b[0], "same_seed": bool(seeds[a[0]] == seeds[b[0]]), **facts,
        }
        for a, b in combinations(masks, 2)
        for facts in _overlaps(masks[a], masks[b])
    ]  # fmt: skip
    columns = [
        "trial_a", "round_a", "trial_b", "round_b", "same_trial", "same_seed", "layer",
        "density_a", "density_b", "iou", "chance", "excess",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def front_networks(results: Results, most: int = MOST_NETWORKS) -> list[Network]:
    """Pruned networks of the front, spread evenly over it, the densest first."""
    front = study_front(results)
    front = front[front["round"] > 0].sort_values("density", ascending=False)
    if len(front) > most:
        step = (len(front) - 1) / max(most - 1, 1)
        front = front.iloc[[round(number * step) for number in range(most)]]
    return [(str(a), int(b)) for a, b in zip(front["trial_id"], front["round"], strict=True)]


def plot_mask_overlap(
    results: Results, networks: Sequence[Network] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw how far the masks of networks overlap beyond chance, over all layers.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    networks
        As in :func:`analysis.mask_overlap`.
    ax
        Where to draw; a new figure if unset.
    """
    table = mask_overlap(results, networks)
    table = table[table["layer"] == ALL_LAYERS]
    ax = axes_or_new(ax, height=4.8)
    if table.empty:
        return say(ax, "masks of at least two networks are needed;\nnone were kept")
    names = {}
    for side in ("a", "b"):
        for row in table[[f"trial_{side}", f"round_{side}", f"density_{side}"]].itertuples():
            names[row[1:3]] = f"{plain(row[1])} r{row[2]} ({100 * row[3]:.2g} %)"
    order = {network: place for place, network in enumerate(names)}
    square = np.full((len(order), len(order)), np.nan)
    for row in table.itertuples():
        a, b = order[row.trial_a, row.round_a], order[row.trial_b, row.round_b]
        square[a, b] = square[b, a] = row.excess
    sns.heatmap(
        pd.DataFrame(square, list(names.values()), list(names.values())), ax=ax, cmap="cividis",
        vmin=0, vmax=1, annot=len(order) <= 12, fmt=".2f", annot_kws={"fontsize": 7}, square=True,
        cbar_kws={"label": "overlap beyond chance (1: equal)"},
    )  # fmt: skip
    ax.set(xlabel="trial, round (density)", ylabel="")
    ax.tick_params(axis="x", labelsize=7, rotation=90)
    ax.tick_params(axis="y", labelsize=7, rotation=0)
    entitle(ax, f"masks of {len(order)} networks")
    return ax


def _check(results: Results, networks: Sequence[Network]) -> None:
    for trial_id, round_ in networks:
        own = results.rounds[results.rounds["trial_id"] == trial_id]
        if own.empty:
            raise unknown_name(
                "networks: trial", str(trial_id), results.rounds["trial_id"].unique()
            )
        if round_ < 1 or round_ not in set(own["round"]):
            have = ", ".join(str(each) for each in own["round"] if each > 0)
            raise UsageError(f"networks: trial {trial_id} has no round {round_}; it has {have}")


def _masks(results: Results, network: Network) -> dict[str, np.ndarray]:
    trial_id, round_ = network
    folder, trial = results.folder_of(trial_id), trial_id.rpartition("/")[2]
    place = (TRIALS_DIR, trial, round_state_file(round_))
    with told_problems(results.name, results.problems), noted(results.problems, *place):
        try:
            return read_masks(folder, trial, round_)
        except FileNotFoundError:
            pass  # it was not kept
    return {}


def _overlaps(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> list[dict[str, object]]:
    counts = []
    for layer, mask in a.items():
        other = b.get(layer)
        if other is not None and other.shape == mask.shape:
            both = int(np.count_nonzero(mask & other))
            kept = (int(np.count_nonzero(mask)), int(np.count_nonzero(other)))
            counts.append((layer, both, *kept, mask.size))
    rows = [_facts(*each) for each in counts]
    if counts:
        rows.append(_facts(ALL_LAYERS, *np.array([each[1:] for each in counts]).sum(axis=0)))
        # Chance over all layers is that of masks with these densities in each layer.
        shares = [(a / size, b / size, size) for _, _, a, b, size in counts]
        expected = sum(a * b * size for a, b, size in shares)
        either = sum((a + b - a * b) * size for a, b, size in shares)
        rows[-1] |= _against(rows[-1]["iou"], expected / either if either else np.nan)
    return rows


def _facts(layer: str, both: int, kept_a: int, kept_b: int, size: int) -> dict[str, object]:
    union = kept_a + kept_b - both
    a, b = kept_a / size, kept_b / size
    iou = both / union if union else np.nan
    chance = a * b / (a + b - a * b) if a + b else np.nan
    return {"layer": layer, "density_a": a, "density_b": b, "iou": iou, **_against(iou, chance)}


def _against(iou: object, chance: float) -> dict[str, object]:
    assert isinstance(iou, float)
    excess = (iou - chance) / (1.0 - chance) if chance < 1.0 else np.nan
    return {"chance": chance, "excess": excess}
