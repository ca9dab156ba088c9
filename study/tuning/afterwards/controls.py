"""What the controls of a network are: plans, and where each begins.

All but the unpruned one keep as many weights in each layer as the network does, begin with weights
that were never trained, and train by the recipe of the dense run. They share the seed's data
order, so that network and controls are paired.

References
----------
Frankle & Carbin 2019, "The Lottery Ticket Hypothesis", section 2; Liu et al. 2019, "Rethinking the
Value of Network Pruning" (as long as the dense network, and once more at an equal budget); Frankle
et al. 2021, "Pruning Neural Networks at Initialization: Why Are We Missing the Mark?", section 5.
"""

from __future__ import annotations

from typing import Any

from study.errors import UsageError
from study.pruning.channels import channels_of
from study.pruning.masking.choosing import mask_layers
from study.pruning.measuring import Spent
from study.pruning.plan import PruningPlan
from study.pruning.states.progress import Progress
from study.pruning.states.state_files import load_weights
from study.pruning.training.model_state import copy_state
from study.pruning.training.retraining import check_fresh_weights
from study.pruning.training.steps import Segment
from study.pruning.training.train_state import TrainState
from study.pruning.training.trajectory import Trajectory, build_model
from study.records import RoundRecord
from study.tasks.task import Task

OWN_MASK = ("reinit", "reinit_long")
"""Controls that keep the network's mask; the other ones that are pruned draw theirs."""


def unpruned(plan: PruningPlan) -> PruningPlan:
    """The control that trains as long as a plan and prunes nothing.

    Where the plan's weights go back or begin anew, an unpruned network would repeat its dense
    run; it goes on from its weights instead, with the learning rate of the dense run.
    """
    retrain = "finetune" if plan.retrain == "finetune" else "lr_rewind"
    of_weights = {"structure": "weights", "unit_sparsity": None, "block": None, "width_multiple": 1}
    return PruningPlan.model_validate(
        {
            **plan.model_dump(),
            **(of_weights if plan.removal.entries else {}),
            "sparsity": 0.0,
            "allocation": "global",
            "threshold": None,
            "budget": "weights",
            "cost_exponent": 0.0,
            "score_offsets": {},
            "layer_floor": 0.0,
            "retrain": retrain,
            "rewind_epoch": plan.rewind_epoch if retrain == "lr_rewind" else None,
        }
    )


def untrained(plan: PruningPlan, network: RoundRecord, task: Task) -> dict[str, PruningPlan]:
    """The controls that begin with weights that were never trained, by role.

    Parameters
    ----------
    plan
        Of the network: its seeds, and which layers may be pruned.
    network
        What it came to: the weights it keeps in each layer, and how long it was trained.
    task
        By whose recipe the controls train.

    Returns
    -------
    dict of PruningPlan
        Each of one round. Those of :data:`OWN_MASK` are to begin with the network's mask, of which
        their round then cuts nothing more.
    """
    kept = {layer.layer: _sparsity_that_keeps(layer.kept, layer.total) for layer in network.layers}
    seeds = ("seed", "init_seed", "data_seed", "mask_seed")
    common: dict[str, Any] = {
        "sparsity": kept,
        "allocation": "per_layer",
        "schedule": "one_shot",
        **{field: getattr(plan, field) for field in ("include", "exclude", *seeds)},
    }
    fitted: dict[str, Any] = {
        "retrain_epochs": network.train_epochs,
        "retrain_lr_schedule": task.recipe.lr_schedule,
    }
    drawn = {"shuffle_masks": True, **_structure_kept(plan, network, task)}
    own: dict[str, dict[str, Any]] = {
        "reinit": {"retrain": "reinit"},
        "reinit_long": {"retrain": "reinit", **fitted},
        "shuffled_initial": {
            "retrain": "weight_rewind",
            "rewind_epoch": 0.0,
            **drawn,
        },
        "shuffled_reinit": {"retrain": "reinit", **drawn},
    }
    return {role: PruningPlan.model_validate({**common, **fields}) for role, fields in own.items()}


def _structure_kept(plan: PruningPlan, network: RoundRecord, task: Task) -> dict[str, Any]:
    """What a control draws in place of single weights.

    Of a network of which units were taken out so many units of each layer, and blocks or groups of
    a pattern in their form; where entries went after units, single weights, as many of each layer.
    """
    removal = plan.removal
    if removal.is_mixed:
        return {}
    if removal.units is None:
        return {"structure": plan.structure, "block": plan.block}
    masked = mask_layers(
        build_model(task, plan.seeds.init), plan.include or None, plan.exclude or None
    )
    dead = {layer.layer: layer.dead_outputs / layer.outputs for layer in network.layers}
    return {
        "structure": plan.structure,
        "sparsity": {
            structure.name: dead[structure.name] for structure in channels_of(plan, task, masked)
        },
    }


def why_left_out(plan: PruningPlan, network: RoundRecord | None, task: Task) -> str | None:
    """Why a network has no controls that begin with untrained weights; None where it has.

    Parameters
    ----------
    plan
        Of the network.
    network
        What it came to; None where it diverged.
    task
        What is trained.
    """
    if task.recipe.weights is not None:
        return (
            "task.weights is set, and how long these weights were trained is not known, so new "
            "ones cannot be trained as long"
        )
    if not task.recipe.epochs:
        return "task.epochs is 0, so no dense run says how long new weights are to be trained"
    if network is None:
        return "the network diverged on this seed, so it has no mask"
    try:
        for anew in untrained(plan, network, task).values():
            check_fresh_weights(anew, task)
    except UsageError:
        return (
            "model() gives the same weights whatever the seed, such as those of a checkpoint, so "
            "none are known to be untrained"
        )
    return None


def start_of(
    role: str, plan: PruningPlan, task: Task, dense: Trajectory, network: bytes
) -> Progress:
    """Where a control of :func:`untrained` stands before its only cut, with nothing spent.

    Parameters
    ----------
    role, plan, task
        The control.
    dense
        The dense run of its seed: whose initial weights it may go back to, and which it learns
        from where the recipe distils.
    network
        State file of the network.
    """
    masked = mask_layers(
        build_model(task, plan.seeds.init), plan.include or None, plan.exclude or None
    )
    if role in OWN_MASK:
        load_weights(masked, network)
    return Progress(
        round=0,
        segment=Segment(0, 0, lr_moves=True, data_step=0),
        steps_done=0,
        state=TrainState(copy_state(masked.model), {}),
        before={},
        requested={},
        trajectory=dense,
        spent=Spent(),
        measured=True,
    )


def _sparsity_that_keeps(kept: int, total: int) -> float:
    """A sparsity below 1 that leaves exactly so many weights.

    Counts are rounded to the nearest whole weight, so a quarter of one changes nothing.
    """
    return (total - kept) / total if kept else 1 - 0.25 / total
