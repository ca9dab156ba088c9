"""A character language model, judged by its perplexity.

    prune-study run examples/character_lm.toml

The text is the reference of the Python language, which comes with Python itself. An LSTM reads 64
characters and says after each what comes next. Characters are bytes, and stay bytes in memory.
"""

from pydoc_data.topics import topics

import numpy as np
from torch import Tensor, nn

from study.tasks import Task, make_task

CONTEXT = 64
WINDOWS = 2000


class Model(nn.Module):
    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.embed = nn.Embedding(128, 32)
        self.lstm = nn.LSTM(32, width, batch_first=True)
        self.head = nn.Linear(width, 128)

    def forward(self, characters: Tensor) -> Tensor:
        hidden, _ = self.lstm(self.embed(characters))
        return self.head(hidden)  # a score for each character, at each place


def windows() -> tuple[np.ndarray, np.ndarray]:
    """Texts, and the same texts one character on: uint8, (windows, context) each."""
    text = "\n".join(topics[name] for name in sorted(topics)).encode("ascii", "ignore")
    characters = np.frombuffer(text, np.uint8)[: WINDOWS * CONTEXT + 1]
    return characters[:-1].reshape(-1, CONTEXT), characters[1:].reshape(-1, CONTEXT)


def task() -> Task:
    inputs, targets = windows()
    train, validation, test = slice(0, 1600), slice(1600, 1800), slice(1800, None)
    return make_task(
        Model,
        train=(inputs[train], targets[train]),
        validation=(inputs[validation], targets[validation]),  # of later pages: no share
        test=(inputs[test], targets[test]),
        name="python-reference", metrics=["perplexity"],
        epochs=6, batch_size=32, optimizer="adam", lr=5e-3, clip_norm=1.0,
    )  # fmt: skip
