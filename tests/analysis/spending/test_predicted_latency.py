"""What was predicted of networks beside what a clock said."""

from pathlib import Path

import numpy as np
import pytest

import analysis
from analysis.reading.results import Results
from analysis.reporting.sections.headline import headline
from analysis.reporting.sections.smaller import smaller
from tests.analysis.layers.test_widths import timed
from tests.analysis.study_folders import searched_study


def predicted(results: Results, off: float) -> Results:
    """As if each prediction had been off by so much, and all of them twice as long."""
    rounds = timed(results).rounds
    share = rounds["latency_ms"] / rounds["dense_latency_ms"]
    pruned = rounds["round"] > 0
    rounds["predicted_latency_ms"] = 4.0 * share.where(~pruned, share * (1 + off))
    rounds.loc[~pruned, ["latency_ms", "predicted_latency_ms"]] = [2.0, 4.0]
    return Results(**{**vars(timed(results)), "rounds": rounds})


def test_errors_are_of_shares_of_the_dense_network(tmp_path: Path) -> None:
    results = analysis.load(searched_study(tmp_path))
    assert analysis.predicted_latency(timed(results)).empty
    table = analysis.predicted_latency(predicted(results, -0.1))
    assert len(table) == (results.rounds["round"] > 0).sum()
    assert table["error"].to_numpy() == pytest.approx(-0.1)
    assert table["measured_share"].is_monotonic_increasing
    points = analysis.plot_predicted_latency(predicted(results, -0.1)).collections[0].get_offsets()
    np.testing.assert_allclose(points, table[["predicted_share", "measured_share"]].to_numpy())


def test_the_section_tells_the_median_error(tmp_path: Path) -> None:
    results = analysis.load(searched_study(tmp_path))
    found = " ".join(str(f.finding) for f in smaller(predicted(results, -0.1)).figures)
    assert "median error of 10.0 %" in found
    assert "most were predicted to be quicker than measured" in found


def at(results: Results, target: str) -> Results:
    config = {**results.config, "search": {"target": target}}
    return Results(**{**vars(results), "config": config})


def test_the_clock_decides_which_network_meets_a_limit(tmp_path: Path) -> None:
    results = predicted(analysis.load(searched_study(tmp_path)), -0.2)
    rounds = results.rounds[results.rounds["round"] > 0]
    share = rounds["latency_ms"] / rounds["dense_latency_ms"]
    limit = float(share.quantile(0.5))
    fit = rounds[share <= limit]
    best = fit.loc[fit["val_accuracy"].idxmax()]
    first, *others = headline(at(results, f"latency_ms <= {limit!r}")).sentences
    assert f"is trial {best['trial_id']}, round {int(best['round'])}, which is" in first
    assert f"{share[best.name]:.3g} of the dense network's latency, measured" in first
    missed = rounds[(share > limit) & (0.8 * share <= limit)]
    better = missed[missed["val_accuracy"] > best["val_accuracy"]]
    assert len(better)
    assert others[0].startswith(f"{len(better)} more predicted to have latency_ms <= ")


def test_where_only_predictions_met_the_limit_it_is_said(tmp_path: Path) -> None:
    results = predicted(analysis.load(searched_study(tmp_path)), -0.2)
    rounds = results.rounds[results.rounds["round"] > 0]
    least = float((rounds["latency_ms"] / rounds["dense_latency_ms"]).min())
    sentences = headline(at(results, f"latency_ms <= {0.9 * least!r}")).sentences
    assert "did not by the clock, which decides here" in sentences[0]
    assert sentences[1].startswith("No network meets latency_ms <= ")
