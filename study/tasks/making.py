"""Make a task of a model and data of any form: all that a user's own function has to return."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from numbers import Real
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, default_collate

from study.errors import UsageError
from study.tasks.data.parts import hold_out
from study.tasks.data.splits import Data, Examples, Split
from study.tasks.data.splitting import SPLIT_SEED
from study.tasks.data.streaming import Collate, DatasetSplit, check_dataset
from study.tasks.data.structures import Leaf, count, describe, map_leaves, usual_type
from study.tasks.judging.metrics import MetricLike, from_correct, metrics_of
from study.tasks.task import Task
from study.tasks.training.recipe import Recipe

Source = tuple[Any, Any] | Dataset[Any]
"""Inputs and targets, or a map-style data set that gives them one by one."""

TAKEN = (
    "a pair (inputs, targets) of tensors or arrays, or dicts, tuples or dataclasses of them, or a "
    "map-style torch Dataset"
)


def make_task(
    model: Callable[[], nn.Module],
    train: Source,
    validation: Source | float = 0.1,
    test: Source | None = None,
    *,
    name: str = "own",
    loss: Callable[[Any, Any], Tensor] | None = None,
    metrics: Iterable[MetricLike] | Mapping[str, Any] = (),
    correct: Callable[[Any, Any], Any] | None = None,
    forward: Callable[[nn.Module, Any], Any] | None = None,
    transform: Callable[[Any], Any] | None = None,
    augment: Callable[[Any, Any], tuple[Any, Any]] | None = None,
    groups: Any = None,
    test_groups: Any = None,
    split_seed: int = SPLIT_SEED,
    collate: Collate = default_collate,
    workers: int = 0,
    **recipe: Any,
) -> Task:
    """Make a task of a model and data.

    Parameters
    ----------
    model
        Builds a fresh model, for example the class itself.
    train
        ``(inputs, targets)`` as tensors or arrays, or dicts, tuples or dataclasses of them; or a
        map-style ``torch.utils.data.Dataset``. Memory-mapped arrays stay on disk; bytes stay bytes
        until the batch.
    validation
        Likewise, or the share of the training examples to hold out: shuffled, and of integer
        classes the same share of each.
    test
        Likewise. Without one, a study runs and a report has no test figures.
    name
        How reports call it.
    loss
        ``(outputs, targets) -> mean loss`` instead of cross entropy. outputs are the model's, or
        the logits of an object that has some.
    metrics
        By what networks are judged, the first most of all: names such as ``"auroc"``, objects of
        :class:`~study.tasks.Metric` or of torchmetrics. Without any: accuracy of a classifier,
        else the loss.
    correct
        ``(outputs, targets) -> tensor`` whose mean is the accuracy: a short form of a metric.
    forward
        ``(model, inputs) -> outputs`` instead of ``model(inputs)``, ``model(*inputs)`` of a tuple
        and ``model(**inputs)`` of a mapping.
    transform
        ``inputs -> inputs`` on every batch, on the device: normalisation, casts.
    augment
        ``(inputs, targets) -> (inputs, targets)`` on every batch of training, on the device.
    groups
        Shape (n,), such as patients, of the training examples where validation is a share: no
        group is torn apart; else of the validation examples. How sure a confirmed drop is, is told
        from whole groups of those held out.
    test_groups
        Likewise of the test examples.
    split_seed
        Of the share.
    collate, workers
        Of data sets: makes a batch of a list of examples, and how many processes load.
    **recipe
        Fields of :class:`~study.tasks.Recipe`, such as ``epochs=30, lr=0.05``.

    Raises
    ------
    UsageError
        If the data are in no form that is taken, differ in length, or a share leaves nothing.
    """
    as_examples = partial(_examples, collate=collate, workers=workers)
    train_split = as_examples("train", train)
    if isinstance(validation, Real) and not isinstance(validation, bool):
        group_of = _groups("groups", train_split, groups)
        train_split, validation_split, _, held_out = hold_out(
            train_split, float(validation), split_seed, group_of
        )
        groups = None if group_of is None else group_of[held_out.numpy()]
    elif validation is None or isinstance(validation, bool):
        raise UsageError(
            f"validation: {validation} is not taken; give the share of the training examples to "
            f"hold out, above 0 and below 1, or {TAKEN}. Decisions need data of their own."
        )
    else:
        validation_split = as_examples("validation", validation)
        groups = _groups("groups", validation_split, groups)
    test_split = None if test is None else as_examples("test", test)
    if test_split is None and test_groups is not None:
        raise UsageError("test_groups: they are of the test examples; test is not given.")
    given = metrics_of(metrics)
    if correct is not None:
        given = metrics_of([from_correct(correct), *given])
    return Task(
        name,
        model,
        Data(
            name,
            train_split,
            validation_split,
            _no_test if test_split is None else lambda: test_split,
            _classes(train_split),
            has_test=test_split is not None,
            validation_groups=groups,
            test_groups=None
            if test_split is None
            else _groups("test_groups", test_split, test_groups),
        ),
        Recipe(**recipe),
        loss,
        given,
        forward,
        transform,
        augment,
    )


def _examples(field: str, source: Any, collate: Collate, workers: int) -> Examples:
    if isinstance(source, tuple) and len(source) == 2:
        inputs, targets = (map_leaves(_leaf, _without_lists(part)) for part in source)
        lengths = count(f"{field} inputs", inputs), count(f"{field} targets", targets)
        if lengths[0] != lengths[1] or not lengths[0]:
            raise UsageError(f"{field}: {lengths[0]} inputs and {lengths[1]} targets")
        return Split(inputs, targets)
    if isinstance(source, Dataset) or hasattr(source, "__getitem__") or hasattr(source, "__iter__"):
        check_dataset(field, source)
    if not isinstance(source, Dataset):
        raise UsageError(f"{field}: {describe(source)} is not taken; give {TAKEN}.")
    if not len(source):  # type: ignore[arg-type]
        raise UsageError(f"{field}: the data set has no example.")
    return DatasetSplit(source, collate, workers)


def _without_lists(part: Any) -> Any:
    """A list of numbers is an array; a list of anything else is no structure of examples."""
    if not isinstance(part, list):
        return part
    try:
        return np.asarray(part)
    except ValueError as error:
        raise UsageError(
            "inputs: a list of parts that differ in shape is no array. Pad the examples, or give "
            "a map-style Dataset and collate="
        ) from error


def _leaf(values: Leaf) -> Leaf:
    if isinstance(values, np.ndarray):
        if values.dtype.kind not in "biufc":
            raise UsageError(
                f"inputs: an array of {values.dtype} is no array of numbers; give each part of the "
                "inputs by name, in a dict."
            )
        if _is_on_disk(values):
            return values
        values = torch.from_numpy(np.ascontiguousarray(values).copy())
    return usual_type(values.detach())


def _is_on_disk(array: np.ndarray) -> bool:
    base: Any = array
    while base is not None:
        if isinstance(base, np.memmap):
            return True
        base = getattr(base, "base", None)
    return False


def _groups(field: str, split: Examples, groups: Any) -> np.ndarray | None:
    group_of = None if groups is None else np.asarray(groups)
    if group_of is not None and group_of.shape != (len(split),):
        raise UsageError(f"{field}: shape {group_of.shape}; one of each of {len(split)} examples.")
    return group_of


def _classes(train: Examples) -> int:
    labels = train.targets if isinstance(train, Split) else None
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.is_complex():
        return 0
    return int(labels.max()) + 1


def _no_test() -> NoReturn:
    raise UsageError("task: it has no test split, so nothing can be reported on test data")
