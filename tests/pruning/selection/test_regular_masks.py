import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from study.errors import UsageError
from study.pruning.selection.ranking import keep_best
from study.pruning.selection.regular_masks import (
    block_scores,
    living_blocks,
    n_of_m,
    spread_blocks,
    toward_n_of_m,
)

SHAPES = st.sampled_from([(3, 8), (2, 11), (5, 3), (2, 6, 3, 3), (3, 5, 2, 1), (4, 4)])


def drawn(shape: tuple[int, ...], seed: int, density: float = 0.7) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(shape, generator=generator)
    return scores, torch.rand(shape, generator=generator) < density


@settings(max_examples=80, deadline=None)
@given(SHAPES, st.integers(0, 99), st.sampled_from([(2, 4), (1, 4), (4, 8), (3, 3)]))
def test_of_each_group_of_inputs_the_best_stay(
    shape: tuple[int, ...], seed: int, pattern: tuple[int, int]
) -> None:
    n, m = pattern
    scores, alive = drawn(shape, seed)
    kept = n_of_m(scores, alive, n, m)
    assert not bool((kept & ~alive).any())
    for out in range(shape[0]):
        for place in itertools.product(*(range(size) for size in shape[2:])):
            for first in range(0, shape[1], m):
                group = [(out, i, *place) for i in range(first, min(first + m, shape[1]))]
                living = [where for where in group if alive[where]]
                best = sorted(living, key=lambda where: -float(scores[where]))[:n]
                assert {where for where in group if kept[where]} == set(best)


def test_half_of_a_whole_weight_stays_under_2_of_4() -> None:
    scores = torch.randn(6, 16, 3, 3)
    kept = n_of_m(scores, torch.ones_like(scores, dtype=torch.bool))
    assert int(kept.sum()) == scores.numel() // 2


def test_a_remainder_of_two_stays_whole_and_ties_go_to_the_first() -> None:
    ones = torch.ones(1, 6)
    kept = n_of_m(ones, torch.ones(1, 6, dtype=torch.bool))
    assert kept.tolist() == [[True, True, False, False, True, True]]


@settings(max_examples=80, deadline=None)
@given(SHAPES, st.integers(0, 99), st.sampled_from([(2, 4), (1, 4), (4, 8)]), st.floats(0, 1))
def test_on_the_way_to_a_pattern_the_lowest_go_of_those_that_it_lets_go(
    shape: tuple[int, ...], seed: int, pattern: tuple[int, int], share: float
) -> None:
    scores, alive = drawn(shape, seed)
    end, count = n_of_m(scores, alive, *pattern), round(share * int(alive.sum()))
    kept = toward_n_of_m(scores, alive, count, *pattern)
    assert not bool((end & ~kept).any())
    assert not bool((kept & ~alive).any())
    assert int(kept.sum()) == max(count, int(end.sum()))
    gone, spared = scores[alive & ~kept], scores[kept & ~end]
    assert not len(gone) or not len(spared) or float(gone.max()) <= float(spared.min())
    assert torch.equal(n_of_m(scores, kept, *pattern), end)


def test_more_of_fewer_is_refused() -> None:
    for n, m in ((0, 4), (5, 4)):
        with pytest.raises(UsageError, match="at least 1 and at most m"):
            n_of_m(*drawn((2, 8), 0), n, m)


@settings(max_examples=80, deadline=None)
@given(SHAPES, st.integers(0, 99), st.sampled_from([(4, 4), (1, 16), (2, 1), (2, 3)]))
def test_the_blocks_of_the_highest_sums_stay(
    shape: tuple[int, ...], seed: int, block: tuple[int, int]
) -> None:
    scores, alive = drawn(shape, seed, density=0.4)
    sums: dict[tuple[int, ...], float] = {}
    members: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
    for where in itertools.product(*(range(size) for size in shape)):
        name = (where[0] // block[0], where[1] // block[1], *where[2:])
        sums[name] = sums.get(name, 0.0) + float(scores[where]) * bool(alive[where])
        if alive[where]:
            members.setdefault(name, set()).add(where)
    summed = block_scores(scores, alive, block)
    assert summed.numel() == len(sums)
    for name, value in sums.items():
        assert float(summed[name]) == pytest.approx(value, abs=1e-6)
    count, living = len(members) // 2, living_blocks(alive, block)
    assert {tuple(where) for where in living.nonzero().tolist()} == set(members)
    kept = spread_blocks(keep_best(summed, living, count), alive, block)
    best = sorted(members, key=lambda name: -float(summed[name]))[:count]
    expected = set().union(*(members[name] for name in best))
    assert {tuple(where) for where in kept.nonzero().tolist()} == expected


def test_blocks_of_nothing_are_refused() -> None:
    for shape, block in (((8, 8), (0, 4)), ((8,), (4, 4))):
        with pytest.raises(UsageError, match="sides must be at least 1"):
            block_scores(*drawn(shape, 0), block)
