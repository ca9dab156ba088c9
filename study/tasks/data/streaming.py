"""Any map-style ``torch.utils.data.Dataset``: its own loading, in the order that the study says."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate

from study.errors import UsageError
from study.tasks.data.splits import Batch, Draw
from study.tasks.data.structures import describe, map_leaves, to_device, usual_type

TARGET_KEYS = ("labels", "label", "targets", "target")
"""What a batch that is a mapping calls its targets."""

Collate = Callable[[list[Any]], Any]

_CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class DatasetSplit:
    """Examples that a data set loads one by one.

    Whatever its loading draws at random (crops, noise) follows from the batch's seed, in however
    many processes it happens: a run that is cut off and goes on sees the same batches.

    Parameters
    ----------
    dataset
        With ``__len__`` and ``__getitem__``; pickled once for each worker process.
    collate
        Makes a batch of a list of examples: a pair ``(inputs, targets)``, or a mapping of which
        one key is among :data:`TARGET_KEYS`.
    workers
        Processes that load; 0 loads where the training is.
    chosen
        Which examples are meant, int64; None: all, in order.
    device
        Where batches go.
    """

    dataset: Dataset[Any]
    collate: Collate = default_collate
    workers: int = 0
    chosen: Tensor | None = None
    device: torch.device = _CPU

    def __len__(self) -> int:
        return len(self.dataset) if self.chosen is None else len(self.chosen)  # type: ignore[arg-type]

    def to(self, device: torch.device) -> DatasetSplit:
        """The same examples, in batches on this device."""
        return replace(self, device=device)

    def take(self, index: Tensor) -> Batch:
        """These examples, loaded in this process; the same each time."""
        return self._batch(self._loaded(Draw(index, seed=0)))

    def batches(self, draws: Iterable[Draw]) -> Iterator[Batch]:
        """Batches in the order in which they are drawn, loaded ahead where there are workers."""
        if self.workers == 0:
            yield from (self._batch(self._loaded(draw)) for draw in draws)
            return
        loader: DataLoader[Any] = DataLoader(
            _Loading(self),
            batch_size=None,
            # Any iterable will do; a worker process cannot take what lies on a GPU.
            sampler=(Draw(draw.examples.cpu(), draw.seed) for draw in draws),
            num_workers=self.workers,
            generator=torch.Generator(),
            pin_memory=self.device.type == "cuda",
        )
        yield from (self._batch(loaded) for loaded in loader)

    def _loaded(self, draw: Draw) -> Any:
        index = draw.examples.cpu() if self.chosen is None else self.chosen[draw.examples.cpu()]
        with _seeded(draw.seed):
            return self.collate([self.dataset[i] for i in index.tolist()])

    def _batch(self, loaded: Any) -> Batch:
        inputs, targets = as_pair(loaded)
        targets = map_leaves(_usual_type, targets)  # collate makes float64 of Python's numbers
        return Batch(to_device(inputs, self.device), to_device(targets, self.device))


def _usual_type(leaf: Any) -> Tensor:
    return usual_type(torch.as_tensor(leaf))


class _Loading(Dataset[Any]):
    """What a worker process does with a draw."""

    def __init__(self, split: DatasetSplit) -> None:
        self._split = split

    def __getitem__(self, draw: Draw) -> Any:
        return self._split._loaded(draw)


def as_pair(loaded: Any) -> tuple[Any, Any]:
    """Inputs and targets of what a collate function made.

    Raises
    ------
    UsageError
        If it is neither a pair nor a mapping with targets.
    """
    if isinstance(loaded, Mapping):
        keys = [key for key in TARGET_KEYS if key in loaded]
        if len(keys) == 1:
            return {key: loaded[key] for key in loaded if key != keys[0]}, loaded[keys[0]]
    elif isinstance(loaded, Sequence) and len(loaded) == 2:
        return loaded[0], loaded[1]
    raise UsageError(
        f"dataset: a batch must be (inputs, targets), or a mapping with one of "
        f"{', '.join(TARGET_KEYS)}; collate made {describe(loaded)}."
    )


def check_dataset(field: str, dataset: Any) -> None:
    """Refuse what cannot be read in an order that the study says.

    Raises
    ------
    UsageError
        If it is iterable-style, a loader, or without length.
    """
    if isinstance(dataset, DataLoader):
        raise UsageError(
            f"{field}: a DataLoader fixes its own order, and a study must be able to go on in the "
            "middle of one. Give its data set, with collate= and workers= for the rest."
        )
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
        raise UsageError(
            f"{field}: {type(dataset).__name__} is iterable-style or has no length, so no example "
            "of it can be named, and a run that was cut off could not go on. Give a map-style "
            "data set, with __len__ and __getitem__."
        )


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed what an example's loading may draw from, and leave the generators as they were."""
    before = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed queues a call for CUDA
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])
