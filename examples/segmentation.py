"""Segmentation: a small U-Net that marks each pixel of a disc, judged by the Dice coefficient.

    prune-study run examples/segmentation.toml

Images are bytes, made here: discs to be marked, squares to be left alone, and noise. Images and
masks are mirrored together, which is what `augment` is for.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from study.tasks import Task, make_task

SIZE = 32


def block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2, self.bottom = block(1, 8), block(8, 16), block(16, 32)
        self.up2, self.up1 = block(32 + 16, 16), block(16 + 8, 8)
        self.head = nn.Conv2d(8, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        fine = self.down1(images)
        coarse = self.down2(functional.max_pool2d(fine, 2))
        deepest = self.bottom(functional.max_pool2d(coarse, 2))
        coarse = self.up2(torch.cat([functional.interpolate(deepest, scale_factor=2), coarse], 1))
        return self.head(
            self.up1(torch.cat([functional.interpolate(coarse, scale_factor=2), fine], 1))
        )


def pictures(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8, and masks, 0 or 1 as floats: (n, 1, SIZE, SIZE) each."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    images = draw.normal(90, 20, (n, 1, SIZE, SIZE))
    masks = np.zeros((n, 1, SIZE, SIZE), np.float32)
    for image, mask in zip(images[:, 0], masks[:, 0], strict=True):
        for is_disc in (True, False):
            (row, column), radius = draw.integers(6, SIZE - 6, 2), draw.integers(4, 7)
            across = np.hypot(y - row, x - column) if is_disc else np.maximum(
                abs(y - row), abs(x - column))  # fmt: skip
            image[across <= radius] += 60
            mask[across <= radius] = is_disc
    return images.clip(0, 255).astype(np.uint8), masks


def mirror(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Half of the images, each with its mask."""
    which = torch.rand(len(images), 1, 1, 1, device=images.device) < 0.5
    return torch.where(which, images.flip(3), images), torch.where(which, masks.flip(3), masks)


def task() -> Task:
    return make_task(
        UNet, train=pictures(400, 0), validation=pictures(100, 1), test=pictures(200, 2),
        name="discs", loss=functional.binary_cross_entropy_with_logits, metrics=["dice", "iou"],
        augment=mirror, epochs=12, batch_size=16, optimizer="adam", lr=1e-2, channels_last=True,
    )  # fmt: skip
