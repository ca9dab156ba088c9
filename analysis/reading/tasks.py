"""What studies pruned: figures of different tasks are never thrown together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.reading.results import Results
from study.errors import UsageError

_IDENTITY = ("object", "dataset", "model", "model_options")
"""Settings of a task without which accuracies and sizes mean something else."""

_PLACES = ("data_dir",)
"""Settings that say where something is, and change no figure."""


def tasks_of(results: Results) -> dict[str, dict[str, Any]]:
    """The table ``[task]`` of each study, by the study's name."""
    configs = results.config if results.parts else {results.name: results.config}
    return {study: config.get("task", {}) for study, config in configs.items()}


def task_name(task: dict[str, Any]) -> str:
    """What is pruned, for people."""
    return str(task.get("object") or f"{task.get('model')} on {task.get('dataset')}")


def have_one_task(results: Results) -> bool:
    """Whether all studies prune the same network on the same data."""
    return len({_identity(task) for task in tasks_of(results).values()}) <= 1


def need_one_task(results: Results, what: str, instead: str) -> None:
    """Refuse studies of different tasks.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned.
    what
        What was asked for, such as ``"a comparison of studies"``.
    instead
        What can be done.

    Raises
    ------
    UsageError
        If the studies prune different networks, or on different data.
    """
    if have_one_task(results):
        return
    said = []
    for study, task in tasks_of(results).items():
        options = task.get("model_options")
        said.append(f"{study} prunes {task_name(task)}{f' {json.dumps(options)}' * bool(options)}")
    raise UsageError(f"{what} needs studies of one task, but {'; '.join(said)}. {instead}")


def differing_settings(results: Results) -> dict[str, list[str]]:
    """Settings of training and loading in which studies of one task differ, and these studies."""
    groups: dict[str, dict[str, dict[str, Any]]] = {}
    for study, task in tasks_of(results).items():
        groups.setdefault(_identity(task), {})[study] = task
    differing: dict[str, list[str]] = {}
    for studies in groups.values():
        for key in differing_keys(list(studies.values())):
            if key not in (*_IDENTITY, *_PLACES):
                differing.setdefault(key, []).extend(studies)
    return differing


def differing_keys(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys that some of the documents lack, or have with another value."""
    keys = sorted({key for document in documents for key in document})
    return [key for key in keys if len({_text(document.get(key)) for document in documents}) > 1]


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _identity(task: dict[str, Any]) -> str:
    return _text([task.get(name) or None for name in _IDENTITY])
