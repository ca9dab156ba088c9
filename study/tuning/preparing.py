"""Everything that can be found out before a study begins, so that nothing is begun in vain."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from search_spaces import Layer, SearchSpace
from search_spaces.structures import alternatives, is_units, removal_of, structure_text
from search_spaces.values import options
from study.configuration.loading import StudyConfig
from study.confirmation import LEAST_GROUPS
from study.errors import UsageError, shortened
from study.files.writable import refuse_unwritable
from study.objectives import SIZES, checked_objectives
from study.owners import holder, is_unused, taken
from study.pruning.latency.table import Tell
from study.pruning.masking.choosing import mask_layers
from study.pruning.pipeline import run_pipeline
from study.pruning.plan import PruningPlan
from study.pruning.rehearsal.plans import rehearse_plans
from study.pruning.rehearsal.task import rehearse_task
from study.pruning.seeds import Seeds
from study.pruning.structure.request import OutOfReachError
from study.pruning.timing import Timing
from study.pruning.training.fingerprint import Fingerprint, fingerprint
from study.pruning.training.trajectory import build_model, step_of_epoch
from study.storage import Folder
from study.tasks.loading import load_task
from study.tasks.task import Task
from study.tuning.early_stopping.history import make_yardstick
from study.tuning.identity.keys import task_key
from study.tuning.search.coupled import CoupledSets, Curves, coupled_sets
from study.tuning.search.first_plans import drawn_layers, plans_to_rehearse
from study.tuning.search.out_of_reach import named
from study.tuning.tracking import check_tracking

KINDS = {
    nn.Linear: "linear",
    nn.Conv1d: "conv",
    nn.Conv2d: "conv",
    nn.Conv3d: "conv",
    nn.Embedding: "embedding",
    nn.MultiheadAttention: "attention",
    nn.LSTM: "recurrent",
    nn.GRU: "recurrent",
    nn.RNN: "recurrent",
}


@dataclass(frozen=True, eq=False)
class Prepared:
    """A study that is ready to run.

    Parameters
    ----------
    config, folder, task
        What is run, where, and on what.
    layers
        The prunable layers.
    key
        The task's.
    plans
        What was rehearsed; the textbook run comes last.
    sets
        The coupled sets of channels, where the space takes channels out.
    scanned
        What the scan found, where plans go by one; None before it was made.
    """

    config: StudyConfig
    folder: Folder
    task: Task
    layers: tuple[Layer, ...]
    key: str
    plans: tuple[PruningPlan, ...]
    sets: CoupledSets | None = None
    scanned: Curves | None = None

    @property
    def drawn(self) -> tuple[Layer, ...]:
        """What the space may draw levels or offsets for: layers, or coupled sets of channels."""
        return drawn_layers(self.config.space, self.layers, self.sets)

    @property
    def floor_density(self) -> float:
        """The smallest density of all prunable weights that the space goes down to."""
        space = self.config.space
        if self.sets is None or space.form != "per_layer":
            return space.floor_density(self.layers)
        return self.sets.least_density(space)

    @property
    def textbook(self) -> PruningPlan | None:
        """The textbook run that the study begins with; None where it is switched off."""
        return self.plans[-1] if self.config.search.textbook else None

    @property
    def task_arguments(self) -> dict[str, Any]:
        """What workers load the task with."""
        return self.config.task_arguments()


def prepare(
    config: StudyConfig,
    *,
    is_new: bool = True,
    is_resumed: bool = False,
    tell: Tell | None = None,
) -> Prepared:
    """Load the task, find its layers, and draw a plan, without writing anything.

    Parameters
    ----------
    config
        The study.
    is_new
        Whether its folder must not exist yet.
    is_resumed
        Whether it was begun before, perhaps on another machine.
    tell
        Told of what takes long: where cuts go by latency, layers are timed once a machine.

    Raises
    ------
    UsageError
        If the study's folder exists, the data are missing, or no plan can be drawn.
    """
    folder = Folder(config.study.storage_path).child(config.study.name)
    check_tracking(config, folder)
    if not is_resumed:  # a folder that was copied from another machine goes on without it
        refuse_missing_modules(config.task.module_dir)
    refuse_unwritable(folder, "study.storage_path")
    if is_new and not is_unused(folder):
        raise UsageError(taken(folder, holder(folder)))
    config = config.with_confirmation()
    task = load_task(**config.task_arguments())
    if config.confirm.share > 0:
        _refuse_too_few_groups(task)
    rehearse_task(task)
    config = _with_objectives(config, task)
    if config.search.early_stopping == "future_dominated":
        make_yardstick(config, "search.early_stopping: future_dominated")
    if config.search.extend:
        make_yardstick(config, "search.extend")
    if config.search.sampler == "stages":
        make_yardstick(config, "search.sampler: stages")
    goes_back_to = config.space.rewind_epochs(task.recipe.epochs)
    for field, epochs in (
        ("rewind_epoch", goes_back_to),
        ("lr_rewind_epoch", options(config.space.lr_rewind_epoch)),
    ):
        for epoch in epochs:
            if epoch is not None:
                _check_epoch(task, field, epoch)
    if config.sensitivity.scan:
        check_scan(config.space)
    layers = prunable_layers(task, config.space.include, config.space.exclude)
    sets = coupled_sets(task, config.space, layers)
    plans = plans_to_rehearse(config, layers, sets, task)
    timing = Timing.of(config.latency.settings, tell)
    for plan in plans:
        try:
            run_pipeline(plan, task, timing=timing)
        except OutOfReachError as error:
            raise named(config, plan, error) from error
    rehearse_plans(task, plans, timing)
    key = task_key(config.task_arguments(), task)
    return Prepared(config, folder, task, layers, key, plans, sets)


def refuse_missing_modules(folder: str | None) -> None:
    """Make sure that the folder of a task's modules is one.

    Raises
    ------
    UsageError
        If it is none.
    """
    if folder is not None and not os.path.isdir(folder):  # noqa: PTH112  (Path's own may raise)
        raise UsageError(
            f"task.module_dir: {shortened(folder)} is no folder. Allowed: a folder that exists, as "
            "an absolute path or one from here; left out, it is that of the study file."
        )


def check_scan(space: SearchSpace) -> None:
    """Refuse a scan of what has no one level for each layer to be scanned at.

    Raises
    ------
    UsageError
        If the space has several structures, units and entries mixed, patterns or blocks.
    """
    if space.structure != "weights" and not is_units(space.structure):
        said = ", ".join(structure_text(each) for each in alternatives(space.structure))
        raise UsageError(
            "sensitivity: a scan is of single weights, or of channels, heads or units alone, not "
            f"of structure {said}."
        )


def _check_epoch(task: Task, field: str, epoch: float) -> None:
    try:
        step_of_epoch(task, epoch)
    except UsageError as error:
        raise UsageError(f"space.{field}: {error}") from error


def _refuse_too_few_groups(task: Task) -> None:
    """Of one group no interval can be told: all that confirmation takes would be in vain."""
    groups = task.data.confirming_groups
    held_out = None if groups is None else len(np.unique(groups))
    if held_out is not None and held_out < LEAST_GROUPS:
        raise UsageError(
            f"groups: {held_out} of them is held out to confirm, and at least {LEAST_GROUPS} are "
            "needed to tell how groups differ (ten for a bound that is of much use). Hold out a "
            "larger share of smaller groups, set confirm.held_back = 0 so that no validation "
            "group is kept back, or set confirm.share = 0, and nothing is confirmed or named."
        )


def refuse_changes(expected: Fingerprint, task: Task, seeds: Seeds, where: str) -> None:
    """Make sure that a task that was loaded again is the one that it was.

    Raises
    ------
    UsageError
        If it is not; then trials would prune different networks as if they were one.
    """
    differing = expected.differences(fingerprint(task, seeds))
    if differing:
        raise UsageError(
            f"task: loaded again {where}, it differs in its {' and '.join(differing)}. Trials "
            "would prune different networks as if they were one. Let the task be the same each "
            "time: seed every split and everything else that it draws."
        )


def _with_objectives(config: StudyConfig, task: Task) -> StudyConfig:
    """The study with objectives and constraints that its task has."""
    for constraint in config.search.parsed_constraints:
        constraint.check(task.metrics, "search.constraints")
    objectives = checked_objectives(config.objectives, task.metrics)
    _check_latency(config, objectives, task)
    if config.search.target is not None:
        _refuse_own_sizes(config)
        objectives = {name: way for name, way in objectives.items() if name not in SIZES}
    return config.model_copy(update={"objectives": objectives})


def _refuse_own_sizes(config: StudyConfig) -> None:
    """A search at one size has no use for plans that end at another."""
    if config.space.function is not None:
        return
    own = [s for s in alternatives(config.space.structure) if removal_of(s).pattern]
    if own:
        raise UsageError(
            f"search.target: structure {', '.join(map(structure_text, own))} ends at a density of "
            "its own; take it out of the list, or the target."
        )


def _check_latency(config: StudyConfig, objectives: Mapping[str, str], task: Task) -> None:
    """Find out now whether latency is measured where it is asked for, and whether it can be."""
    space = config.space
    asked = (
        "latency_ms" in objectives
        or any(each.column == "latency_ms" for each in config.search.parsed_constraints)
        or "latency_ms" in (space.budget, space.cost)
    )
    if asked and config.latency.backend == "none":
        raise UsageError(
            "latency.backend: none measures nothing, but latency_ms is among the objectives or "
            "constraints, or a budget or a cost. Allowed then: eager, onnxruntime, cuda."
        )
    processors = os.cpu_count() or 1
    if config.latency.backend != "none" and config.latency.threads > processors:
        raise UsageError(
            f"latency.threads: {config.latency.threads} is more than the {processors} processors "
            f"of this machine. Allowed: 1 to {processors}."
        )
    if config.latency.backend != "none" and config.latency.batch_size > len(task.data.train):
        raise UsageError(
            f"latency.batch_size: {config.latency.batch_size} is more than the "
            f"{len(task.data.train)} training examples. Allowed: 1 to {len(task.data.train)}."
        )
    if config.latency.backend == "onnxruntime":
        from study.exporting.onnx_files import need_packages  # not by each worker: it is slow

        need_packages()
    if config.latency.backend == "cuda" and not torch.cuda.is_available():
        raise UsageError("latency.backend: cuda needs a GPU, and there is none.")


def prunable_layers(
    task: Task, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()
) -> tuple[Layer, ...]:
    """The prunable layers of a task's model, in order."""
    model = build_model(task, init_seed=0)
    masked = mask_layers(model, include or None, exclude or None)
    modules = dict(model.named_modules())
    return tuple(
        Layer(name, total, KINDS.get(type(_module_of(name, modules)), "other"))
        for name, total in masked.total.items()
    )


def _module_of(layer: str, modules: dict[str, nn.Module]) -> nn.Module:
    """The module of a layer's name, which may end in the name of a parameter."""
    while layer not in modules:
        layer = layer.rpartition(".")[0]
    return modules[layer]
