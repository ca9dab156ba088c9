from collections import Counter
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from study.errors import UsageError
from study.tasks.data.splitting import held_out_share, stratified_split


@given(
    st.lists(st.integers(0, 3), min_size=4, max_size=200),
    st.floats(0.05, 0.95),
    st.integers(0, 2**32),
)
def test_every_class_is_held_out_in_proportion(
    classes: list[int], fraction: float, seed: int
) -> None:
    targets = torch.tensor(classes)
    stays, held_out = stratified_split(targets, fraction, seed)
    assert len(held_out) == round(fraction * len(classes))
    assert sorted([*stays.tolist(), *held_out.tolist()]) == list(range(len(classes)))
    for label in set(classes):
        share = int((targets[held_out] == label).sum())
        assert abs(share - fraction * classes.count(label)) < 1 + 1e-9


def test_a_split_follows_from_its_seed_and_leaves_global_generators_alone() -> None:
    targets = torch.arange(100) % 10
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    first, again = stratified_split(targets, 0.3, 1)[1], stratified_split(targets, 0.3, 1)[1]
    other = stratified_split(targets, 0.3, 2)[1]
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.floats(0.05, 0.95))
def test_no_other_counts_are_nearer_to_the_share_of_each_class(
    sizes: list[int], fraction: float
) -> None:
    """Largest remainders are the counts of the right sum at the least distance from the ideal."""
    targets = torch.tensor([label for label, size in enumerate(sizes) for _ in range(size)])
    _, held_out = stratified_split(targets, fraction, 0)
    total = round(fraction * len(targets))

    def distance(counts: tuple[int, ...]) -> float:
        return sum(abs(c - fraction * n) for c, n in zip(counts, sizes, strict=True))

    possible = product(*(range(n + 1) for n in sizes))
    best = min(distance(counts) for counts in possible if sum(counts) == total)
    found = Counter(targets[held_out].tolist())
    assert distance(tuple(found[label] for label in range(len(sizes)))) <= best + 1e-6


def test_each_class_is_as_likely_as_the_others_to_be_held_out() -> None:
    targets = torch.arange(200) % 50
    counts = np.zeros(50)
    for seed in range(300):
        _, held_out = held_out_share(200, 0.1, seed, classes=targets)
        assert len(held_out) == 20
        counts[targets[held_out]] += 1
    assert counts.min() > 80
    assert chisquare(counts).pvalue > 0.001


def test_each_example_of_a_class_is_as_likely_as_the_others() -> None:
    counts = np.zeros(12)
    for seed in range(600):
        counts[stratified_split(torch.arange(12) % 2, 0.5, seed)[1]] += 1
    assert chisquare(counts).pvalue > 0.001


def test_without_classes_a_share_is_a_shuffle() -> None:
    values = np.sort(np.random.default_rng(0).normal(size=500))
    means = []
    for seed in range(100):
        stays, held_out = held_out_share(500, 0.2, seed)
        assert len(held_out) == 100
        assert sorted([*stays.tolist(), *held_out.tolist()]) == list(range(500))
        means.append(values[held_out].mean())
    error = values.std() / np.sqrt(100) * np.sqrt(0.8)
    assert np.abs((np.asarray(means) - values.mean()) / error).max() < 4.5
    assert np.std(means) == pytest.approx(error, rel=0.3)


@given(
    st.lists(st.sampled_from("abcdefg"), min_size=8, max_size=60),
    st.floats(0.05, 0.95),
    st.integers(0, 2**32),
)
def test_no_group_is_ever_torn_apart(groups: list[str], share: float, seed: int) -> None:
    array = np.array(groups)
    try:
        stays, held_out = held_out_share(len(groups), share, seed, groups=array)
    except UsageError:  # the groups are too large for the share
        assert max(Counter(groups).values()) > min(share, 1 - share) * len(groups)
        return
    assert not set(array[stays]) & set(array[held_out])
    assert sorted([*stays.tolist(), *held_out.tolist()]) == list(range(len(groups)))
    largest = max(Counter(groups).values())
    assert abs(len(held_out) - share * len(groups)) <= largest


def test_many_small_groups_come_near_to_the_share() -> None:
    groups = np.repeat(np.arange(300), 3)
    held_out = [held_out_share(900, 0.2, seed, groups=groups)[1] for seed in range(2)]
    assert [len(part) for part in held_out] == [180, 180]
    assert not torch.equal(*held_out)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_what_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match="is no share; it must be above 0 and below 1"):
        held_out_share(10, share, 0)


@pytest.mark.parametrize(("share", "part"), [(0.01, "validation"), (0.99, "training")])
def test_a_share_that_leaves_a_split_empty_is_refused(share: float, part: str) -> None:
    few = torch.arange(8) % 2
    for classes, groups in ((None, None), (few, None), (None, np.arange(8))):
        with pytest.raises(UsageError, match=f"of 8 examples .* leaves the {part} split empty"):
            held_out_share(8, share, 0, classes=classes, groups=groups)


def test_one_group_cannot_be_divided() -> None:
    with pytest.raises(UsageError, match="split empty"):
        held_out_share(8, 0.3, 0, groups=np.zeros(8))
