"""Make a task from the names in a study file, or from a user's own function."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from study.errors import UsageError, told
from study.plugins import import_string, refuse_namesake, resolve, search_in
from study.tasks.data.parts import keep_back
from study.tasks.data.splits import Data
from study.tasks.datasets import DATASETS
from study.tasks.judging.metrics import metrics_of
from study.tasks.models import MODELS
from study.tasks.task import Task
from study.tasks.training.recipe import Recipe


def load_task(
    *,
    dataset: str | None = None,
    model: str | None = None,
    object: str | Callable[[], Task] | None = None,
    module_dir: str | Path | None = None,
    data_dir: str | Path | None = None,
    model_options: Mapping[str, Any] | None = None,
    metrics: Sequence[str] = (),
    recipe: Mapping[str, Any] | None = None,
    held_back: float = 0.0,
) -> Task:
    """Make a task.

    Parameters
    ----------
    dataset, model
        Names of :data:`DATASETS` and :data:`MODELS`, entry points, or import strings.
    object
        Instead of the two: a function without arguments that returns a task (see
        :func:`~study.tasks.make_task`), or the import string of one, or of a task.
    module_dir
        Folder in which modules of import strings are found too, from here on.
    data_dir
        Folder of the dataset's files.
    model_options
        Further arguments of the model's builder, such as ``{"widths": [64]}``.
    metrics
        By what networks are judged, the first most of all; empty: as the task says.
    recipe
        Fields of the recipe. For a user's object they override its own.
    held_back
        Share of the validation examples on which nothing is chosen: they confirm.

    Raises
    ------
    UsageError
        If a name, a folder, an option or what the object returned is wrong.
    """
    # The folder from which a command is called comes last, and only here, where code is loaded.
    search_in(*([] if module_dir is None else [module_dir]), Path.cwd())
    if module_dir is not None and isinstance(object, str):
        refuse_namesake("task.object", object, module_dir)
    fields = dict(recipe or {})
    if object is not None:
        task = _own_task(object)
        own_metrics = metrics_of(metrics) if metrics else task.own_metrics
        combined = Recipe(**{**task.recipe.model_dump(), **fields})
        task = replace(task, recipe=combined, own_metrics=own_metrics)
    else:
        task = _named_task(dataset, model, data_dir, model_options, metrics, fields)
    return replace(task, data=keep_back(task.data, held_back)) if held_back else task


def _named_task(
    dataset: str | None,
    model: str | None,
    data_dir: str | Path | None,
    model_options: Mapping[str, Any] | None,
    metrics: Sequence[str],
    fields: Mapping[str, Any],
) -> Task:
    if dataset is None or model is None:
        raise UsageError("task: set dataset and model, or object.")
    # Path's own raises where there is no such user.
    folder = None if data_dir is None else Path(os.path.expanduser(data_dir))  # noqa: PTH111
    if folder is not None and not folder.is_dir():
        raise UsageError(f"task.data_dir: there is no folder {folder}.")
    data = _named_data(dataset, folder)
    build = partial(
        resolve("model", model, MODELS),
        _shape_of_one(data),
        data.classes,
        **dict(model_options or {}),
    )
    try:
        build()
    except (UsageError, KeyboardInterrupt):
        raise
    except BaseException as error:  # also of a model of the user's own, whatever it raises
        raise UsageError(f"task.model_options: {model} cannot be built{told(error)}") from error
    name = f"{data.name}-{model}"
    return Task(name, build, data, Recipe(**fields), own_metrics=metrics_of(metrics))


def _named_data(dataset: str, folder: Path | None) -> Data:
    load = resolve("dataset", dataset, DATASETS)
    try:
        data = load(folder)
    except (UsageError, KeyboardInterrupt):
        raise
    except BaseException as error:  # also of a function of the user's own, whatever it raises
        raise UsageError(f"task.dataset: {dataset!r} failed{told(error)}") from error
    if not isinstance(data, Data):
        raise UsageError(
            f"task.dataset: {dataset!r} gave {type(data).__name__}, not study.tasks.Data."
        )
    return data


def _shape_of_one(data: Data) -> tuple[int, ...]:
    inputs = data.train.take(torch.arange(1)).inputs
    if not isinstance(inputs, Tensor):
        raise UsageError(
            "task.model: models by name take one tensor; these data have several. Give a task of "
            "your own as object."
        )
    return tuple(inputs.shape[1:])


def _own_task(reference: str | Callable[[], Task]) -> Task:
    found = reference
    if isinstance(reference, str):
        found = import_string("task.object", reference)
    try:
        task = found if isinstance(found, Task) else found() if callable(found) else found
    except (UsageError, KeyboardInterrupt):
        raise
    except BaseException as error:  # also of a function that calls sys.exit
        raise UsageError(f"task.object: {reference!r} failed{told(error)}") from error
    if not isinstance(task, Task):
        raise UsageError(
            f"task.object: {reference!r} gave {type(task).__name__}, not a Task. "
            "Return study.tasks.make_task(...)."
        )
    return task
