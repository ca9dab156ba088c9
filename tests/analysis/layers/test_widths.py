"""Widths of layers in networks on the front, and what their networks take in time."""

from pathlib import Path

import numpy as np
import pytest

import analysis
from analysis.reading.results import Results
from analysis.reporting.sections.smaller import smaller
from tests.analysis.study_folders import searched_study


def timed(results: Results) -> Results:
    """As if each network had been half as fast again as its multiply-adds promise."""
    rounds = results.rounds.copy()
    rounds["dense_latency_ms"] = 2.0
    rounds["speedup_measured"] = rounds["theoretical_speedup"] / 2
    rounds["latency_ms"] = 2.0 / rounds["speedup_measured"]
    rounds["latency_spread_ms"] = 0.01
    config = {
        **results.config,
        "space": {"structure": "channels"},
        "latency": {"backend": "eager", "batch_size": 4, "threads": 2},
    }
    return Results(**{**vars(results), "rounds": rounds, "config": config})


def test_widths_are_the_units_that_are_left(tmp_path: Path) -> None:
    results = analysis.load(searched_study(tmp_path))
    table = analysis.layer_widths(results, most_networks=3)
    assert table.columns[0] == "dense"
    assert len(table.columns) == 4
    layers = results.layers.set_index(["trial_id", "round", "layer"])
    for network in table.columns[1:]:
        trial, round_ = network.removeprefix("trial ").split(", round ")
        for layer, width in table[network].items():
            own = layers.loc[(trial, int(round_), layer)]
            assert width == own["outputs"] - own["dead_outputs"]
            assert table.loc[layer, "dense"] == own["outputs"]
    axes = analysis.plot_widths(results)
    drawn = [line.get_ydata() for line in axes.lines if len(line.get_xdata()) == len(table)]
    assert any(np.array_equal(ys, analysis.layer_widths(results).iloc[:, 1]) for ys in drawn)


def test_latency_is_told_against_what_multiply_adds_promise(tmp_path: Path) -> None:
    results = analysis.load(searched_study(tmp_path))
    assert analysis.measured_latency(results).empty
    table = analysis.measured_latency(timed(results))
    assert table["share_of_promise"].round(9).eq(0.5).all()
    assert table["latency_ms"].is_monotonic_increasing
    points = analysis.plot_latency(timed(results)).collections[0].get_offsets()
    expected = table[["theoretical_speedup", "speedup_measured"]].to_numpy()
    np.testing.assert_allclose(np.sort(np.asarray(points), axis=0), np.sort(expected, axis=0))


def test_the_section_says_how_much_of_the_promise_is_kept(tmp_path: Path) -> None:
    results = analysis.load(searched_study(tmp_path))
    plain, section = smaller(results), smaller(timed(results))
    assert len(plain.missing) == 2
    assert not section.missing
    found = " ".join(str(figure.finding) for figure in section.figures)
    assert "eager, batches of 4, 2 threads" in found
    assert "50 % of the speedup" in found
    slow = int((analysis.measured_latency(timed(results))["speedup_measured"] < 1).sum())
    assert (f"{slow} of" in found) == (slow > 0)


@pytest.mark.parametrize(
    ("structure", "said"),
    [
        ("weights", "Single weights were removed"),
        (["weights", "2:4"], r"Zeros of a regular form were made (2:4)"),
        ({"fc*": "blocks"}, "(blocks)"),
    ],
)
def test_what_zeros_are_good_for_is_said_by_their_form(
    structure: object, said: str, tmp_path: Path
) -> None:
    results = analysis.load(searched_study(tmp_path))
    config = {**results.config, "space": {"structure": structure}}
    section = smaller(Results(**{**vars(results), "config": config}))
    assert said in section.missing[0]
