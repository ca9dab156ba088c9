"""Tasks whose models take and give what models do, and which nothing trains."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from study.tasks import Task, make_task
from tests.pruning.tiny import forbidden_test

LENGTH = 12


@dataclass
class WithLogits:
    """What Hugging Face's models give."""

    logits: Tensor
    hidden: Tensor


class Reader(nn.Module):
    """Tokens by name, an object with logits; any length up to that of its table."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.places = nn.Embedding(LENGTH, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> WithLogits:
        places = self.places(torch.arange(input_ids.shape[1]))
        hidden = self.layer(
            self.embed(input_ids) + places, src_key_padding_mask=attention_mask == 0
        )
        return WithLogits(self.head(hidden[:, 0]), hidden)


class Bag(nn.Module):
    """Tokens of one length only, since all of them go into one dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 4)
        self.head = nn.Linear(4 * LENGTH, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        out: Tensor = self.head(self.embed(tokens).flatten(1))
        return out


class Pair(nn.Module):
    """Two tensors, given one after the other; two outputs, of which the first is judged."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.second = nn.Linear(2, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, wide: Tensor, narrow: Tensor) -> tuple[Tensor, Tensor]:
        hidden = torch.relu(self.first(wide) + self.second(narrow))
        return self.head(hidden), hidden


class Fixed(nn.Module):
    """A model that knows how many examples it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(x.reshape(7, 4))
        return out


def labels(n: int) -> Tensor:
    return torch.arange(n) % 3


def draw(n: int, *shape: int) -> Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(n))


def tokens(n: int) -> Tensor:
    return torch.randint(0, 20, (n, LENGTH), generator=torch.Generator().manual_seed(n))


def text(n: int) -> tuple[dict[str, Tensor], Tensor]:
    mask = (torch.arange(LENGTH) < 3 + torch.arange(n)[:, None] % (LENGTH - 2)).long()
    return {"input_ids": tokens(n), "attention_mask": mask}, labels(n)


def task_of(model: type[nn.Module], data: Any, **more: Any) -> Task:
    made = make_task(model, data(40), data(30), name=model.__name__, epochs=1, **more)
    object.__setattr__(made.data, "load_test", forbidden_test)
    return made


def reader() -> Task:
    return task_of(Reader, text)


def bag() -> Task:
    return task_of(Bag, lambda n: (tokens(n), labels(n)))


def pair() -> Task:
    Both = namedtuple("Both", ["wide", "narrow"])
    return task_of(Pair, lambda n: (Both(draw(n, 4), draw(n, 2)), labels(n)))


def own_forward() -> Task:
    """Called with its inputs the other way around."""

    def forward(model: nn.Module, inputs: dict[str, Tensor]) -> Any:
        return model(inputs["b"], inputs["a"])

    return task_of(Pair, lambda n: ({"a": draw(n, 2), "b": draw(n, 4)}, labels(n)), forward=forward)


def fixed() -> Task:
    return task_of(Fixed, lambda n: (draw(n, 4), labels(n)))


def network_of(task: Task) -> nn.Module:
    """Freshly initialised, in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return task.build_model().eval()
