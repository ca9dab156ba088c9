import math

import numpy as np
import pytest
import torch

from study.tasks.data.images import split_three_ways, standardise
from study.tasks.data.splits import Split


def test_scaling_uses_statistics_of_the_training_split_alone() -> None:
    train = Split(torch.randn(50, 2, 4, 4) * 3 + 5, torch.zeros(50))
    other = Split(torch.randn(20, 2, 4, 4), torch.zeros(20))
    scaled, scaled_other = standardise(train, other)
    torch.testing.assert_close(scaled.inputs.mean((0, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(scaled.inputs.std((0, 2, 3)), torch.ones(2), atol=1e-5, rtol=0)
    mean = train.inputs.mean((0, 2, 3), keepdim=True)
    deviation = train.inputs.std((0, 2, 3), keepdim=True)
    torch.testing.assert_close(scaled_other.inputs, (other.inputs - mean) / deviation)


def test_the_number_of_threads_has_no_say_in_a_bit_of_the_data() -> None:
    images = 100 + torch.rand(3000, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            (scaled,) = standardise(Split(images, torch.zeros(3000)))
            found.append(scaled.inputs)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)
    pixels = images.flatten().tolist()
    mean = math.fsum(pixels) / len(pixels)
    deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in pixels) / (len(pixels) - 1))
    wanted = (images.numpy() - np.float32(mean)) / np.float32(deviation)
    np.testing.assert_array_equal(found[0].numpy(), wanted)


def test_a_channel_without_deviation_stays_finite() -> None:
    (scaled,) = standardise(Split(torch.full((5, 2, 3, 3), 4.0), torch.zeros(5)))
    assert torch.equal(scaled.inputs, torch.zeros(5, 2, 3, 3))


@pytest.mark.parametrize("examples", [200, 1797])
def test_data_in_one_piece_are_split_into_three_that_share_nothing(examples: int) -> None:
    places, labels = torch.arange(examples), torch.arange(examples) % 10
    parts = split_three_ways(places, labels)
    assert sorted(torch.cat([part.inputs for part in parts]).tolist()) == places.tolist()
    for part, share in zip(parts, (0.7, 0.15, 0.15), strict=True):
        assert abs(len(part) - share * examples) <= 1
        assert torch.equal(labels[part.inputs], part.targets)
        counts = part.targets.bincount(minlength=10)
        assert int(counts.max() - counts.min()) <= 2
