"""What decides a task, as a name under which studies share its dense runs."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from study.plugins import import_string
from study.pruning.seeds import Seeds
from study.pruning.training.fingerprint import fingerprint, hash_tensors
from study.pruning.training.steps import Segment, train
from study.pruning.training.trajectory import build_model
from study.tasks.data.splits import Examples, Split, few
from study.tasks.data.structures import Leaf, leaves
from study.tasks.task import Task
from study.tasks.training.optimizers import build_optimizer
from study.tuning.identity.sources import source_hash

FEW_EXAMPLES = 64
"""Examples of the training step by which models and losses are told apart."""

_SEEDS = Seeds(0, 0, 0)

_ELSEWHERE = ("recipe", "module_dir", "metrics")
"""Arguments that are looked at resolved, or by content, or have no say in what is trained."""


def task_key(task_arguments: Mapping[str, Any], task: Task) -> str:
    """A name for all that a dense run of a task depends on, but its seeds.

    Data in memory count byte by byte, those on disk by file and a few rows; the user's own
    functions by their code and all that it closes over; the rest by what a training step comes
    to. Where something cannot be looked into, the name is one of its own: when in doubt, train.

    Parameters
    ----------
    task_arguments
        What the task was loaded with.
    task
        The task: its resolved recipe counts, so that a changed default is another one.
    """
    own = [task.build_model, task.own_loss, task.own_forward, task.transform, task.augment]
    for field in ("optimizer", "lr_schedule"):
        reference = getattr(task.recipe, field)
        own.append(import_string(f"task.{field}", reference) if ":" in reference else None)
    sources = source_hash(own)
    data = _content(task.data.train)
    settings = {
        "task": {
            key: str(value)
            for key, value in task_arguments.items()
            if key not in _ELSEWHERE and not callable(value)
        },
        "recipe": fingerprint(task, _SEEDS).recipe,
        "behaviour": _after_one_step(task),
        "sources": sources or uuid.uuid4().hex,
        "data": data or uuid.uuid4().hex,
        "version": version("prune-study"),
    }
    canonical = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _content(split: Examples) -> str | None:
    """Hash of the examples; None where a data set alone knows what they are."""
    if not isinstance(split, Split):
        return None
    parts = [_of_leaf(leaf) for leaf in leaves((split.inputs, split.targets))]
    chosen = "" if split.chosen is None else hash_tensors([split.chosen])
    return " ".join([*parts, chosen])


def _of_leaf(leaf: Leaf) -> str:
    if isinstance(leaf, torch.Tensor):
        return hash_tensors([leaf])
    base: Any = leaf
    while not isinstance(base, np.memmap) or base.filename is None:
        base = base.base
    facts = Path(base.filename).stat()
    rows = leaf[np.linspace(0, len(leaf) - 1, min(len(leaf), FEW_EXAMPLES)).round().astype(int)]
    place = (str(base.filename), facts.st_size, facts.st_mtime_ns, leaf.shape, str(leaf.dtype))
    return f"{place} {hash_tensors([torch.from_numpy(np.array(rows))])}"


def _after_one_step(task: Task) -> str:
    """A hash of the state after a training step on a few examples from all over the split.

    Initial weights, activations, dropout, momentum of norms and the optimizer all change it. It
    is taken on the CPU with one thread: every machine of a kind gives the same.
    """
    batch = task.data.train.take(few(task.data.train, FEW_EXAMPLES))
    split = Split(*batch).to(torch.device("cpu"))
    recipe = task.recipe.model_copy(update={"device": "cpu", "compile": False})
    if recipe.class_weights == "balanced":
        recipe = recipe.model_copy(update={"class_weights": None})
    data = replace(task.data, train=split, validation=split)
    small = replace(task, data=data, recipe=recipe)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model = build_model(small, init_seed=0)
        optimizer = build_optimizer(recipe, model)
        train(model, optimizer, small, Segment(1, 0, lr_moves=True, data_step=0), data_seed=0)
    finally:
        torch.set_num_threads(threads)
    state = model.state_dict()
    tensors = [state[name] for name in sorted(state) if isinstance(state[name], torch.Tensor)]
    return hash_tensors(tensors)
