from hypothesis import given
from hypothesis import strategies as st

from study.terminal.front_plot import front_of, front_plot

NETWORKS = st.lists(
    st.tuples(st.floats(1e-6, 1.0), st.floats(0, 1) | st.just(float("nan"))), max_size=60
)
FINITE = st.lists(st.tuples(st.floats(1e-6, 1.0), st.floats(0, 1)), max_size=60)


@given(FINITE)
def test_the_front_holds_what_nothing_beats_at_equal_density_or_less(
    networks: list[tuple[float, float]],
) -> None:
    front = front_of(networks)
    for density, accuracy in networks:
        beaten = any(
            (d <= density and a >= accuracy) and (d, a) != (density, accuracy) for d, a in networks
        )
        assert ((density, accuracy) in front) == (not beaten)


@given(NETWORKS, st.integers(0, 120), st.integers(0, 30))
def test_the_plot_never_takes_more_room_than_it_has(
    networks: list[tuple[float, float]], width: int, height: int
) -> None:
    lines = front_plot(networks, width, height)
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)


def test_the_best_is_on_top_and_the_sparsest_at_the_right() -> None:
    lines = front_plot([(1.0, 0.9), (0.1, 0.85), (0.2, 0.7)], 40, 10, plain=True)
    assert lines[0].startswith("  90.0% |o")
    assert lines[7].startswith("  70.0% |")
    (row,) = [line for line in lines[1:8] if line.rstrip().endswith("o")]
    assert row.rstrip().endswith("o")
    assert lines[-1].split() == ["1", "density", "kept", "0.1"]
    assert sum(line.count(".") for line in lines[1:7]) == 0
    assert "." in lines[7].removeprefix("  70.0% |")


def test_plain_lines_are_ascii() -> None:
    assert all(line.isascii() for line in front_plot([(0.5, 0.9)], 60, 10, plain=True))
