from hypothesis import given
from hypothesis import strategies as st

from study.records import LOSS, MetricRecord
from study.terminal.front_plot import Network, front_plot

ACCURACY = MetricRecord(name="accuracy", direction="max", unit="share")

NETWORKS = st.lists(
    st.builds(Network, st.floats(1e-6, 1.0), st.floats(0, 1) | st.just(float("nan"))), max_size=60
)


@given(NETWORKS, st.sampled_from([ACCURACY, LOSS]), st.integers(0, 120), st.integers(0, 30))
def test_the_plot_never_takes_more_room_than_it_has(
    networks: list[Network], metric: MetricRecord, width: int, height: int
) -> None:
    for size in ("density", "macs"):
        lines = front_plot(networks, networks[:3], metric, size, width, height)
        assert len(lines) <= height
        assert all(len(line) <= width for line in lines)


def test_the_best_is_on_top_and_the_sparsest_at_the_right() -> None:
    front = [Network(1.0, 0.9), Network(0.1, 0.85)]
    networks = [*front, Network(0.2, 0.7)]
    lines = front_plot(networks, front, ACCURACY, "density", 40, 10, plain=True)
    assert lines[0].startswith("  90.0% |o")
    assert lines[7].startswith("  70.0% |")
    (row,) = [line for line in lines[1:8] if line.rstrip().endswith("o")]
    assert row.rstrip().endswith("o")
    assert lines[-1].split() == ["1", "density", "kept", "0.1"]
    assert sum(line.count(".") for line in lines[1:7]) == 0
    assert "." in lines[7].removeprefix("  70.0% |")


def test_of_a_metric_of_which_less_is_better_the_least_is_on_top() -> None:
    front = [Network(4e6, 2.0), Network(1e6, 2.3)]
    lines = front_plot(front, front, LOSS, "macs", 50, 10, plain=True)
    assert lines[0].startswith("      2 |o")
    assert lines[7].startswith("    2.3 |")
    assert lines[7].endswith("o")
    assert lines[-1].split() == ["4e+06", "multiply-adds", "1e+06"]


def test_plain_lines_are_ascii() -> None:
    networks = [Network(0.5, 0.9)]
    lines = front_plot(networks, networks, ACCURACY, "density", 60, 10, plain=True)
    assert lines
    assert all(line.isascii() for line in lines)
