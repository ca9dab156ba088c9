import gc
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from study.pruning.latency.turns import (
    FEWEST,
    MOST_CALLS,
    MOST_PASSES,
    SAMPLE_MS,
    calls_in_a_sample,
    take_turns,
)


class Fake:
    """Candidates of known lengths on a clock of their own, which notes every turn."""

    def __init__(self, lengths_ms: dict[str, float], disturbed_turns: frozenset[int] = frozenset()):
        self.turns: list[tuple[str, int]] = []
        self.disturbed_turns, self.disturbances = disturbed_turns, 0
        self.timed = {name: self._timed(name, ms) for name, ms in lengths_ms.items()}

    def _timed(self, name: str, length_ms: float) -> Callable[[int], float]:
        def timed(calls: int) -> float:
            self.disturbances += len(self.turns) in self.disturbed_turns
            self.turns.append((name, calls))
            return calls * length_ms * (10 if len(self.turns) - 1 in self.disturbed_turns else 1)

        return timed

    def measured(self, **how: int) -> dict[str, list[float]]:
        how = {"repeats": 6, "warm_up": 2, "seed": 0, **how}
        return take_turns(self.timed, **how, disturbances=lambda: self.disturbances)


LENGTHS = {"a": 2.0, "b": 5.0, "c": 0.25}
LOOKS = 3 * len(LENGTHS)
"""Turns by which the number of calls is chosen."""


def passes(fake: Fake) -> list[list[str]]:
    names = [name for name, _ in fake.turns[LOOKS:]]
    return [names[start : start + 3] for start in range(0, len(names), 3)]


def test_each_pass_has_one_turn_of_each_and_their_order_changes() -> None:
    fake = Fake(LENGTHS)
    fake.measured(repeats=10)
    assert len(passes(fake)) == 12
    assert all(sorted(turns) == ["a", "b", "c"] for turns in passes(fake))
    assert len({tuple(turns) for turns in passes(fake)}) > 3


def test_the_order_is_of_the_seed() -> None:
    first, again, other = Fake(LENGTHS), Fake(LENGTHS), Fake(LENGTHS)
    first.measured(seed=1)
    again.measured(seed=1)
    other.measured(seed=2)
    assert first.turns == again.turns != other.turns


def test_what_is_short_is_called_often_within_a_sample_and_told_by_the_call() -> None:
    fake = Fake(LENGTHS)
    assert fake.measured() == {name: [ms] * 6 for name, ms in LENGTHS.items()}
    assert dict(fake.turns[LOOKS:]) == {"a": 1, "b": 1, "c": 4}


@given(st.floats(1e-6, 50))
def test_a_sample_is_long_enough_and_no_longer_than_it_must_be(length_ms: float) -> None:
    calls = calls_in_a_sample(lambda calls: calls * length_ms)
    assert 1 <= calls <= MOST_CALLS
    if calls < MOST_CALLS:
        assert calls * length_ms >= SAMPLE_MS * (1 - 1e-9)
    assert calls == 1 or (calls - 1) * length_ms < SAMPLE_MS * (1 + 1e-9)


def test_what_no_clock_sees_is_called_as_often_as_is_allowed() -> None:
    assert calls_in_a_sample(lambda calls: 0.0) == MOST_CALLS


def test_a_disturbed_sample_is_taken_again() -> None:
    first_counted = LOOKS + 2 * 3
    fake = Fake(LENGTHS, frozenset({first_counted, first_counted + 7}))
    assert fake.measured() == {name: pytest.approx([ms] * 6) for name, ms in LENGTHS.items()}
    assert len(passes(fake)) in (2 + 7, 2 + 8)  # two of one candidate, or one of two


def test_where_all_is_disturbed_all_counts_and_there_is_an_end() -> None:
    fake = Fake({"a": 2.0}, frozenset(range(3, 10_000)))
    found = fake.measured(repeats=5)
    assert found == {"a": [20.0] * (MOST_PASSES * 5 + 2 - 2)}


@settings(max_examples=10)  # each collects garbage, which takes a while beside torch
@given(st.sets(st.integers(0, 200)), st.integers(1, 8))
def test_each_has_no_more_samples_than_asked_for_unless_most_were_disturbed(
    disturbed: set[int], repeats: int
) -> None:
    fake = Fake(LENGTHS, frozenset(disturbed))
    found = fake.measured(repeats=repeats)
    # The oracle: which turns counted, replayed from the list of all of them.
    for name in LENGTHS:
        turns = [n for n, (who, _) in enumerate(fake.turns) if who == name][3 + 2 :]
        calm = [n for n in turns if n not in disturbed]
        assert len(found[name]) == (
            min(repeats, len(calm)) if FEWEST * len(calm) >= repeats else len(turns)
        )


def test_the_garbage_collector_waits_meanwhile_and_is_as_before_afterwards() -> None:
    seen: list[bool] = []

    def timed(calls: int) -> float:
        seen.append(gc.isenabled())
        return 2.0 * calls

    assert gc.isenabled()
    take_turns({"a": timed}, repeats=2, warm_up=1, seed=0)
    assert gc.isenabled()
    gc.disable()
    try:
        take_turns({"a": timed}, repeats=2, warm_up=1, seed=0)
        assert not gc.isenabled()
    finally:
        gc.enable()
    assert not any(seen)


def test_the_garbage_collector_goes_on_after_an_error() -> None:
    def fails(calls: int) -> float:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        take_turns({"a": fails}, repeats=2, warm_up=1, seed=0)
    assert gc.isenabled()


def test_the_fake_counts_its_own_turns() -> None:
    fake = Fake(LENGTHS)
    fake.measured(repeats=4, warm_up=0)
    assert Counter(name for name, _ in fake.turns) == dict.fromkeys(LENGTHS, 3 + 4)
