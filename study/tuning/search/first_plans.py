"""The plans by which a study is rehearsed: between them they have all that its space may choose."""

from __future__ import annotations

from collections.abc import Sequence

import optuna

from search_spaces import Layer, SearchSpace
from search_spaces.cuts import totals_of
from search_spaces.drawing import allocation_parameter
from search_spaces.structures import COST_AWARE, alternatives, removal_of, structure_text
from search_spaces.values import options
from study.configuration.loading import StudyConfig
from study.errors import UsageError, told
from study.plugins import resolve
from study.pruning.plan import PruningPlan
from study.pruning.selection.saliency import SALIENCIES
from study.pruning.selection.schedule import SCHEDULES
from study.pruning.structure.scores import UNIT_SALIENCIES
from study.tasks.task import Task
from study.tasks.training.learning_rate import lr_at
from study.tasks.training.recipe import COURSES
from study.tuning.search.coupled import CoupledSets, Curves
from study.tuning.search.drawing import draw_plan, plan_of
from study.tuning.search.textbook import textbook_plan


def plans_to_rehearse(
    config: StudyConfig, layers: tuple[Layer, ...], sets: CoupledSets | None, task: Task
) -> tuple[PruningPlan, ...]:
    """Plans that show whether a study can be ended that is begun like this.

    Parameters
    ----------
    config
        The study.
    layers
        The prunable layers.
    sets
        The coupled sets of channels, where the space takes channels out.
    task
        Says how long the textbook run retrains.

    Returns
    -------
    tuple of PruningPlan
        The textbook run comes last, unless it is switched off.

    Raises
    ------
    UsageError
        If the space names what there is not, or no plan can be drawn.
    """
    drawn = drawn_layers(config.space, layers, sets)
    plans = _rehearsed(config, _examples(config, drawn, sets))
    if sets is not None and "sensitivity" in options(config.space.allocation):
        curves = sets.straight(max(config.sensitivity.levels))
        plans = (*plans, scanned_plan(config, plans[0], curves))
    if config.search.textbook:
        plans = (*plans, _textbook(config, layers, task, sets))
    return plans


def drawn_layers(
    space: SearchSpace, layers: tuple[Layer, ...], sets: CoupledSets | None
) -> tuple[Layer, ...]:
    """What a space draws levels or offsets for, or would: of channels, their coupled sets."""
    return layers if sets is None or space.form == "global" else sets.layers


def _examples(
    config: StudyConfig, layers: Sequence[Layer], sets: CoupledSets | None
) -> tuple[PruningPlan, ...]:
    """A plan of the space for each structure, once every name that it may choose is known."""
    space = config.space
    for saliency in options(space.saliency):
        _check_saliency(space, saliency)
    for schedule in options(space.schedule):
        resolve("space.schedule", schedule, SCHEDULES)
    for course in options(space.retrain_lr_schedule):
        if course is not None and course not in COURSES:
            resolve("space.retrain_lr_schedule", course, dict.fromkeys(COURSES, lr_at))
    bounds, floor = space.per_layer.bounds, max(options(space.layer_floor or 0.0))
    if space.form == "per_layer" and isinstance(bounds, tuple) and bounds[1] > 1 - floor:
        raise UsageError(
            f"space.layer_floor: {floor} keeps more than per_layer.bounds may leave; end the "
            f"bounds at {1 - floor:g}, or lower the floor."
        )
    try:
        if space.function is not None:
            trial = optuna.create_study(directions=["minimize"] * len(config.objectives)).ask()
            return (draw_plan(space, trial, layers, config.study.seed),)
        if space.awaits_bounds:
            space = space.with_bounds(dict.fromkeys((layer.name for layer in layers), 0.5))
        none_yet = None if sets is None else sets.straight(max(config.sensitivity.levels))
        examples = [
            space.model_copy(update={"structure": structure}).example(layers)
            for structure in alternatives(space.structure)
        ]
        return tuple(plan_of(fields, config.study.seed, none_yet) for fields in examples)
    except ValueError as error:
        raise UsageError(f"space: {error}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a function of the user's own raises
        if space.function is None:
            raise
        raise UsageError(f"space.function: {space.function!r} failed{told(error)}") from error


def _check_saliency(space: SearchSpace, saliency: str) -> None:
    """Every saliency that may be drawn must score what every structure removes."""
    removals = {structure_text(s): removal_of(s) for s in alternatives(space.structure)}
    alone = [said for said, each in removals.items() if each.units and not each.entries]
    others = [said for said, each in removals.items() if each.entries]
    resolve("space.saliency", saliency, {**SALIENCIES, **(UNIT_SALIENCIES if alone else {})})
    if others and saliency in UNIT_SALIENCIES and saliency not in SALIENCIES:
        raise UsageError(
            f"space.saliency: {saliency!r} scores units alone, and structure {', '.join(others)} "
            f"removes entries. Allowed: {', '.join(SALIENCIES)}."
        )


def scanned_plan(config: StudyConfig, example: PruningPlan, scanned: Curves) -> PruningPlan:
    """The plan of allocation ``sensitivity`` that goes farthest, which shows whether it can."""
    space = config.space
    if space.cut is not None and space.floor is not None:
        least = totals_of(space.cut, space.floor)[0]
    else:
        least = float(min(options(space.density)))
    fields = {
        **example.model_dump(),
        "allocation": "sensitivity",
        "sparsity": 1.0 - least,
        "cost_exponent": 0.0,
        "scanned_drops": scanned,
    }
    return PruningPlan.model_validate(fields)


def _textbook(
    config: StudyConfig, layers: Sequence[Layer], task: Task, sets: CoupledSets | None
) -> PruningPlan:
    """The textbook run; where the space waits for a scan, down to the most that one can allow."""
    space = config.space
    if space.function is None and space.awaits_bounds:
        most = 1.0 - (1.0 - max(config.sensitivity.levels)) / config.sensitivity.headroom
        drawn = layers if sets is None else sets.layers
        space = space.with_bounds(dict.fromkeys((layer.name for layer in drawn), most))
    try:
        by_set = sets is not None and space.form == "per_layer"
        floor = sets.least_density(space) if sets is not None and by_set else None
        return textbook_plan(space, layers, task, config.study.seed, floor)
    except ValueError as error:
        raise UsageError(f"space: {error}") from error


def _rehearsed(config: StudyConfig, examples: Sequence[PruningPlan]) -> tuple[PruningPlan, ...]:
    """Plans that between them have every saliency, schedule and way of retraining of a space.

    Each structure has them all. Where costs divide scores, they do so wherever they can.
    """
    if config.space.function is not None:
        return tuple(examples)
    return tuple(plan for example in examples for plan in _ways_of(config.space, example))


def _ways_of(space: SearchSpace, example: PruningPlan) -> list[PruningPlan]:
    ways = (options(space.saliency), options(space.schedule), options(space.retrain))
    rewind = min(options(space.rewind_epoch))
    exponent = max(options(space.cost_exponent))
    _, fitting = allocation_parameter(space, example.structure) if exponent else ("", ())
    ranked = next((name for name in options(fitting) if name in COST_AWARE), None)
    if ranked is not None:  # what a cost can't divide shows itself where it counts most
        example = example.model_copy(
            update={
                "allocation": ranked,
                "cost_exponent": exponent,
                "sparsity": example.sparsity if example.removal.pattern else 0.5,
                "threshold": None,
                "scanned_drops": {},
            }
        )
    plans = []
    for place in range(max(map(len, ways))):
        saliency, schedule, retrain = (names[place % len(names)] for names in ways)
        plans.append(
            example.model_copy(
                update={
                    "saliency": saliency,
                    "schedule": schedule,
                    "rounds": 1 if schedule == "one_shot" else space.max_rounds,
                    "retrain": retrain,
                    "rewind_epoch": rewind if retrain == "weight_rewind" else None,
                }
            )
        )
    return plans
