"""Further small networks: what a dead unit may have to do with."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from tests.pruning.structure.networks import NETWORKS as COUPLED


class CalledTwice(nn.Module):
    """A layer that is called twice, and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 12)
        self.again = nn.Linear(12, 12)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(12, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.again(self.first(x).relu()).relu()
        out: Tensor = self.head(self.drop(self.again(x).relu()))
        return out


class Tied(nn.Module):
    """The words' embedding is the head's weight, and two layers share one."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(30, 10)
        self.one = nn.Linear(10, 10)
        self.other = nn.Linear(10, 10)
        self.inner = nn.Linear(10, 14)
        self.back = nn.Linear(14, 10)
        self.head = nn.Linear(10, 30)
        self.other.weight = self.one.weight
        self.head.weight = self.words.weight

    def forward(self, x: Tensor) -> Tensor:
        x = self.other(self.one(self.words(x)).relu()).sigmoid()
        out: Tensor = self.head(self.back(self.inner(x).relu()))
        return out


class Separated(nn.Module):
    """Depthwise and pointwise convolutions without biases, and norms between."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, 12, 3, bias=False), nn.BatchNorm2d(12), nn.ReLU()]
        for _ in range(2):
            layers += [
                nn.Conv2d(12, 12, 3, padding=1, groups=12, bias=False), nn.BatchNorm2d(12),
                nn.ReLU6(), nn.Conv2d(12, 12, 1, bias=False), nn.BatchNorm2d(12), nn.ReLU6(),
            ]  # fmt: skip
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.body(x).mean((2, 3)))
        return out


class SeveralInputs(nn.Module):
    """Named inputs of two kinds, and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Linear(5, 12)
        self.image = nn.Conv1d(2, 12, 3, padding=1, padding_mode="reflect")
        self.mixed = nn.Conv1d(12, 8, 3, padding=1, padding_mode="reflect", bias=False)
        self.heads = nn.ModuleList([nn.Linear(8, 2), nn.Linear(8, 3)])

    def forward(self, table: Tensor, image: Tensor) -> dict[str, Tensor]:
        x = self.table(table).relu()[:, :, None] * self.image(image).tanh()
        x = self.mixed(x).relu().mean(2)
        return {"a": self.heads[0](x), "b": self.heads[1](x)}


class Normalised(nn.Module):
    """Zeros do not count in a vector's length, constants do."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(6, 8), nn.Linear(8, 9), nn.Linear(9, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.normalize(self.first(x).sigmoid())
        out: Tensor = self.head(self.second(x).relu())
        return out


def reparametrised() -> nn.Module:
    return nn.Sequential(
        nn.Linear(6, 8), nn.ReLU(), weight_norm(nn.Linear(8, 8)), nn.ReLU(), nn.Linear(8, 8),
        nn.ReLU(), nn.Linear(8, 2),
    )  # fmt: skip


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[], object]]] = {
    **COUPLED,
    "called twice": (CalledTwice, lambda: torch.randn(4, 6)),
    "tied": (Tied, lambda: torch.randint(30, (3, 5))),
    "separated": (Separated, lambda: torch.randn(2, 3, 7, 7)),
    "several inputs": (
        SeveralInputs,
        lambda: {"table": torch.randn(3, 5), "image": torch.randn(3, 2, 6)},
    ),
    "normalised": (Normalised, lambda: torch.randn(4, 6)),
    "reparametrised": (reparametrised, lambda: torch.randn(4, 6)),
}


def pruned(name: str, seed: int, sparsity: float) -> tuple[nn.Module, object]:
    """A network with so many weights zero, drawn, and biases and norms that are not."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    model, inputs = NETWORKS[name]
    network = model().eval()
    for key, tensor in network.state_dict(keep_vars=True).items():
        drawn = torch.rand(tensor.shape, generator=generator)
        if not tensor.is_floating_point() or "parametrizations" in key:
            continue  # a direction of zeros has no norm to divide by
        if tensor.dim() == 1:
            tensor.data += drawn / 3
        else:
            tensor.data.masked_fill_(drawn < sparsity, 0)
    return network, inputs()
