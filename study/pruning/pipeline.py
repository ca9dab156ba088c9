"""The method: train dense, then score, allocate, cut, go back, retrain, measure; and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.structures import structure_text
from study.errors import UsageError
from study.plugins import resolve
from study.pruning.channels import channels_of, check_channels, choose_channels, run_examples
from study.pruning.compact.carrying import SmallerCopy
from study.pruning.compact.narrow import narrow_copy
from study.pruning.compact.network import compact_copy
from study.pruning.cost import DenseCost, dense_cost
from study.pruning.entries import check_entries, cut_entries
from study.pruning.latency.quiet import at_work
from study.pruning.latency_sizes import LatencySizes
from study.pruning.masking.choosing import mask_layers
from study.pruning.masking.masks import MaskedLayers
from study.pruning.masking.patterns import resolve_patterns
from study.pruning.measuring import Spent, measure
from study.pruning.plan import PruningPlan
from study.pruning.scoring import Scoring
from study.pruning.selection.costs import WeightCosts, weight_costs
from study.pruning.selection.input_products import check_layers
from study.pruning.selection.request import Cut
from study.pruning.selection.saliency import LOOKS_AT_INPUTS, SALIENCIES
from study.pruning.selection.schedule import SCHEDULES
from study.pruning.states.progress import Observer, Progress
from study.pruning.structure.cutting import alive_units, masks_of, room_left, with_companions
from study.pruning.structure.scores import UNIT_SALIENCIES
from study.pruning.structure.sizes import units_left
from study.pruning.structure.units import Structure
from study.pruning.timing import Timing, latency_sizes
from study.pruning.training.retraining import (
    check_fresh_weights,
    go_back,
    retrain_optimizer,
    retrain_segment,
    rewind_steps,
)
from study.pruning.training.steps import Segment, samples_in, train
from study.pruning.training.train_state import TrainState, capture, load_model, load_optimizer
from study.pruning.training.trajectory import Trajectory, build_model, dense_steps, train_dense
from study.records import RoundRecord, is_finite
from study.tasks.task import Task
from study.tasks.training.optimizers import build_optimizer


def _go_on() -> None:
    """Nothing is measured for which one would have to wait."""


class _Clock:
    """Adds the time since now to a progress' cost."""

    def __init__(self, progress: Progress) -> None:
        self._before = progress.spent
        self._started = time.perf_counter()

    def spent(self) -> Spent:
        elapsed = time.perf_counter() - self._started
        return replace(self._before, wall_s=self._before.wall_s + elapsed)


def run_pipeline(
    plan: PruningPlan,
    task: Task,
    start: Trajectory | Progress | None = None,
    observer: Observer | None = None,
    timing: Timing | None = None,
) -> Iterator[RoundRecord]:
    """Run a whole iterative pruning pipeline.

    Parameters
    ----------
    plan
        How to prune and retrain.
    task
        The model, its data, and how to train it.
    start
        None trains the dense model first. A :class:`Trajectory` is a dense run made before with
        the same task and seeds; its cost is charged all the same. A :class:`Progress` goes on
        in the middle of a round, or after one (with more rounds in the plan: an extension).
    observer
        Told of checkpoints and finished rounds.
    timing
        How the latency of each round's network is measured; None: it is not.

    Yields
    ------
    RoundRecord
        One a round: first that of the dense model, round 0 (unless ``start`` is past it), then
        each round's as soon as it is retrained and measured on the validation split. A pipeline
        whose metrics are no longer all finite ends with that record.

    Raises
    ------
    UsageError
        If the plan does not fit the task; before anything is trained.

    Examples
    --------
    >>> for record in run_pipeline(plan, task):  # doctest: +SKIP
    ...     print(record.round, record.density, record.val_accuracy)
    """
    return Pipeline(plan, task, observer, timing).rounds(start)


@dataclass(eq=False)
class Pipeline:
    """One pipeline, step by step: :func:`run_pipeline` takes them one after the other.

    Parameters
    ----------
    plan, task, observer, timing
        As of :func:`run_pipeline`.
    """

    plan: PruningPlan
    task: Task
    observer: Observer | None
    timing: Timing | None = None
    model: nn.Module = field(init=False)
    masked: MaskedLayers = field(init=False)
    structures: list[Structure] = field(init=False)
    dense: DenseCost = field(init=False)
    costs: WeightCosts | None = field(init=False)
    latency: LatencySizes | None = field(init=False)

    def __post_init__(self) -> None:
        rewind_steps(self.plan, self.task)
        check_fresh_weights(self.plan, self.task)
        self.model = build_model(self.task, self.plan.seeds.init)
        self.masked = mask_layers(self.model, self.plan.include or None, self.plan.exclude or None)
        check_entries(self.plan, self.masked)
        self.structures = channels_of(self.plan, self.task, self.masked)
        self.masked = with_companions(self.masked, self.structures)
        self._check_names()
        self.dense = dense_cost(self.masked, partial(run_examples, self.task))
        self.costs = weight_costs(
            self.plan.cost,
            self.plan.cost_exponent,
            self.plan.budget,
            self.dense.macs_by_layer,
            self.masked.total,
            self.plan.score_offsets,
        )
        self.latency = latency_sizes(
            self.plan, self.task, self.masked, self.structures, self.timing
        )
        if self.structures:
            check_channels(self.plan, self.masked, self.structures, self.dense, self.latency)

    def at_dense(self, trajectory: Trajectory | None) -> Progress:
        """Train dense, or take a dense run as it is: where pruning starts, round 0 to measure."""
        rewind = [] if self.plan.rewind_epoch is None else [self.plan.rewind_epoch]
        trajectory = train_dense(self.task, self.plan.seeds, rewind, resume=trajectory)
        last = dense_steps(self.task)
        segment = Segment(last, 0, lr_moves=True, data_step=0)
        return Progress(
            round=0,
            segment=segment,
            steps_done=last,
            state=trajectory.states[last],
            before=self._layer_weights(trajectory.states[0]),
            requested={},
            trajectory=trajectory.only(self._states_to_keep()),
            spent=Spent(wall_s=trajectory.wall_s),
            train_loss=trajectory.train_loss,
        )

    def _states_to_keep(self) -> tuple[int, ...]:
        """Steps of the dense run that rounds go back to, or learn from."""
        teacher = () if self.task.recipe.distill is None else (dense_steps(self.task),)
        return (*rewind_steps(self.plan, self.task), *teacher)

    def _teacher(self, progress: Progress) -> nn.Module | None:
        """The dense network, where a round is to learn from it."""
        if self.task.recipe.distill is None or progress.round == 0:
            return None
        teacher = build_model(self.task, self.plan.seeds.init)
        load_model(teacher, progress.trajectory.states[dense_steps(self.task)])
        return teacher.eval()

    def rounds(self, start: Trajectory | Progress | None) -> Iterator[RoundRecord]:
        """Finish the round under way, then prune on."""
        progress = start if isinstance(start, Progress) else self.at_dense(start)
        optimizer = self.load(progress.state)
        while True:
            if not progress.measured:
                progress = self._train(progress, optimizer)
                record, progress = self.measure(progress, optimizer)
                yield record
                if not is_finite(record.metrics):
                    return
            if progress.round >= self.plan.rounds:
                return
            progress, optimizer = self.cut(progress, optimizer)

    def _train(self, progress: Progress, optimizer: torch.optim.Optimizer) -> Progress:
        """Take the steps of the segment that are left."""
        segment = progress.segment
        if progress.steps_done == segment.steps:
            return progress
        clock = _Clock(progress)
        compact = self._smaller(optimizer)

        def at_step(steps_done: int) -> Progress:
            if compact is not None:
                compact.store()
            state = capture(self.model, optimizer)
            return replace(progress, steps_done=steps_done, state=state, spent=clock.spent())

        def after_epoch(steps_done: int) -> None:
            give_way()
            if self.observer is not None and steps_done < segment.steps:
                self.observer.checkpoint(lambda: at_step(steps_done))

        quietly = nullcontext(_go_on) if self.timing is None else at_work()
        with quietly as give_way:
            loss = train(
                self.model if compact is None else compact.model,
                optimizer if compact is None else compact.optimizer,
                self.task,
                segment,
                self.plan.seeds.data,
                first=progress.steps_done,
                after_epoch=after_epoch,
                teacher=self._teacher(progress),
            )
        if compact is not None:
            compact.store()
        return replace(progress, steps_done=segment.steps, spent=clock.spent(), train_loss=loss)

    def _smaller(self, optimizer: torch.optim.Optimizer) -> SmallerCopy | None:
        """The smaller network that is trained in place of the masked one, where there is one."""
        recipe = self.task.recipe
        if self.structures:
            return narrow_copy(self.masked, optimizer, recipe, self.structures)
        return compact_copy(self.masked, optimizer, recipe) if recipe.skip_pruned else None

    def measure(
        self, progress: Progress, optimizer: torch.optim.Optimizer
    ) -> tuple[RoundRecord, Progress]:
        """Evaluate what the round came to, and tell the observer."""
        clock = _Clock(progress)
        record = measure(
            self.plan,
            self.task,
            self.masked,
            self.dense,
            self.structures,
            round_=progress.round,
            requested=progress.requested,
            spent=self._spent_with_segment(progress),
            train_loss=progress.train_loss,
        )
        progress = replace(progress, measured=True, spent=clock.spent())
        if self.timing is not None:
            columns = self.timing.columns(self.task, self.masked, self.structures)
            record = record.model_copy(update=columns | self._predicted())
        if self.observer is not None:
            self.observer.round_finished(
                record,
                self.masked,
                lambda: replace(progress, state=capture(self.model, optimizer)),
            )
        return record, progress

    def _predicted(self) -> dict[str, float]:
        """What the table of layers says of the round's network; it does not know its weights."""
        if self.latency is None:
            return {}
        left = units_left(alive_units(self.masked, self.structures))
        return {"predicted_latency_ms": self.latency.total(left)}

    def _spent_with_segment(self, progress: Progress) -> Spent:
        return progress.spent.plus(
            steps=progress.segment.steps, samples=samples_in(self.task, progress.segment)
        )

    def cut(
        self, progress: Progress, optimizer: torch.optim.Optimizer
    ) -> tuple[Progress, torch.optim.Optimizer]:
        """Score, allocate, cut, and go back to where the retraining starts."""
        clock = _Clock(progress)
        round_ = progress.round + 1
        scoring = Scoring(self.plan, self.task, self.masked, progress.before, round_)
        cut = self._cut(round_, scoring)
        self.masked.cut(cut.masks, optimizer=optimizer, weights=cut.weights)
        go_back(self.plan, self.task, round_, self.masked, progress.trajectory)
        optimizer = retrain_optimizer(
            self.plan, self.task, self.masked, optimizer, progress.trajectory
        )
        data_step = progress.segment.data_step + progress.segment.steps
        spent = self._spent_with_segment(progress).plus(scored_samples=scoring.samples)
        return (
            Progress(
                round=round_,
                segment=retrain_segment(self.plan, self.task, data_step),
                steps_done=0,
                state=progress.state,
                before={n: w.detach().cpu().clone() for n, w in self.masked.weights.items()},
                requested=cut.requested,
                trajectory=progress.trajectory,
                spent=replace(spent, wall_s=clock.spent().wall_s),
            ),
            optimizer,
        )

    def _cut(self, round_: int, scoring: Scoring) -> Cut:
        """The masks of a round: units first, where the plan takes some out, and then entries."""
        plan, masked, structures = self.plan, self.masked, self.structures
        left, units, room = masked.masks, {}, None
        requested: dict[str, float] = {}
        if structures:
            alive, requested = choose_channels(
                plan, round_, masked, structures, self.dense, scoring, self.latency
            )
            units = masks_of(masked, structures, alive)
            left = {layer: units.get(layer, mask) for layer, mask in left.items()}
            room = room_left(masked, structures, alive)
        if not plan.has_entries_at(round_):
            return Cut(units, requested)
        cut = cut_entries(plan, round_, masked, scoring, self.costs, left, room)
        return replace(cut, masks={**units, **cut.masks})

    def load(self, state: TrainState) -> torch.optim.Optimizer:
        """Put a state into the model, and into a new optimizer."""
        load_model(self.model, state)
        optimizer = build_optimizer(self.task.recipe, self.model)
        load_optimizer(optimizer, self.model, state)
        return optimizer

    def _layer_weights(self, state: TrainState) -> dict[str, Tensor]:
        names = {parameter: name for name, parameter in self.model.named_parameters()}
        return {layer: state.model[names[w]] for layer, w in self.masked.weights.items()}

    def _check_names(self) -> None:
        """Find a wrong name now, not after the dense run."""
        scores_units = self.plan.saliency in UNIT_SALIENCIES
        if self.plan.removal.is_mixed and scores_units and self.plan.saliency not in SALIENCIES:
            raise UsageError(
                f"saliency {self.plan.saliency!r} scores units alone, and structure "
                f"{structure_text(self.plan.structure)} removes entries as well; there is "
                f"{', '.join(SALIENCIES)}"
            )
        allowed: dict[str, Callable[..., Any]] = {
            **SALIENCIES,
            **(UNIT_SALIENCIES if self.structures else {}),
        }
        resolve("saliency", self.plan.saliency, allowed)
        resolve("schedule", self.plan.schedule, SCHEDULES)
        if self.plan.saliency in LOOKS_AT_INPUTS:
            check_layers(self.model, self.masked.weights)
        if isinstance(self.plan.sparsity, dict):
            of_channels = [structure.name for structure in self.structures]
            resolve_patterns(self.plan.sparsity, of_channels or self.masked.names)
