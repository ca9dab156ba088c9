"""Networks of timm, PyTorch image models, which few machines have: of the extra ``zoo``."""

from __future__ import annotations

from torch import nn

from tests.zoo.entry import CLASSES, Entry, images


def vit() -> nn.Module:
    import timm

    model: nn.Module = timm.create_model(
        "vit_tiny_patch16_224", num_classes=CLASSES, img_size=16, patch_size=8, embed_dim=12,
        depth=2, num_heads=3,
    )  # fmt: skip
    return model


def mobilenet() -> nn.Module:
    import timm

    model: nn.Module = timm.create_model("mobilenetv3_small_050", num_classes=CLASSES)
    return model


TIMM = (
    Entry("vit_tiny (timm)", vit, images(size=16), needs="timm"),
    Entry("mobilenetv3_small_050 (timm)", mobilenet, images(size=32), needs="timm"),
)
