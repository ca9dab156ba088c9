"""What a round came to: quality on the validation split, what is left, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from study.pruning.channels import run_examples
from study.pruning.cost import DenseCost, dead_outputs, dense_cost, masked_cost
from study.pruning.masking.choosing import mask_layers
from study.pruning.masking.masks import MaskedLayers
from study.pruning.plan import PruningPlan
from study.pruning.shrinking.deployed import deployed
from study.pruning.structure.units import Structure
from study.records import LayerRecord, RoundRecord, utc_now
from study.tasks.judging.evaluation import evaluate
from study.tasks.task import Task
from study.tasks.training.recipe import steps_per_epoch


@dataclass(frozen=True)
class Spent:
    """Cost of training so far, the dense run included.

    Parameters
    ----------
    steps
        Optimizer steps.
    samples
        Training examples seen, in training and in scoring.
    scored_samples
        Those of them that only a saliency looked at.
    wall_s
        Seconds.
    """

    steps: int = 0
    samples: int = 0
    scored_samples: int = 0
    wall_s: float = 0.0

    def plus(self, steps: int = 0, samples: int = 0, scored_samples: int = 0) -> Spent:
        """The cost with more training or scoring added to it."""
        return replace(
            self,
            steps=self.steps + steps,
            samples=self.samples + samples + scored_samples,
            scored_samples=self.scored_samples + scored_samples,
        )

    def epochs(self, task: Task) -> float:
        """Epochs that this amounts to, partial ones as fractions."""
        per_epoch = steps_per_epoch(task.recipe, len(task.data.train))
        return self.steps / per_epoch + self.scored_samples / len(task.data.train)


def measure(
    plan: PruningPlan,
    task: Task,
    masked: MaskedLayers,
    dense: DenseCost,
    structures: Sequence[Structure],
    *,
    round_: int,
    requested: Mapping[str, float],
    spent: Spent,
    train_loss: float,
) -> RoundRecord:
    """Evaluate the masked model on the validation split and write down the round.

    The test split is not touched: it is read once, when a report asks for it.
    """
    quality = evaluate(masked.model, task.data.validation, task)
    loses_products = structures and dense.other_macs  # most networks have none to lose
    beside = _other_macs(plan, task, masked, structures) if loses_products else None
    cost = masked_cost(masked, dense, beside)
    kept, total = masked.kept, masked.total
    sparsity = plan.sparsity_at(round_) if plan.asks_for_weights else None
    return RoundRecord(
        round=round_,
        requested_sparsity=_overall(sparsity, requested, total) if round_ else 0.0,
        sparsity=1.0 - cost.density,
        density=cost.density,
        prunable_parameters=cost.prunable_parameters,
        nonzero_parameters=cost.nonzero_parameters,
        total_parameters=cost.total_parameters,
        compression_ratio=cost.compression_ratio,
        macs=cost.macs,
        dense_macs=cost.dense_macs,
        theoretical_speedup=cost.theoretical_speedup,
        **quality.columns("val"),
        train_loss=train_loss,
        train_epochs=spent.epochs(task),
        train_samples=spent.samples,
        wall_s=spent.wall_s,
        mask_hash=masked.mask_hash(),
        seed=plan.seed,
        collapsed_layers=tuple(layer for layer in masked.names if kept[layer] == 0),
        uncounted=dense.uncounted,
        layers=tuple(
            LayerRecord(
                layer=layer,
                kept=kept[layer],
                total=total[layer],
                density=kept[layer] / total[layer],
                requested_sparsity=requested.get(layer, float("nan")),
                dead_outputs=dead_outputs(rows),
                outputs=len(rows),
                macs=dense.macs_by_layer[layer],
            )
            for layer, rows in masked.masks_by_output.items()
        ),
        finished_at=utc_now(),
    )


def _other_macs(
    plan: PruningPlan, task: Task, masked: MaskedLayers, structures: Sequence[Structure]
) -> int:
    """Multiply-adds without a prunable weight, in the network without its dead units."""
    smaller = mask_layers(
        deployed(task, masked, structures), plan.include or None, plan.exclude or None
    )
    return dense_cost(smaller, partial(run_examples, task)).other_macs


def _overall(
    sparsity: float | Mapping[str, float] | None,
    requested: Mapping[str, float],
    total: Mapping[str, int],
) -> float:
    """Sparsity over all prunable weights that was asked for; NaN where none was."""
    if sparsity is None:
        return float("nan")
    if isinstance(sparsity, float):
        return sparsity
    return sum(requested.get(layer, 0.0) * size for layer, size in total.items()) / sum(
        total.values()
    )
