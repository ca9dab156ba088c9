import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from study.tasks.data.images import standardise
from study.tasks.data.splits import Data, Split
from study.tasks.data.splitting import stratified_split


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


def test_scaling_uses_statistics_of_the_training_split_alone() -> None:
    train = Split(torch.randn(50, 2, 4, 4) * 3 + 5, torch.zeros(50))
    other = Split(torch.randn(20, 2, 4, 4), torch.zeros(20))
    scaled, scaled_other = standardise(train, other)
    torch.testing.assert_close(scaled.inputs.mean((0, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(scaled.inputs.std((0, 2, 3)), torch.ones(2), atol=1e-5, rtol=0)
    mean = train.inputs.mean((0, 2, 3), keepdim=True)
    deviation = train.inputs.std((0, 2, 3), keepdim=True)
    torch.testing.assert_close(scaled_other.inputs, (other.inputs - mean) / deviation)


def test_the_test_split_is_read_once_and_only_when_asked_for() -> None:
    reads = []

    def load_test() -> Split:
        reads.append(1)
        return Split(torch.zeros(1, 1), torch.zeros(1))

    part = Split(torch.zeros(2, 1), torch.zeros(2))
    data = Data("x", part, part, load_test, 1).to(torch.device("cpu"))
    assert not reads
    data.load_test()
    data.load_test()
    assert len(reads) == 1
