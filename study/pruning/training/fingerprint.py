"""What a dense run is a run of, in a form that can be kept beside its states and compared."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from study.pruning.seeds import Seeds, derive_seed
from study.tasks.data import Data
from study.tasks.task import Task

_CONTENT: WeakKeyDictionary[Data, str] = WeakKeyDictionary()
_MODELS: WeakKeyDictionary[Task, str] = WeakKeyDictionary()


@dataclass(frozen=True)
class Fingerprint:
    """Of a dense run: the same on every machine, and for every way to load the same task.

    Parameters
    ----------
    data
        Hash of the training examples.
    model
        Hash of the names, shapes and types of the model's state.
    recipe
        Hash of the training recipe; where it is trained has no say.
    init_seed, data_seed
        Of the initial weights, and of the data order and the noise.
    """

    data: str
    model: str
    recipe: str
    init_seed: int
    data_seed: int

    def differences(self, other: Fingerprint) -> list[str]:
        """Names of the fields in which another one differs."""
        mine, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        return [name for name, value in mine.items() if value != theirs[name]]


def fingerprint(task: Task, seeds: Seeds) -> Fingerprint:
    """Of the dense run of a task with these seeds; that of the masks has no say."""
    if task.data not in _CONTENT:
        split = task.data.train
        _CONTENT[task.data] = hash_tensors([split.inputs, split.targets])
    if task not in _MODELS:
        with torch.random.fork_rng(devices=[]):
            state = task.build_model().state_dict()
        layout = [(name, tuple(state[name].shape), str(state[name].dtype)) for name in state]
        _MODELS[task] = hash_text(repr(sorted(layout)))
    recipe = task.recipe.model_dump_json(exclude={"device"})
    return Fingerprint(
        _CONTENT[task.data], _MODELS[task], hash_text(recipe), seeds.init, seeds.data
    )


def hash_tensors(tensors: Iterable[Tensor]) -> str:
    """16 hex digits of the shapes, types and bytes of tensors."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(repr((tuple(tensor.shape), tensor.dtype)).encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def hash_text(text: str) -> str:
    """16 hex digits of a text."""
    return f"{derive_seed(text):016x}"
