"""Blalock et al.'s checklist for a pruning result, and what conclusions rest on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from analysis.fronts.choosing import RATIOS, operating_points
from analysis.judging.check import Check, Status
from analysis.judging.claims import (
    crossed_design,
    literature_controls,
    named_on_new_seeds,
    textbook_baseline,
)
from analysis.reading.candidates import has_figures, with_figures
from analysis.reading.commands import command, place_of
from analysis.reading.results import Results
from analysis.reading.tasks import differing_keys, differing_settings, task_name, tasks_of
from analysis.statistics.replicates import networks

LEAST_SEEDS = 3
LEAST_PAIRS = 3


def checklist(results: Results) -> list[Check]:
    """Evaluate the recommendations on one study, or on several together.

    References
    ----------
    Blalock et al. 2020, "What is the state of neural network pruning?", section 6 and
    appendix B.
    """
    checks = (check(results) for check in _CHECKS)
    return [check for check in checks if check is not None]


def checklist_frame(results: Results) -> pd.DataFrame:
    """The checklist as a table: name, status, reason, remedy."""
    columns = ["name", "status", "reason", "remedy"]
    return pd.DataFrame(
        [[getattr(check, name) for name in columns] for check in checklist(results)],
        columns=columns,
    )


def _pruned(results: Results) -> pd.DataFrame:
    rounds = with_figures(results)
    return rounds[rounds["round"] > 0]


def _task_is_named(results: Results) -> Check:
    name = "exact architecture, data and metrics are stated"
    known = [
        bool(task.get("object") or (task.get("model") and task.get("dataset")))
        for task in tasks_of(results).values()
    ]
    names = "; ".join(sorted({task_name(task) for task in tasks_of(results).values()}))
    if all(known):
        return Check(name, "PASS", f"{names}; {_metric(results)} on a validation split")
    remedy = "name dataset and model in [task]"
    return Check(name, "FAIL", "the study file does not name the task", remedy)


def _metric(results: Results) -> str:
    name = results.quality.name.replace("_", " ")
    return "top-1 accuracy" if name == "accuracy" else name


def _several_pairs(results: Results) -> Check:
    name = "at least three pairs of data and model, MNIST not counted"
    pairs = {task_name(task) for task in tasks_of(results).values()}
    counted = {pair for pair in pairs if "mnist" not in pair.replace("fashion", "")[-12:].lower()
               or "fashion" in pair.lower()}  # fmt: skip
    if len(counted) >= LEAST_PAIRS:
        return Check(name, "PASS", f"{len(counted)} pairs")
    remedy = (
        "run the same space on other tasks, and compare within them: "
        "prune-study compare DIR DIR DIR --by retrain"
    )
    return Check(name, "WARN", f"{len(counted)} of {LEAST_PAIRS} pairs that count", remedy)


def _both_costs(results: Results) -> Check:
    name = "compression ratio and theoretical speedup are both given"
    pruned = _pruned(results)
    if pruned.empty:
        return Check(name, "FAIL", "no pruned network was measured", _again(results))
    if pruned["theoretical_speedup"].isna().any():
        return Check(
            name, "WARN", "the multiply-adds of some networks are unknown",
            "see the operations under 'uncounted' in the rounds",
        )  # fmt: skip
    uncounted = sorted(set(", ".join(pruned["uncounted"].fillna("").unique()).split(", ")) - {""})
    if uncounted:
        reason = f"multiply-adds leave out {', '.join(uncounted)}"
        return Check(name, "WARN", reason, "state it beside the speedup")
    return Check(name, "PASS", "both, for every network")


def _top_5(results: Results) -> Check | None:
    if results.quality.name != "accuracy":
        return None
    name = "top-1 and top-5 accuracy"
    reason = "top-1 only; of ten classes, or about as many, top-5 says little"
    return Check(name, "WARN", reason, "for data of a hundred classes or more, report top-5 too")


def _dense_control(results: Results) -> Check:
    name = "an unpruned control of the same seeds"
    rounds = with_figures(results)
    dense = rounds[rounds["round"] == 0]
    with_dense = set(zip(dense["study"], dense["seed"], strict=True))
    pruned = _pruned(results)
    all_seeds = set(zip(pruned["study"], pruned["seed"], strict=True))
    if not all_seeds:
        return Check(name, "FAIL", "no pruned network was measured", _again(results))
    if all_seeds <= with_dense:
        n = len(all_seeds)
        more = sorted(set(results.controls["role"].dropna()))
        told = f"; of replicated networks also: {', '.join(more)}" if more else ""
        seeds = "each seed" if n > 1 else "the seed"
        return Check(name, "PASS", f"the dense network of {seeds}{told}")
    return Check(name, "FAIL", "some seeds have no dense network", _again(results))


def _operating_points(results: Results) -> Check:
    name = "the whole trade-off, at least five points such as 2, 4, 8, 16, 32 x"
    if _pruned(results).empty:
        return Check(name, "FAIL", "no pruned network was measured", _again(results))
    points = operating_points(results)
    missing = points[points["trial_id"].isna()]
    if missing.empty:
        return Check(name, "PASS", "a network near each of 2, 4, 8, 16 and 32 x")
    by_study = missing.groupby("study", sort=False)["near_ratio"]
    absent = "; ".join(
        f"none near {', '.join(f'{ratio:g}' for ratio in ratios)} x"
        + (f" in {study}" if results.parts else "")
        for study, ratios in by_study
    )
    fewest = len(RATIOS) - int(by_study.size().max())
    remedy = (
        f"widen the sparsities in [space], or take more samples: {_again(results)} --num-samples N"
    )
    return Check(name, "WARN" if fewest >= 3 else "FAIL", absent, remedy)


def _spread(results: Results) -> Check:
    name = "mean and standard deviation over seeds"
    points = operating_points(results) if len(_pruned(results)) else pd.DataFrame({"n": []})
    counts = points.loc[points["n"] > 0, "n"]
    remedy = (
        f"{command(results, 'replicate', '--trial ID --seeds 5')}, for each network that is "
        "reported"
    )
    if counts.empty:
        return Check(name, "FAIL", "no network near an operating point", remedy)
    if counts.min() >= LEAST_SEEDS:
        return Check(name, "PASS", f"at least {counts.min()} seeds at each operating point")
    most = int(networks(results)["n"].max())
    status: Status = "WARN" if most >= LEAST_SEEDS else "FAIL"
    fewest = int(counts.min())
    seeds = f"{fewest} seed{'s' if fewest > 1 else ''}"
    return Check(name, status, f"{seeds} at some operating points", remedy)


def _same_software(results: Results) -> Check:
    name = "the same libraries, loading and training for all methods"
    documents = list(results.provenance.values()) if results.parts else [results.provenance]
    documents = [document for document in documents if document]
    if not documents:
        remedy = "run the study with this program"
        return Check(name, "WARN", "there is no provenance.json", remedy)
    packages = [
        {"python": document.get("python"), **document.get("packages", {})} for document in documents
    ]
    differing = differing_keys(packages) + [
        f"task.{key} ({', '.join(studies)})" for key, studies in differing_settings(results).items()
    ]
    if differing:
        remedy = "run the studies in one environment, with one table [task]"
        return Check(name, "WARN", f"studies differ in {', '.join(differing)}", remedy)
    return Check(name, "PASS", "one program, environment and training recipe for every trial")


def _raw_figures(results: Results) -> Check:
    metric = results.quality.name.replace("_", " ")
    raw = "raw accuracies" if metric == "accuracy" else f"raw values of the {metric}"
    name = f"{raw}, not only differences"
    missing = int((~has_figures(results)).sum())
    if missing:
        reason = f"{missing} of {len(results.rounds)} networks have no finite {metric}"
        return Check(name, "WARN", reason, f"see why: {command(results, 'table', 'trials')}")
    if _pruned(results).empty:
        return Check(name, "FAIL", "no pruned network was measured", _again(results))
    told, table = dict.fromkeys([metric, "loss"]), command(results, "table", "rounds")
    return Check(name, "PASS", f"every round's {' and '.join(told)}: {table}")


def _rounds_that_cut(results: Results) -> Check | None:
    """Where a cut finds nothing to take, the round trains the network of the one before on."""
    rounds = results.rounds.sort_values(["study", "trial_id", "round"])
    before = rounds.groupby(["study", "trial_id"], sort=False)[["mask_hash", "density"]].shift()
    # A network that is not to be pruned, such as a control, has no cut that failed.
    same = (rounds["mask_hash"] == before["mask_hash"]) & (rounds["density"] < 1)
    if not same.any():
        return None
    found = rounds[same]
    first = found.iloc[0]
    reason = (
        f"{len(found)} round{'' if len(found) == 1 else 's'} found nothing to cut and trained the "
        f"network of the round before on, such as round {first['round']} of trial "
        f"{first['trial_id']}"
    )
    remedy = "fewer rounds, a smaller width_multiple, or larger cuts in [space]"
    return Check("each round's network is its own", "WARN", reason, remedy)


def _baselines(results: Results) -> Check:
    name = "random and magnitude pruning as baselines"
    tried = {str(each) for each in results.trials["saliency"].dropna()}
    random = any("random" in each for each in tried)
    magnitude = any("magnitude" in each for each in tried)
    if random and magnitude:
        return Check(name, "PASS", f"saliencies: {', '.join(sorted(tried))}")
    absent = [each for each, has in (("random", random), ("magnitude", magnitude)) if not has]
    remedy = 'saliency = ["magnitude", "random"] in [space]'
    status: Status = "WARN" if magnitude else "FAIL"
    return Check(name, status, f"no trial with {' nor '.join(absent)} saliency", remedy)


def _test_data(results: Results) -> Check:
    name = "no choice was made on test data"
    # A named network is read on each of its seeds: it is one network that was chosen.
    of = results.trials.drop_duplicates("trial_id").set_index("trial_id")["replicate_of"]
    pruned = results.rounds[results.rounds["round"] > 0]
    ids = pd.MultiIndex.from_frame(pruned[["trial_id", "round"]])
    apart = pd.MultiIndex.from_frame(results.held_out[["trial_id", "round"]])
    read = pruned[results.quality.test_column].notna() | ids.isin(apart)
    if not read.any():
        return Check(name, "PASS", "test data were not read for any pruned network")
    chosen = pruned[read].assign(of=pruned["trial_id"].map(of).fillna(pruned["trial_id"]))
    networks_read = len(chosen.drop_duplicates(["of", "round"]))
    told = f"{networks_read} chosen network{'' if networks_read == 1 else 's'}"
    if read.mean() > 0.5:
        reason = f"test data were read for {told}, most of the study"
        return Check(
            name, "WARN", reason, "read test data once, for the networks that are reported"
        )
    return Check(name, "PASS", f"test data were read for {told} only")


def _nothing_hidden(results: Results) -> Check:
    name = "failed and stopped trials are told of"
    counts = results.trials["status"].value_counts()
    if results.problems:
        reason = f"{len(results.problems)} files cannot be read"
        return Check(name, "WARN", reason, "restore them from a copy, or run those trials again")
    failed = int(counts.get("errored", 0))
    if failed:
        reason = f"{failed} of {len(results.trials)} trials failed"
        table, again = command(results, "table", "trials"), _again(results)
        remedy = f"see why: {table}; when that is mended: {again}"
        return Check(name, "WARN", reason, remedy)
    running = int(counts.get("running", 0))
    if running:
        reason = f"{running} trials have not ended"
        return Check(name, "WARN", reason, f"wait; of a study that was killed: {_again(results)}")
    said = ", ".join(f"{np.int64(n)} {status}" for status, n in counts.items()) or "no trials"
    return Check(name, "PASS" if len(results.trials) else "FAIL", said)


def _again(results: Results) -> str:
    """How the same study is run once more."""
    return f"prune-study run {place_of(results)}/study.toml --name ANOTHER"


_CHECKS: tuple[Callable[[Results], Check | None], ...] = (
    _task_is_named,
    _several_pairs,
    _both_costs,
    _top_5,
    named_on_new_seeds,
    textbook_baseline,
    _dense_control,
    literature_controls,
    _operating_points,
    _spread,
    crossed_design,
    _same_software,
    _raw_figures,
    _rounds_that_cut,
    _baselines,
    _test_data,
    _nothing_hidden,
)
