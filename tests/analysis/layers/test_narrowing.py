"""Which layers are worth making narrower, on scans whose figures are known."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from scipy import stats

import analysis
from analysis.layers.narrowing import By
from analysis.reporting.sections.layers import layers
from study.errors import UsageError
from tests.analysis.study_folders import new_study

DROPS = {"fc1": (0.001, 0.008, 0.10), "fc2": (0.05, 0.06, 0.10), "head": (-0.01, 0.015, 0.01)}
SAVED_MS = {"fc1": (0.1, 0.4, 0.5), "fc2": (0.1, 0.2, 0.3), "head": (0.0, 0.2, 0.6)}


def loaded(path: Path, timed: bool = True, seeds: int = 3) -> analysis.Results:
    new_study(path).narrowing(DROPS, SAVED_MS if timed else None, seeds)
    return analysis.load(path)


def test_levels_that_leave_as_many_channels_are_one_row(tmp_path: Path) -> None:
    table = analysis.narrowing_data(loaded(tmp_path))
    assert table["layer"].tolist() == [name for name in DROPS for _ in range(4)]
    assert table["units_removed"].tolist() == [0, 2, 4, 6] * 3
    own = table[table["layer"] == "fc1"]
    assert own["sparsity"].tolist() == [0.0, 0.25, 0.5, 0.75]
    assert own["mean"].tolist() == pytest.approx([0.0, *DROPS["fc1"]])
    assert own["macs_saved"].tolist() == [0, 80, 160, 240]
    assert (own["n"] == 3).all()


def test_layers_are_judged_by_their_narrowest_width_within_the_drop(tmp_path: Path) -> None:
    table = analysis.pruning_worth(loaded(tmp_path), "latency", drop=0.02).set_index("layer")
    # head comes back within the drop at its narrowest, as it was at all widths before.
    assert table["units_left"].to_dict() == {"head": 2, "fc1": 4, "fc2": 6}
    assert table["within"].to_dict() == {"head": True, "fc1": True, "fc2": False}
    ratios = {"head": 0.01 / 0.6, "fc1": 0.008 / 0.4, "fc2": 0.05 / 0.1}
    assert list(table.index) == sorted(ratios, key=ratios.__getitem__)
    for layer, ratio in ratios.items():
        row = table.loc[layer]
        assert row["lost_per_saved"] == pytest.approx(ratio)
        values = [ratio * factor for factor in (0.9, 1.0, 1.1)]
        half = stats.t.ppf(0.975, 2) * np.std(values, ddof=1) / np.sqrt(3)
        assert (row["low"], row["high"]) == pytest.approx((ratio - half, ratio + half))


def test_a_curve_that_comes_back_earns_nothing(tmp_path: Path) -> None:
    table = analysis.pruning_worth(loaded(tmp_path), "macs", drop=0.012).set_index("layer")
    assert table.loc["head", "units_left"] == 6  # 0.015 lies between -0.01 and 0.01
    assert table.index[0] == "head"  # it loses nothing
    assert table.loc["head", "lost"] < 0


def test_of_shares_the_ratio_is_for_the_whole(tmp_path: Path) -> None:
    results = loaded(tmp_path, timed=False)
    expected = {"macs": 0.16, "parameters": 0.08, "channels": 0.5}
    for by, share in expected.items():
        row = analysis.pruning_worth(results, by).set_index("layer").loc["fc1"]  # type: ignore[arg-type]
        assert row["saved"] == pytest.approx(share)
        assert row["lost_per_saved"] == pytest.approx(0.008 / share)


def test_what_saves_nothing_comes_last_and_has_no_ratio(tmp_path: Path) -> None:
    table = analysis.pruning_worth(loaded(tmp_path), "latency", drop=0.012)
    assert table["layer"].tolist()[-1] == "head"  # its width within the drop saves 0 ms
    assert np.isnan(table["lost_per_saved"].iloc[-1])


RUIN = {"fc1": (0.3, 0.4, 0.5), "fc2": (0.001, 0.002, 0.1), "head": (0.0, 0.001, 0.015)}
"""Fast where it ruins the network, and slower where it doesn't, but for a little in one layer."""


@pytest.mark.parametrize(("head", "told"), [(0.01, "head"), (-0.01, None)])
def test_nobody_is_sent_to_a_layer_that_ruins_the_network(
    tmp_path: Path, head: float, told: str | None
) -> None:
    saved = {"fc1": (5.0, 6.0, 7.0), "fc2": (-0.1, -0.2, 1.0), "head": (head, head, head)}
    new_study(tmp_path).narrowing(RUIN, saved)
    results = analysis.load(tmp_path)
    table = analysis.pruning_worth(results, "latency", drop=0.02)
    assert table["layer"].tolist()[0] == (told or "fc1")
    assert table["within"].tolist() == ([True, False, True] if told else [False, True, True])
    findings = [each.finding for each in layers(results).figures]
    (finding,) = (each for each in findings if each.startswith(("One set of", "Nothing is saved")))
    assert "fc1" not in finding
    if told:
        assert "One set of" in finding
        assert "head (8 to 2" in finding
    else:
        assert finding.startswith("Nothing is saved within 2.0 points")
        assert "is predicted to save time" in finding


def test_one_seed_has_no_interval(tmp_path: Path) -> None:
    table = analysis.pruning_worth(loaded(tmp_path, seeds=1), "macs")
    assert table["low"].isna().all()
    assert table["lost_per_saved"].notna().all()


@pytest.mark.parametrize(
    ("by", "places"),
    [
        ("macs", [0, 8, 16, 24]),
        ("channels", [0, 25, 50, 75]),
        ("parameters", [0, 4, 8, 12]),
        ("latency", [0, 0.1, 0.4, 0.5]),
    ],
)
def test_curves_lie_where_the_layer_saves(tmp_path: Path, by: By, places: list[float]) -> None:
    ax = analysis.plot_narrowing(loaded(tmp_path), by)
    lines = {line.get_label(): line for line in ax.get_lines()}
    assert np.asarray(lines["fc1"].get_xdata()) == pytest.approx(places)
    assert np.asarray(lines["fc1"].get_ydata()) == pytest.approx([0, *DROPS["fc1"]])


@pytest.mark.parametrize(("by", "factor"), [("latency", 100.0), ("macs", 1.0)])
def test_the_ranking_is_drawn_best_on_top_with_its_intervals(
    tmp_path: Path, by: By, factor: float
) -> None:
    results = loaded(tmp_path)
    table = analysis.pruning_worth(results, by)
    ax = analysis.plot_pruning_worth(results, by)
    drawn = {}
    for line in ax.get_lines():
        if line.get_marker() == "o":
            drawn.update(zip(line.get_ydata(), line.get_xdata(), strict=True))  # type: ignore[arg-type]
    assert [drawn[place] for place in (2, 1, 0)] == pytest.approx(
        (factor * table["lost_per_saved"]).tolist()
    )
    (bars,) = (each for each in ax.collections if isinstance(each, LineCollection))
    ends = [segment[:, 0].tolist() for segment in bars.get_segments()]
    expected = (factor * table[["low", "high"]]).to_numpy().tolist()
    for end, own in zip(ends, expected, strict=True):
        assert end == pytest.approx(own)
    labels = [text.get_text().split("\n")[0] for text in ax.get_yticklabels()]
    assert labels == table["layer"].tolist()


def test_it_is_said_why_there_is_nothing_to_draw(tmp_path: Path) -> None:
    weights = new_study(tmp_path / "weights")
    weights.sensitivity()
    results = analysis.load(weights.path)
    assert analysis.narrowing_data(results).empty
    assert "single weights" in analysis.plot_narrowing(results).texts[0].get_text()
    untimed = loaded(tmp_path / "untimed", timed=False)
    assert "no latency" in analysis.plot_narrowing(untimed, "latency").texts[0].get_text()
    assert "no latency" in analysis.plot_pruning_worth(untimed).texts[0].get_text()
    slower = new_study(tmp_path / "slower")
    slower.narrowing(DROPS, dict.fromkeys(DROPS, (-0.1, -0.2, -0.3)), 1)
    told = analysis.plot_pruning_worth(analysis.load(slower.path)).texts[0].get_text()
    assert told == "none of the widths that are judged is predicted to save time"
    new_study(tmp_path / "none")
    none = analysis.load(tmp_path / "none")
    assert "no sensitivity scan" in analysis.plot_pruning_worth(none).texts[0].get_text()


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    results = loaded(tmp_path)
    with pytest.raises(UsageError, match="Did you mean 'latency'"):
        analysis.pruning_worth(results, "latncy")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="not a finite number"):
        analysis.pruning_worth(results, drop=-0.1)
