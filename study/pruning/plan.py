"""One trial's complete recipe for pruning. Imports no torch."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from search_spaces.structures import (
    BLOCK,
    COST_AWARE,
    UNIT_SPARSITY,
    Removal,
    Structure,
    allocations_for,
    refuse_latency,
    removal_of,
    structure_text,
)
from study.errors import UsageError
from study.plugins import reference_to
from study.pruning.seeds import Seeds, derive_seed
from study.pruning.selection.schedule import sparsity_at

Retrain = Literal["finetune", "lr_rewind", "weight_rewind", "reinit"]
Allocation = Literal[
    "per_layer",
    "uniform",
    "uniform_plus",
    "per_output",
    "global",
    "global_raw",
    "erk",
    "lamp",
    "isomorphic",
    "knapsack",
    "sensitivity",
    "threshold",
]

MOST_OFFSET = 20.0
"""Of the logarithm of a score: what lies beyond takes a layer whole, or leaves it whole."""

_ROUNDING = 1e-9
"""By how much a sparsity may pass what a pattern leaves, through rounding alone."""


class PruningPlan(BaseModel):
    """Everything that decides how a trained network is pruned and retrained.

    Two runs of the same plan on the same task are bit-identical on a CPU.

    Examples
    --------
    >>> plan = PruningPlan(sparsity=0.9, rounds=3)
    >>> plan.prefix(1).rounds
    1
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    sparsity: float | dict[str, float] | None = Field(
        default=None,
        description="final fraction of prunable weights to remove, in [0, 1); for per_layer a "
        "table of layer names or patterns; with n:m unset, for the pattern says it",
    )
    allocation: Allocation = Field(
        default="global", description="how the sparsity is divided over the layers"
    )
    scanned_drops: dict[str, tuple[tuple[float, float], ...]] = Field(
        default={},
        description="with allocation sensitivity: what a scan found of each layer, pairs of the "
        "share of its channels that was removed and the drop of the quality; layers not named "
        "stay as they are, and no layer goes beyond the highest share that was scanned",
    )
    threshold: float | None = Field(
        default=None,
        gt=0,
        description="with allocation threshold: weights whose saliency is below it are removed",
    )
    budget: Literal["weights", "macs", "latency_ms"] = Field(
        default="weights",
        description="what sparsity is a share of: the prunable weights, their multiply-adds, or, "
        "of channels, the milliseconds that the dense network is predicted to take",
    )
    cost: Literal["parameters", "macs", "latency_ms"] = Field(
        default="macs",
        description="with cost_exponent: what a weight costs, 1 parameter or its multiply-adds; "
        "what a channel costs may also be its milliseconds",
    )
    cost_exponent: float = Field(
        default=0.0,
        ge=0,
        le=2,
        description="with allocation global or lamp: scores are divided by cost to this power",
    )
    score_offsets: dict[str, float] = Field(
        default={},
        description="with allocation global or lamp: what is added to the natural logarithm of the "
        "scores of a layer's weights (of channels, of a coupled set's), by names or patterns of "
        "layers; above 0 a layer keeps more than its scores alone would have it; layers not named "
        "have 0",
    )
    saliency: str = Field(
        default="magnitude", description="importance of a weight; the lowest are removed first"
    )
    structure: Structure = Field(
        default="weights",
        description="what is removed: weights, single ones; n:m (such as 2:4), all but n of each m "
        "inputs; blocks, of the shape block; or, with all that is coupled to them, so that the "
        "network gets really smaller, whole channels (neurons, filters), heads of attention, or "
        "units, which are both; channels+weights or channels+2:4, units first, up to "
        "unit_sparsity; or a table of these by layer",
    )
    unit_sparsity: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="with units and entries, as channels+weights: sparsity (of all prunable "
        "weights, or their multiply-adds with budget macs) up to which units go; what is beyond it "
        "entries make up; unset: 0.5",
    )
    block: tuple[int, int] | None = Field(
        default=None,
        description="with structure blocks: outputs and inputs of a block; unset: 4 and 4",
    )
    width_multiple: int = Field(
        default=1,
        ge=1,
        description="widths left by structure channels are multiples of this (8 where latency "
        "counts), in layers that are wider",
    )
    schedule: str = Field(default="geometric", description="sparsity at each round")
    rounds: int = Field(default=1, ge=1, description="how many times to prune and retrain")
    retrain: Retrain = Field(default="finetune", description="how to retrain after each cut")
    rewind_epoch: float | None = Field(
        default=None,
        ge=0,
        description="epoch of the dense run to go back to; fractions allowed; weight_rewind "
        "needs it, lr_rewind may have it",
    )
    retrain_epochs: float | None = Field(
        default=None,
        ge=0,
        description="epochs after each cut; unset: from the rewind epoch to the end of the "
        "dense run, and without a rewind epoch as many as the dense run took",
    )
    retrain_lr: float | None = Field(
        default=None,
        gt=0,
        description="highest learning rate of retraining; unset: that of the dense run, and of "
        "finetune the one at its end",
    )
    retrain_lr_schedule: str | None = Field(
        default=None,
        description="course of the learning rate over each retraining: constant, step, cosine, or "
        "an import string; unset: that of the dense run from the epoch that retrain says",
    )
    optimizer_state: Literal["fresh", "keep"] = Field(
        default="fresh",
        description="what the optimizer remembers after a cut: nothing, or the state that "
        "belongs to the weights (cleared where pruned)",
    )
    layer_floor: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="least share that is kept: of single weights or blocks, of each layer's; of "
        "channels and other units, of each coupled set's, so that a layer between two sets may "
        "keep the square of it; unset: 0, and 0.1 of units (less where the target needs it) with "
        "allocation global, global_raw, lamp, isomorphic or knapsack",
    )
    shuffle_masks: bool = Field(
        default=False,
        description="control: of each layer, keep as many weights as the plan would, but at random",
    )
    include: tuple[str, ...] = Field(
        default=(), description="patterns of the layers to prune; empty: all that can be"
    )
    exclude: tuple[str, ...] = Field(default=(), description="patterns of layers to leave dense")
    seed: int = Field(default=0, ge=0, description="the seed of all streams not set below")
    init_seed: int | None = Field(default=None, ge=0, description="seed of the initial weights")
    data_seed: int | None = Field(
        default=None, ge=0, description="seed of the data order, augmentation and dropout"
    )
    mask_seed: int | None = Field(default=None, ge=0, description="seed of random saliency")

    @model_validator(mode="before")
    @classmethod
    def _a_table_of_sparsities_means_per_layer(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and "allocation" not in values:
            if isinstance(values.get("sparsity"), Mapping):
                return {**values, "allocation": "per_layer"}
            if values.get("threshold") is not None:
                return {**values, "allocation": "threshold"}
        return values

    @model_validator(mode="before")
    @classmethod
    def _fill_in_what_a_structure_needs(cls, values: Any) -> Any:
        structure = values.get("structure") if isinstance(values, Mapping) else None
        if not isinstance(structure, (str, Mapping)):
            return values
        removal, filled = removal_of(structure), dict(values)
        if removal.is_mixed and values.get("unit_sparsity") is None:
            filled["unit_sparsity"] = UNIT_SPARSITY
        if removal.entries == "blocks" and values.get("block") is None:
            filled["block"] = BLOCK
        until = filled.get("unit_sparsity")
        if isinstance(until, (int, float)) or until is None:
            most = removal.most(until or 0.0)
            if most is not None and values.get("sparsity") is None:
                filled["sparsity"] = most
        if removal.units is None and removal.pattern is not None:
            table = isinstance(values.get("sparsity"), Mapping)
            filled.setdefault("allocation", "per_layer" if table else "uniform")
        return filled

    @field_validator("schedule", "saliency", mode="before")
    @classmethod
    def _name_a_callable(cls, value: Any) -> Any:
        return reference_to(value) if callable(value) else value

    @field_validator("block")
    @classmethod
    def _block_has_sides(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is not None and (min(value) < 1 or max(value) == 1):
            raise UsageError(
                f"block is {list(value)}; its sides must be at least 1, and one of them more"
            )
        return value

    @field_validator("sparsity")
    @classmethod
    def _sparsity_is_a_fraction(cls, value: Any) -> Any:
        levels = value if isinstance(value, dict) else {"": value}
        for layer, level in levels.items():
            if level is not None and not 0.0 <= level < 1.0:
                where = f" of layer {layer!r}" if layer else ""
                raise UsageError(f"sparsity{where} is {level}; it must be at least 0 and below 1")
        return value

    @field_validator("score_offsets")
    @classmethod
    def _offsets_are_within_reach(cls, offsets: dict[str, float]) -> dict[str, float]:
        for layer, offset in offsets.items():
            if not abs(offset) <= MOST_OFFSET:
                raise UsageError(
                    f"score_offsets of layer {layer!r} is {offset}; it must be from "
                    f"-{MOST_OFFSET:g} to {MOST_OFFSET:g}"
                )
        return offsets

    @field_validator("scanned_drops")
    @classmethod
    def _scanned_levels_are_shares(cls, curves: Any) -> Any:
        for layer, curve in curves.items():
            if not all(0.0 <= level < 1.0 and math.isfinite(drop) for level, drop in curve):
                raise UsageError(
                    f"scanned_drops of {layer!r}: {list(curve)}; shares must be at least 0 and "
                    "below 1, and drops finite"
                )
        return curves

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        if self.allocation == "threshold":
            if self.threshold is None or self.sparsity is not None:
                raise UsageError("allocation threshold needs a threshold and no sparsity")
        elif self.threshold is not None:
            raise UsageError(f"threshold has no meaning with allocation {self.allocation}")
        elif self.allocation == "per_layer":
            if not isinstance(self.sparsity, dict):
                raise UsageError("allocation per_layer needs sparsity as a table of layers")
        elif not isinstance(self.sparsity, float):
            raise UsageError(f"allocation {self.allocation} needs sparsity as one number")
        if bool(self.scanned_drops) != (self.allocation == "sensitivity"):
            raise UsageError("allocation sensitivity and scanned_drops need each other")
        if self.cost_exponent and self.allocation not in COST_AWARE:
            raise UsageError(
                f"cost_exponent has no meaning with allocation {self.allocation}; it divides the "
                f"scores of {' and '.join(COST_AWARE)}"
            )
        if self.score_offsets and self.allocation not in COST_AWARE:
            raise UsageError(
                f"score_offsets have no meaning with allocation {self.allocation}; they move the "
                f"scores of {' and '.join(COST_AWARE)}"
            )
        if self.budget != "weights" and self.allocation in ("per_layer", "threshold"):
            raise UsageError(
                f"budget {self.budget} has no meaning with allocation {self.allocation}"
            )
        if by := self.by_latency:
            try:
                refuse_latency(by, self.structure)
            except ValueError as error:
                raise UsageError(str(error)) from error
        if self.retrain == "weight_rewind" and self.rewind_epoch is None:
            raise UsageError("retrain weight_rewind needs rewind_epoch")
        if self.retrain in ("finetune", "reinit") and self.rewind_epoch is not None:
            raise UsageError(f"rewind_epoch has no meaning with retrain {self.retrain}")
        if self.retrain == "reinit" and self.optimizer_state == "keep":
            raise UsageError("optimizer_state keep has no meaning with retrain reinit")
        self._structure_agrees()
        if self.schedule == "one_shot" and self.rounds != 1:
            raise UsageError(f"schedule one_shot has 1 round, not {self.rounds}")
        return self

    def _structure_agrees(self) -> None:
        removal, said = self.removal, f"structure {structure_text(self.structure)}"
        if removal.units is None and self.width_multiple != 1:
            raise UsageError(f"width_multiple has no meaning with {said}")
        if not removal.is_mixed and self.unit_sparsity is not None:
            raise UsageError(f"unit_sparsity has no meaning with {said}")
        if removal.entries != "blocks" and self.block is not None:
            raise UsageError(f"block has no meaning with {said}")
        if removal.is_mixed and self.score_offsets:
            raise UsageError(
                f"score_offsets have no meaning with {said}: units and entries are scored apart"
            )
        allowed = allocations_for(self.structure)
        if not removal.is_mixed:
            allowed = (*allowed, "per_layer")
        if self.allocation not in allowed:
            raise UsageError(
                f"allocation {self.allocation} has no meaning with {said}; there is "
                f"{', '.join(allowed)}"
            )
        if removal.pattern is not None:
            self._pattern_agrees(*removal.pattern)

    def _pattern_agrees(self, n: int, m: int) -> None:
        most = self.removal.most(self.unit_sparsity or 0.0)
        assert most is not None
        ends = f"structure {structure_text(self.structure)} ends at {most:.6g}"
        if isinstance(self.sparsity, dict):
            for layer, level in self.sparsity.items():
                if level > most + _ROUNDING:
                    raise UsageError(f"sparsity of layer {layer!r} is {level}; {ends}")
        elif self.sparsity is not None and abs(self.sparsity - most) > _ROUNDING:
            instead = ", and say by unit_sparsity how much goes with units"
            raise UsageError(
                f"sparsity is {self.sparsity}; {ends}, and only there the pattern holds in all its "
                f"layers. Leave sparsity out{instead if self.removal.is_mixed else ''}."
            )
        if self.layer_floor is not None and self.layer_floor > n / m:
            raise UsageError(f"layer_floor is {self.layer_floor}; {n}:{m} leaves {n / m:.6g}")
        if self.removal.units and self.width_multiple % m:
            raise UsageError(
                f"width_multiple is {self.width_multiple}; with {n}:{m} in layers whose inputs are "
                f"taken out it must be a multiple of {m}, or the groups would not come out even"
            )

    @property
    def asks_for_weights(self) -> bool:
        """Whether sparsity is a share of all prunable weights.

        It is none where the target is a share of the multiply-adds, and where only some of the
        layers go on from units to a pattern, which is for them alone.
        """
        by_layer = self.removal.is_mixed and isinstance(self.structure, dict)
        return self.budget == "weights" and not (by_layer and self.removal.pattern is not None)

    @property
    def removal(self) -> Removal:
        """What the plan removes, over all layers."""
        return removal_of(self.structure)

    @property
    def seeds(self) -> Seeds:
        """The three streams, each its own number or derived from ``seed``."""
        given = (self.init_seed, self.data_seed, self.mask_seed)
        return Seeds(
            *(
                derive_seed(self.seed, stream) if seed is None else seed
                for stream, seed in zip(Seeds._fields, given, strict=True)
            )
        )

    @property
    def by_latency(self) -> str | None:
        """The field by which cuts depend on what layers take in milliseconds; None where none."""
        if self.budget == "latency_ms":
            return "budget"
        return "cost" if self.cost_exponent and self.cost == "latency_ms" else None

    def sparsity_at(self, round_: int) -> float | dict[str, float] | None:
        """What the schedule asks for at a round: one number, or one for each layer.

        Layers given by name each follow the schedule on their own. With an absolute threshold
        nothing is asked for, and the answer is None.
        """
        if self.sparsity is None:
            return None
        if isinstance(self.sparsity, dict):
            return {
                layer: sparsity_at(self.schedule, round_, self.rounds, final)
                for layer, final in self.sparsity.items()
            }
        return sparsity_at(self.schedule, round_, self.rounds, self.sparsity)

    def unit_sparsity_at(self, round_: int) -> float | dict[str, float]:
        """The part of :meth:`sparsity_at` that units come up for, where there are units."""
        asked = self.sparsity_at(round_)
        assert asked is not None
        if self.unit_sparsity is None or isinstance(asked, dict):
            return asked
        return min(asked, self.unit_sparsity)

    def has_entries_at(self, round_: int) -> bool:
        """Whether a round removes entries: where units come first, once these are through."""
        asked = self.sparsity_at(round_)
        if self.unit_sparsity is None or not isinstance(asked, float):
            return self.removal.entries is not None
        return asked > self.unit_sparsity

    def pattern_sparsity_at(self, round_: int) -> float | dict[str, float]:
        """The share of what units leave that a pattern of n:m removes up to a round."""
        asked = self.sparsity_at(round_)
        assert asked is not None
        if self.unit_sparsity is None or isinstance(asked, dict):
            return asked
        return max(1.0 - (1.0 - asked) / (1.0 - self.unit_sparsity), 0.0)

    def prefix(self, rounds: int) -> PruningPlan | None:
        """The plan that the first ``rounds`` rounds of this plan are, if there is one.

        A geometric schedule removes the same share of what remains each round, a constant one
        the same share of the original, and an absolute threshold is the same in every round: in
        these, stopping early gives exactly what a shorter plan would have given. In the other
        schedules only the whole plan is a plan.

        With a pattern of n:m the first rounds stop on the way to it, as no plan of a user's may.

        Parameters
        ----------
        rounds
            From 1 to the number of rounds of this plan.

        Raises
        ------
        ValueError
            If ``rounds`` is outside that range.
        """
        if not 1 <= rounds <= self.rounds:
            raise ValueError(f"rounds must be from 1 to {self.rounds}, not {rounds}")
        if rounds == self.rounds:
            return self
        if self.allocation != "threshold" and self.schedule not in ("geometric", "constant"):
            return None
        return self.model_copy(update={"rounds": rounds, "sparsity": self.sparsity_at(rounds)})

    def extended(self, rounds: int) -> PruningPlan | None:
        """The plan of more rounds that this plan is the first rounds of, if there is one.

        The inverse of :meth:`prefix`: further rounds remove the same share of what remains
        (geometric), or of the original (constant).

        Parameters
        ----------
        rounds
            More than this plan has.

        Returns
        -------
        PruningPlan or None
            None with another schedule, and where nothing would be left.
        """
        if rounds <= self.rounds:
            raise ValueError(f"rounds must be more than {self.rounds}, not {rounds}")
        if self.allocation != "threshold" and self.schedule not in ("geometric", "constant"):
            return None
        longer = rounds / self.rounds

        def further(sparsity: float) -> float:
            if self.schedule == "constant":
                return sparsity * longer
            return 1.0 - math.pow(1.0 - sparsity, longer)

        sparsity: Any = self.sparsity
        if isinstance(sparsity, dict):
            sparsity = {layer: further(level) for layer, level in sparsity.items()}
            levels = list(sparsity.values())
        elif sparsity is not None:
            sparsity = further(sparsity)
            levels = [sparsity]
        else:
            levels = []
        most = self.removal.most(self.unit_sparsity or 0.0)
        if any(level >= 1.0 or (most is not None and level > most + _ROUNDING) for level in levels):
            return None
        return self.model_copy(update={"rounds": rounds, "sparsity": sparsity})

    def content_hash(self) -> str:
        """A stable name of this plan: 16 hexadecimal digits over its canonical JSON."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]
