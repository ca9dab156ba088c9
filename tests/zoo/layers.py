"""One small network for each kind of layer, and for each way of using one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from tests.zoo.entry import CLASSES, Entry, images, numbers, tokens


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 8), nn.Sigmoid(), nn.Linear(8, CLASSES)
    )


def conv1d() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(2, 6, 3), nn.BatchNorm1d(6), nn.ReLU(), nn.Conv1d(6, 4, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(4 * 4, CLASSES),
    )  # fmt: skip


def conv2d() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 4, 2),
        nn.ReLU(), nn.Flatten(), nn.Linear(4 * 4, CLASSES),
    )  # fmt: skip


def conv3d() -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(1, 6, 3, padding=1), nn.BatchNorm3d(6), nn.ReLU(), nn.MaxPool3d(2),
        nn.Conv3d(6, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(4, CLASSES),
    )  # fmt: skip


def transposed() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ReLU(),
        nn.ConvTranspose2d(6, 8, 2, stride=2), nn.BatchNorm2d(8), nn.ReLU(),
        nn.ConvTranspose2d(8, 4, 2, stride=2, groups=2), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, CLASSES),
    )  # fmt: skip


def grouped() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 12, 3, groups=4), nn.BatchNorm2d(12),
        nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, CLASSES),
    )  # fmt: skip


def depthwise() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 6, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(6, CLASSES),
    )  # fmt: skip


def circular() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, padding_mode="circular"), nn.BatchNorm2d(6), nn.ReLU(),
        nn.Conv2d(6, 4, 3, padding=1, padding_mode="circular"), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, CLASSES),
    )  # fmt: skip


class Bag(nn.Module):
    """The mean of words, and two dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 8)
        self.hidden = nn.Linear(8, 6)
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.hidden(self.words(x).mean(1)).relu())
        return out


class Attending(nn.Module):
    """Attention over words, and two dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.hidden = nn.Linear(8, 24)
        self.head = nn.Linear(24, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.words(x)
        x, _ = self.attention(x, x, x, need_weights=False)
        out: Tensor = self.head(self.hidden(x.mean(1)).relu())
        return out


class Encoding(nn.Module):
    """Two layers of torch's own transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.encoder(self.words(x)).mean(1))
        return out


class Reading(nn.Module):
    """A recurrent layer between dense ones."""

    def __init__(self, recurrent: type[nn.RNNBase]) -> None:
        super().__init__()
        self.before = nn.Linear(4, 8)
        self.recurrent = recurrent(8, 6, batch_first=True)  # type: ignore[arg-type]
        self.after = nn.Linear(6, 5)
        self.head = nn.Linear(5, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.recurrent(self.before(x).relu())
        out: Tensor = self.head(self.after(states[:, -1]).tanh())
        return out


class Tied(nn.Module):
    """Reads words and names the next ones with one table."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 8)
        self.up = nn.Linear(8, 12)
        self.down = nn.Linear(12, 8)
        self.names = nn.Linear(8, 20, bias=False)
        self.names.weight = self.words.weight

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.names(self.down(self.up(self.words(x).mean(1)).relu()))
        return out


class Shared(nn.Module):
    """Two layers with one weight, whose outputs are each other's in nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(6, 8), nn.Linear(6, 8)
        self.other.weight = self.one.weight
        self.head_of_one, self.head_of_other = nn.Linear(8, CLASSES), nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head_of_one(self.one(x).tanh())
        return out + self.head_of_other(self.other(x).sigmoid())


def weight_norm() -> nn.Module:
    return nn.Sequential(
        parametrizations.weight_norm(nn.Conv2d(3, 6, 3)), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, CLASSES),
    )  # fmt: skip


class Twice(nn.Module):
    """One block that is gone through two times."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.up = nn.Linear(8, 12)
        self.down = nn.Linear(12, 8)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        for _ in range(2):
            x = (x + self.down(self.up(x).relu())).relu()
        out: Tensor = self.head(x)
        return out


class Several(nn.Module):
    """An image and some numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.eye = nn.Conv2d(3, 6, 3)
        self.table = nn.Linear(4, 5)
        self.joined = nn.Linear(11, 8)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, image: Tensor, facts: Tensor) -> Tensor:
        seen = self.eye(image).relu().mean((2, 3))
        both = torch.cat([seen, self.table(facts).relu()], 1)
        out: Tensor = self.head(self.joined(both).relu())
        return out


def _several(n: int) -> dict[str, Tensor]:
    return {"image": torch.randn(n, 3, 6, 6), "facts": torch.randn(n, 4)}


LAYERS = (
    Entry("Linear", mlp, numbers(6)),
    Entry("Conv1d", conv1d, numbers(2, 8)),
    Entry("Conv2d", conv2d, images()),
    Entry("Conv3d", conv3d, numbers(1, 4, 4, 4)),
    Entry("ConvTranspose2d", transposed, images()),
    Entry("grouped Conv2d", grouped, images()),
    Entry("depthwise Conv2d", depthwise, images()),
    Entry("Conv2d that pads circularly", circular, images()),
    Entry("Embedding", Bag, tokens()),
    Entry("MultiheadAttention", Attending, tokens()),
    Entry("TransformerEncoder", Encoding, tokens()),
    Entry("LSTM", lambda: Reading(nn.LSTM), numbers(5, 4)),
    Entry("GRU", lambda: Reading(nn.GRU), numbers(5, 4)),
    Entry("tied weights", Tied, tokens()),
    Entry("two layers with one weight", Shared, numbers(6)),
    Entry("weight norm", weight_norm, images()),
    Entry("a module called twice", Twice, numbers(6)),
    Entry("several inputs by name", Several, _several),
)
