"""What a study's conclusions rest on: new seeds, controls, a textbook run, a crossed design."""

from __future__ import annotations

from analysis.fronts.added import added_by
from analysis.fronts.confirmed import confirmed_networks, named_networks
from analysis.judging.check import Check
from analysis.judging.cross_table import aliased
from analysis.judging.to_confirm import best_descent, textbook_of
from analysis.reading.commands import command
from analysis.reading.results import Results
from analysis.statistics.replicates import drawn, searched
from study.records import CONTROLS

LEAST_SEEDS = 3

LEAST_TRIALS = 16
"""Trials below which settings that go together may do so by chance."""


def named_on_new_seeds(results: Results) -> Check:
    """Whether what is named was confirmed, and by what."""
    name = "what is named holds on new seeds, and on data that did not choose it"
    table = confirmed_networks(results)
    named = named_networks(results).dropna(subset=["trial_id"])
    confirm = command(results, "confirm")
    if table.empty:
        return Check(name, "FAIL", "no network was run again on new seeds", confirm)
    if named.empty:
        return Check(
            name, "WARN", "no network was shown to be within a tolerance of dense",
            f"more examples or seeds tell finer: {confirm} --trial ID --seeds N",
        )  # fmt: skip
    if named["contradicted"].eq(True).any():
        return Check(
            name, "WARN", "the test split contradicts the label of a named network",
            "report what the test split says beside it",
        )  # fmt: skip
    told = f"within {len(named)} of the tolerances, at least {named['n'].min()} seeds, "
    told += f"{named['examples'].min():,} examples"
    if not named["held_back"].all():
        return Check(
            name, "WARN", f"{told}, which are those of the search",
            "held_back = 0.5 under [confirm] keeps half of them from the search",
        )  # fmt: skip
    return Check(name, "PASS", f"{told} that the search did not see")


def literature_controls(results: Results) -> Check:
    """Whether a named network stands beside the controls that the literature asks for."""
    name = "controls: random reinit, also at equal epochs, and shuffled masks"
    remedy = command(results, "replicate", "--trial ID --round K --seeds 3")
    named = named_networks(results).dropna(subset=["trial_id"])
    pairs = set(zip(named["trial_id"], named["round"].astype("int64"), strict=True))
    found = results.controls
    own = [pair in pairs for pair in zip(found["of"], found["round"], strict=True)]
    found = found[own]
    if found.empty:
        return Check(name, "FAIL", "no controls of a named network were run", remedy)
    seeds = found.groupby("role")["seed"].nunique()
    absent = [role for role in CONTROLS if seeds.get(role, 0) < LEAST_SEEDS]
    left_out = set(results.left_out["role"])
    missing = [role for role in absent if role not in left_out]
    if missing:
        reason = f"fewer than {LEAST_SEEDS} seeds of {', '.join(missing)}"
        return Check(name, "WARN", reason, remedy)
    if absent:
        reason = f"the task allows no {', '.join(absent)}"
        return Check(name, "WARN", reason, "begin from fresh weights, where that is possible")
    return Check(name, "PASS", f"each on at least {seeds.min()} seeds, paired")


def textbook_baseline(results: Results) -> Check:
    """Whether the search is measured against a textbook run, on data that chose neither."""
    name = "one textbook run as the baseline of the search"
    parts = list(results.parts.values()) or [results]
    if any(textbook_of(part) is None for part in parts):
        return Check(name, "FAIL", "no textbook run was made", "textbook = true in [search]")
    for part in parts:
        confirm = command(part, "confirm")
        textbook, best = textbook_of(part), best_descent(searched(part))
        if confirmed_networks(part).empty:
            return Check(name, "WARN", "nothing was run again on new seeds beside it", confirm)
        if best is None or textbook is None or best == textbook:
            continue
        if added_by(part, best, textbook) is None:
            reason = "the search's gain over it is known only on the data that chose"
            return Check(name, "WARN", reason, confirm)
    told = "what the search added to it is told with an interval, or nothing beats it"
    return Check(name, "PASS", told)


def crossed_design(results: Results) -> Check:
    """Whether the effects of two settings can be told apart."""
    name = "no two settings of the trials are confounded"
    trials = drawn(results).trials
    if int((trials["rounds_finished"] > 0).sum()) < LEAST_TRIALS:
        reason = f"fewer than {LEAST_TRIALS} trials are too few to tell"
        return Check(name, "WARN", reason, "run more trials: a larger study.num_samples")
    pairs = aliased(drawn(results))
    if pairs:
        told = ", ".join(f"{pair.b} from {pair.a}" for pair in pairs)
        remedy = "run more trials, or raise search.exploration"
        return Check(name, "WARN", f"one follows from the other: {told}", remedy)
    return Check(name, "PASS", "in no pair of settings does one determine the other")
