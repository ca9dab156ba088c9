import pytest
import torch

from study.errors import UsageError
from study.tasks.training.augmentation import augment, crop, flip
from study.tasks.training.recipe import Recipe


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_crop_is_a_window_of_the_padded_image_at_its_own_place() -> None:
    images = torch.randn(6, 3, 8, 7)
    cropped = crop(images, 2, generator())
    shifts = torch.randint(5, (2, 6, 1), generator=generator()).squeeze(2)
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    for index in range(6):
        top, left = shifts[0, index], shifts[1, index]
        assert torch.equal(cropped[index], padded[index, :, top : top + 8, left : left + 7])
    assert len({tuple(pair) for pair in shifts.T.tolist()}) > 1


def test_a_flip_mirrors_about_half_of_the_images_and_leaves_the_others() -> None:
    images = torch.randn(400, 1, 2, 3)
    flipped = flip(images, generator())
    mirrored = (flipped == images.flip(3)).flatten(1).all(1)
    same = (flipped == images).flatten(1).all(1)
    assert bool((mirrored ^ same).all())
    assert 150 < int(mirrored.sum()) < 250


def test_without_augmentation_the_images_are_the_very_same() -> None:
    images = torch.randn(2, 1, 4, 4)
    assert augment(images, Recipe(), generator()) is images


def test_the_same_generator_gives_the_same_images() -> None:
    images, recipe = torch.randn(5, 1, 8, 8), Recipe(augmentation=("crop", "flip"))
    first, again = (augment(images, recipe, generator(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert first.shape == images.shape


def test_examples_that_are_no_images_cannot_be_augmented() -> None:
    with pytest.raises(UsageError, match=r"task\.augmentation: flip needs images"):
        augment(torch.zeros(4, 3), Recipe(augmentation=("flip",)), torch.Generator())
