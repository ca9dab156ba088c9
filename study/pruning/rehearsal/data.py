"""What is wrong with examples: missing values, loading that is not the same twice, other splits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from study.errors import UsageError
from study.pruning.rehearsal.naming import naming
from study.tasks.data.splits import Examples, Split, few
from study.tasks.data.streaming import DatasetSplit
from study.tasks.data.structures import describe, leaves
from study.tasks.forward import working_dtype
from study.tasks.judging.evaluation import evaluating
from study.tasks.judging.outputs import predictions
from study.tasks.task import Task

EXAMPLES = 32
"""Of each split that are tried, or a batch where that is less."""


def check_data(task: Task, model: nn.Module) -> None:
    """Look at examples of all splits.

    Raises
    ------
    UsageError
        If some hold NaN that the model cannot bear, come out otherwise when they are loaded again,
        or are of another form in one split than in training.
    """
    for name, split in (("training", task.data.train), ("validation", task.data.validation)):
        _check_missing_values(name, split, task, model)
        _check_same_twice(name, split)
    form = _form(task.data.train)
    _check_form("validation", task.data.validation, form)
    if task.data.has_test:
        with naming("loading the test split"):
            test = task.data.load_test()
        _check_form("test", test, form)


def _check_missing_values(name: str, split: Examples, task: Task, model: nn.Module) -> None:
    """NaN in the inputs is the model's to bear; one that cannot would train to nothing."""
    if not isinstance(split, Split) or split.chosen is not None:
        return
    if len(_with_nan(split.targets, len(split))):
        raise UsageError(f"task: targets of {name} examples hold NaN; leave these examples out.")
    where = _with_nan(split.inputs, len(split))
    if not len(where):
        return
    dtype = working_dtype(model)
    with naming("model on inputs that hold NaN"), evaluating(model), torch.no_grad():
        inputs = task.prepared(split.take(where[:EXAMPLES]).inputs, dtype)
        found = predictions(task.forward(model, inputs))
    if isinstance(found, Tensor) and bool(torch.isnan(found).any()):
        raise UsageError(
            f"task: the inputs of {len(where)} {name} examples hold NaN, first of number "
            f"{int(where[0])}, and so do the model's outputs for them. Fill them in, or leave "
            "these examples out."
        )


def _with_nan(structure: Any, examples: int) -> Tensor:
    missing = torch.zeros(examples, dtype=torch.bool)
    for leaf in leaves(structure):
        if isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.dim():
            missing |= torch.isnan(leaf).reshape(examples, -1).any(1).cpu()
    return missing.nonzero().flatten()


def _check_same_twice(name: str, split: Examples) -> None:
    if not isinstance(split, DatasetSplit):
        return
    with naming(f"loading {name} examples"):
        first, second = (leaves(tuple(split.take(few(split, 2)))) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        if not torch.equal(torch.as_tensor(one), torch.as_tensor(other)):
            raise UsageError(
                f"dataset: the same {name} examples come out otherwise when they are loaded again, "
                "so a run that was cut off could not go on. What loading draws must come of "
                "torch's, numpy's or Python's own generator, which are seeded for each batch, not "
                "of one that the data set keeps."
            )


def _form(split: Examples) -> list[str]:
    return [describe(part) for part in split.take(few(split, 2))]


def _check_form(name: str, split: Examples, expected: list[str]) -> None:
    with naming(f"loading {name} examples"):
        found = _form(split)
    for part, ours, theirs in zip(("inputs", "targets"), expected, found, strict=True):
        if ours != theirs:
            raise UsageError(
                f"task: {part} of the {name} split are {theirs}, and of the training split {ours}."
            )
