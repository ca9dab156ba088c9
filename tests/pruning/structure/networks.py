"""Small networks whose channels are coupled in every usual way."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """A sum of two branches, a shortcut by a convolution, and a dense layer on flat images."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.first = nn.Conv2d(8, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 8, 3, padding=1)
        self.shortcut = nn.Conv2d(8, 10, 1, stride=2)
        self.down = nn.Conv2d(8, 10, 3, padding=1, stride=2)
        self.head = nn.Linear(160, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem(x)).relu()
        x = (x + self.second(self.first(x).relu())).relu()
        x = (self.shortcut(x) + self.down(x)).relu()
        out: Tensor = self.head(x.flatten(1))
        return out


class Concatenated(nn.Module):
    """Each layer reads all that came before."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 4, 3, padding=1)
        self.third = nn.Conv2d(12, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).sigmoid()
        x = torch.cat([x, self.second(x).relu()], 1)
        x = torch.cat([x, self.third(x).relu()], 1)
        out: Tensor = self.head(self.norm(x).relu().mean((2, 3)))
        return out


class Gated(nn.Module):
    """Depthwise and grouped convolutions, and a gate on each channel (squeeze and excite)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3)
        self.norm = nn.BatchNorm2d(16)
        self.squeeze = nn.Conv2d(16, 4, 1)
        self.excite = nn.Conv2d(4, 16, 1)
        self.depthwise = nn.Conv2d(16, 16, 3, groups=16, bias=False)
        self.grouped = nn.Conv2d(16, 12, 1, groups=4)
        self.act = nn.PReLU(12)
        self.head = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.first(x)).relu()
        x = x * self.excite(self.squeeze(x.mean((2, 3), keepdim=True)).relu()).sigmoid()
        x = self.act(self.grouped(self.depthwise(x).relu()))
        out: Tensor = self.head(x.mean((2, 3)))
        return out


class UpAndDown(nn.Module):
    """A small U-Net."""

    def __init__(self) -> None:
        super().__init__()
        self.down1 = nn.Conv2d(3, 8, 3, padding=1)
        self.down2 = nn.Conv2d(8, 16, 3, padding=1)
        self.up = nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.joined = nn.Conv2d(16, 8, 3, padding=1)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.down1(x).relu()
        coarse = self.down2(nn.functional.max_pool2d(fine, 2)).relu()
        out: Tensor = self.head(self.joined(torch.cat([self.up(coarse), fine], 1)).relu())
        return out


class Tagger(nn.Module):
    """Words, a dense layer, an LSTM that reads it, and two dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(50, 16)
        self.before = nn.Linear(16, 24)
        self.lstm = nn.LSTM(24, 10, batch_first=True, bidirectional=True)
        self.after = nn.Linear(20, 12)
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(self.words(x)).relu()
        out: Tensor = self.head(self.after(self.lstm(x)[0]).relu())
        return out


def chain() -> nn.Module:
    """A LeNet: convolutions, a norm, and dense layers on flat images."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(256, 20), nn.ReLU(), nn.Linear(20, 12), nn.Sigmoid(), nn.Linear(12, 10),
    )  # fmt: skip


def transformer() -> nn.Module:
    """Attention, whose channels are normalised together, and dense layers, whose are not."""
    return nn.Sequential(
        nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 24, batch_first=True), 2),
        nn.Linear(16, 3),
    )


class Circular(nn.Module):
    """Convolutions that pad circularly: alone, in a sum, in groups, and depthwise."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, padding_mode="circular")
        self.wide = nn.Conv2d(8, 12, 4, padding="same", padding_mode="circular")
        self.depthwise = nn.Conv2d(12, 12, 3, padding=1, groups=12, padding_mode="circular")
        self.back = nn.Conv2d(12, 8, 3, padding=1, groups=2, padding_mode="circular")
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        x = x + self.back(self.depthwise(self.wide(x).relu()).relu())
        out: Tensor = self.head(x)
        return out


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor]]] = {
    "chain": (chain, lambda: torch.randn(2, 1, 28, 28)),
    "residual": (Residual, lambda: torch.randn(2, 3, 8, 8)),
    "concatenated": (Concatenated, lambda: torch.randn(2, 3, 8, 8)),
    "gated": (Gated, lambda: torch.randn(2, 3, 12, 12)),
    "up and down": (UpAndDown, lambda: torch.randn(2, 3, 8, 8)),
    "circular": (Circular, lambda: torch.randn(2, 3, 8, 8)),
    "tagger": (Tagger, lambda: torch.randint(50, (2, 7))),
    "transformer": (transformer, lambda: torch.randn(2, 5, 16)),
}


def network(name: str) -> tuple[nn.Module, Tensor]:
    """A network in eval mode, and inputs for it."""
    torch.manual_seed(0)
    model, inputs = NETWORKS[name]
    return model().eval(), inputs()
