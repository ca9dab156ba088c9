"""What a dense run is a run of, in a form that can be kept beside its states and compared.

Nothing here hangs on a float's last bit: that depends on threads and machines. What is whole
numbers is hashed; of what is not, a few values are kept and compared up to rounding.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from study.pruning.seeds import Seeds, derive_seed
from study.tasks.data.splits import Data, Examples, Split, few
from study.tasks.data.structures import describe, leaves
from study.tasks.forward import working_dtype
from study.tasks.judging.evaluation import evaluating
from study.tasks.task import Task

LOOKED_AT = 64
"""Examples of a split that are looked at."""

VALUES = 256
"""Numbers that are kept of them."""

_Looked = tuple[str, tuple[float, ...]]

# Every trial of a worker asks again, of the same task: it is looked at once.
_DATA: WeakKeyDictionary[Data, _Looked] = WeakKeyDictionary()
_MODELS: WeakKeyDictionary[Task, dict[int, _Looked]] = WeakKeyDictionary()

_CHECKPOINTS: WeakKeyDictionary[Task, str] = WeakKeyDictionary()

_NO_SAY = {"device", "eval_batch_size", "distill", "weights"}
"""Fields of a recipe that have no say in a dense run; weights count by their content."""

_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Fingerprint:
    """Of a dense run: the same, up to rounding, for every way to load the same task.

    Parameters
    ----------
    data
        Hash of the form of the data, of how many there are, and of what is whole numbers in them.
    values
        A few of the numbers in them that are not whole.
    model
        Hash of the names, shapes and types of the model's state.
    behaviour
        A few of its initial weights, and its loss on a few examples.
    recipe
        Hash of the training recipe; where it is trained has no say.
    init_seed, data_seed
        Of the initial weights, and of the data order and the noise.
    """

    data: str
    values: tuple[float, ...]
    model: str
    behaviour: tuple[float, ...]
    recipe: str
    init_seed: int
    data_seed: int

    def differences(self, other: Fingerprint) -> list[str]:
        """Names of the fields in which another one differs by more than rounding.

        ``values`` are ``data``; ``behaviour`` is only named where nothing explains it.
        """
        mine, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        names = [name for name, value in mine.items() if not _same(value, theirs[name])]
        told = dict.fromkeys("data" if name == "values" else name for name in names)
        if len(told) > 1:
            told.pop("behaviour", None)
        return list(told)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(_close, one, other))
    return bool(one == other)


def _close(one: float, other: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)


def fingerprint(task: Task, seeds: Seeds) -> Fingerprint:
    """Of the dense run of a task with these seeds; that of the masks has no say."""
    if task.data not in _DATA:
        _DATA[task.data] = _of_data([task.data.train, task.data.validation])
    models = _MODELS.setdefault(task, {})
    if seeds.init not in models:
        models[seeds.init] = _of_model(task, seeds.init)
    (data, values), (model, behaviour) = _DATA[task.data], models[seeds.init]
    recipe = task.recipe.model_dump_json(exclude=_NO_SAY) + _weights(task)
    return Fingerprint(data, values, model, behaviour, hash_text(recipe), seeds.init, seeds.data)


def _weights(task: Task) -> str:
    """Hash of the checkpoint, whatever its file is called; nothing where there is none."""
    if task.checkpoint is None:
        return ""
    if task not in _CHECKPOINTS:
        given = {n: w for n, w in task.checkpoint.items() if isinstance(w, Tensor)}
        _CHECKPOINTS[task] = f"{sorted(given)} {hash_tensors(given[n] for n in sorted(given))}"
    return _CHECKPOINTS[task]


def _of_data(splits: Sequence[Examples]) -> tuple[str, tuple[float, ...]]:
    parts: list[str] = []
    whole: list[Tensor] = []
    numbers: list[Tensor] = []
    for split in splits:
        looked_at = split.take(few(split, LOOKED_AT))
        parts.append(f"{len(split)} {describe(tuple(looked_at))}")
        for leaf in leaves(tuple(looked_at)):
            tensor = torch.as_tensor(leaf)
            (numbers if tensor.is_floating_point() or tensor.is_complex() else whole).append(tensor)
        if isinstance(split, Split) and isinstance(split.labels, Tensor):
            labels = split.labels
            if not labels.is_floating_point() and not labels.is_complex():
                whole.append(labels)
    digest = hash_text(f"{parts} {hash_tensors(whole)}")
    return digest, tuple(value for tensor in numbers for value in _spread(tensor))


def _of_model(task: Task, init_seed: int) -> tuple[str, tuple[float, ...]]:
    places = few(task.data.train, LOOKED_AT)
    batch = task.data.train.take(places)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(init_seed)
        model = task.build_model().to(task.device)
        with evaluating(model):
            outputs = task.forward(model, task.prepared(batch.inputs, working_dtype(model)))
            loss, _ = task.evaluation_loss(outputs, batch.targets, len(places))
    state = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    layout = [(name, tuple(value.shape), str(value.dtype)) for name, value in state.items()]
    first = next((value for value in model.parameters() if value.dim() > 1), None)
    weights = () if first is None else _spread(first.detach())
    return hash_text(repr(sorted(layout))), (loss, *weights)


def _spread(tensor: Tensor) -> tuple[float, ...]:
    """A few values from all over a tensor, rounded to what is kept of them."""
    flat = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    flat = flat.detach().cpu().flatten()
    if not len(flat):
        return ()
    places = np.linspace(0, len(flat) - 1, min(VALUES, len(flat))).round().astype(int)
    return tuple(float(f"{float(flat[i]):.6g}") for i in places)


def hash_tensors(tensors: Iterable[Tensor]) -> str:
    """16 hex digits of the shapes, types and bytes of tensors."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(repr((tuple(tensor.shape), tensor.dtype)).encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def hash_text(text: str) -> str:
    """16 hex digits of a text."""
    return f"{derive_seed(text):016x}"
