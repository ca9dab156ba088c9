"""The ``[space]`` table of a study file: its fields, and which of them agree."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from search_spaces.cuts import check_cuts
from search_spaces.forms import (
    BY_ALLOCATION,
    MEANINGLESS,
    Form,
    allocations_of,
    filled_in,
    forms_for,
)
from search_spaces.per_layer import DEFAULT_BOUNDS, PerLayer
from search_spaces.strict import Strict
from search_spaces.structures import (
    COST_AWARE,
    Structures,
    allocations_for,
    alternatives,
    is_units,
    read_structures,
    refuse_latency,
    removal_of,
    structure_text,
)
from search_spaces.values import (
    LEAST_DENSITY,
    Integers,
    Names,
    Numbers,
    Range,
    names,
    numbers,
    one_of,
    options,
)

Budget = Literal["weights", "macs", "latency_ms"]
Cost = Literal["parameters", "macs", "latency_ms"]
Patterns = Annotated[
    tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)
]

MOST_SCALE = 5.0
MOST_ROUNDS, MOST_EPOCHS = 1000, 100_000
"""Beyond any descent that was ever run; a slip of the pen is found before it fills the memory."""

ALLOCATIONS = tuple(dict.fromkeys((*allocations_for("weights"), *allocations_for("channels"))))
"""How a sparsity is divided over layers, whatever is removed of them."""


class SpaceTable(Strict):
    """What a study file says of its space: checked, complete, and unchangeable."""

    form: Annotated[Form, one_of("offsets", "per_layer", "density_projected", "global")] = Field(
        default="offsets",
        description="parameters of sparsity: offsets, a total density, an allocation that ranks "
        "scores, and an offset of the scores of each layer or coupled set but the largest; "
        "per_layer, one for each layer; density_projected, a total density and each layer's share; "
        "global, a total density and an allocation; unset: offsets, but with bounds or scale under "
        "per_layer, or saliency movement, per_layer (with cut density_projected), and with a "
        "threshold, with an allocation that ranks no scores, and where a structure has no offsets, "
        "global",
    )
    per_layer: PerLayer = Field(
        default=PerLayer(),
        description="what layers may take, with form per_layer or density_projected, and which of "
        "them share a parameter, also with form offsets",
    )
    density: Annotated[Numbers | None, numbers(least=LEAST_DENSITY, most=1, log=True)] = Field(
        default=None,
        description="density of all prunable weights, with form offsets, density_projected or "
        "global; unset: [0.02, 1], on a log scale, and with offsets of single weights [0.01, 1]",
    )
    offset_scale: float | None = Field(
        default=None,
        gt=0,
        le=MOST_SCALE,
        description="with form offsets: standard deviation of the offsets, normal around 0, that "
        "are added to the natural logarithm of scores; each has its quantile for a parameter, from "
        "0.005 to 0.995, and at 0.5 it is 0; unset: 0.5, and of channels, heads or units 0.15",
    )
    structure: Annotated[Structures, BeforeValidator(read_structures)] = Field(
        default="weights",
        description="what is removed: weights, single ones; n:m (such as 2:4), all but n of each m "
        "inputs, at whose density plans end; blocks; channels, heads, or units (both), with all "
        "that is coupled to them, so that the network gets really smaller; channels+weights or "
        "channels+2:4, units first; a list of these is searched over, a table of them by layer is "
        "one structure; any but weights has form global, blocks alone also offsets, and one of "
        "channels, heads or units alone also offsets, and per_layer, a share of units for each "
        "coupled set",
    )
    unit_sparsity: Annotated[Numbers | None, numbers(above=0, below=1)] = Field(
        default=None,
        description="with a structure such as channels+weights: sparsity up to which units go, and "
        "entries from there on; unset: 0.5",
    )
    block: tuple[int, int] | None = Field(
        default=None,
        description="with structure blocks: outputs and inputs of a block; unset: 4 and 4",
    )
    width_multiple: int = Field(
        default=1,
        ge=1,
        le=65_536,
        description="with channels: widths that are left are multiples of this (8 where latency "
        "counts), in layers that are wider",
    )
    allocation: Annotated[Names | None, names(*ALLOCATIONS)] = Field(
        default=None,
        description="how the density is divided over layers; with form offsets global or lamp, of "
        "channels also global_raw, unset: lamp, of channels all; with form global unset: global, "
        "uniform, uniform_plus, erk or lamp; of channels uniform, global, global_raw, "
        "lamp or isomorphic, and on request knapsack, or sensitivity, which scans the layers first "
        "and needs structure channels, heads or units alone; of several structures each is drawn "
        "with those that it can have",
    )
    threshold: Annotated[Numbers | None, numbers(above=0, log=True)] = Field(
        default=None,
        description="with allocation threshold, in place of a density: weights whose saliency is "
        "below it are removed",
    )
    budget: Annotated[Budget, one_of("weights", "macs", "latency_ms")] = Field(
        default="weights",
        description="with form offsets or global: what density is a share of, the prunable weights "
        "or their multiply-adds; of channels also the milliseconds that the dense network is "
        "predicted to take by the times of its layers (latency_ms, with a backend under [latency])",
    )
    cost: Annotated[Cost, one_of("parameters", "macs", "latency_ms")] = Field(
        default="macs",
        description="with cost_exponent: what a weight costs, 1 parameter or its multiply-adds; "
        "of a channel also the milliseconds that it takes (latency_ms)",
    )
    cost_exponent: Annotated[Numbers, numbers(most=2)] = Field(
        default=0.0,
        description="with allocation global or lamp: the scores by which weights of all layers are "
        "ranked are divided by what a weight costs to this power; 0: costs don't count",
    )
    saliency: Annotated[Names, names()] = Field(
        default="magnitude", description="importance of a weight; the lowest are removed first"
    )
    schedule: Annotated[Names, names()] = Field(
        default="geometric", description="course of the sparsity over the rounds"
    )
    rounds: Annotated[Integers | None, numbers(least=1, most=MOST_ROUNDS, whole=True)] = Field(
        default=Range(1, 5),
        description="how many times to prune and retrain; under one_shot it is 1",
    )
    cut: Annotated[Numbers | None, numbers(above=0, below=1)] = Field(
        default=None,
        description="instead of rounds, with form offsets, density_projected or global: share of "
        "what remains that each round removes, for as many rounds as it takes down to "
        "the floor; with density_projected each layer removes its own, and cut is their mean over "
        "the rounds",
    )
    floor: float | None = Field(
        default=None,
        ge=LEAST_DENSITY,
        lt=1,
        description="with cut: total density at or below which a plan ends; unset: 0.01",
    )
    retrain: Annotated[Names, names("finetune", "lr_rewind", "weight_rewind", "reinit")] = Field(
        default=("finetune", "lr_rewind", "weight_rewind"),
        description="how to retrain after each cut",
    )
    rewind_epoch: Annotated[Numbers, numbers(most=MOST_EPOCHS, step=0.5)] = Field(
        default=Range(0.0, 2.0, step=0.5),
        description="epoch of the dense run that weight_rewind goes back to; ranges have steps of "
        "0.5 unless they set their own",
    )
    lr_rewind_epoch: Annotated[Numbers | None, numbers(most=MOST_EPOCHS, step=0.5)] = Field(
        default=None,
        description="epoch of the dense run's learning-rate schedule that lr_rewind goes back to; "
        "unset: the one from which retrain_epochs reach its end",
    )
    retrain_epochs: Annotated[Numbers | None, numbers(most=MOST_EPOCHS, step=0.5)] = Field(
        default=None,
        description="epochs after each cut, ranges in steps of 0.5; unset: from the rewind epoch "
        "to the end of the dense run, and without a rewind epoch as many as the dense run took",
    )
    retrain_lr: Annotated[Numbers | None, numbers(above=0, log=True)] = Field(
        default=None,
        description="highest learning rate of retraining, ranges on a log scale; unset: that of "
        "the dense run, and of finetune the one at its end",
    )
    retrain_lr_schedule: Annotated[Names | None, names()] = Field(
        default=None,
        description="course of the learning rate over each retraining: constant, step, cosine, or "
        "an import string; unset: that of the dense run from the epoch that retrain says",
    )
    optimizer_state: Annotated[Names, names("fresh", "keep")] = Field(
        default="fresh",
        description="what the optimizer remembers after a cut; after reinit nothing",
    )
    layer_floor: Annotated[Numbers | None, numbers(below=1)] = Field(
        default=None,
        description="least share that is kept: of single weights or blocks, of each layer's; of "
        "channels and other units, of each coupled set's, so that a layer between two sets may "
        "keep the square of it; unset: 0, and 0.1 of units (less where the target needs it) with "
        "allocation global, global_raw, lamp, isomorphic or knapsack",
    )
    include: Patterns = Field(
        default=(), description="patterns of the layers to prune; empty: all that can be"
    )
    exclude: Patterns = Field(default=(), description="patterns of layers to leave dense")
    function: str | None = Field(
        default=None,
        description="instead of all else: import string of a function (trial, layers) that "
        "returns a plan, or a table of its fields",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in_what_the_form_needs(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or values.get("function") is not None:
            return values
        return filled_in(values)

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        if self.function is not None:
            other = self._set_fields() - {"function"}
            if self.form == "per_layer":  # so files of former studies have it, unasked
                other.discard("form")
            if other:
                raise ValueError(
                    f"function {self.function!r} is a whole space; take {', '.join(sorted(other))} "
                    "out"
                )
            return self
        self._form_agrees()
        if self.cut is not None:
            check_cuts(dict(self))
            least, floor = min(options(self.cut)), self.floor or 0.5
            if math.log(floor) / math.log1p(-least) > MOST_ROUNDS:
                raise ValueError(
                    f"cut {least:g} takes more than {MOST_ROUNDS} rounds down to floor {floor:g}"
                )
        elif self.floor is not None:
            raise ValueError("floor has no meaning without cut")
        for field in sorted(self._set_fields() & set(MEANINGLESS[self.form])):
            raise ValueError(f"{field} has no meaning with form {self.form}")
        is_scaled = self.per_layer.scale != "linear_sparsity"
        if is_scaled and self.form in ("offsets", "density_projected"):
            raise ValueError(f"per_layer.scale has no meaning with form {self.form}")
        if self.form == "offsets" and self.per_layer.bounds != DEFAULT_BOUNDS:
            raise ValueError(
                "per_layer.bounds have no meaning with form offsets, which moves scores and sets "
                "no levels; forms with bounds are per_layer and density_projected"
            )
        self._structures_agree()
        if ("threshold" in options(self.allocation)) != (self.threshold is not None):
            raise ValueError("allocation threshold and the field threshold need each other")
        if self.allocation == "threshold" and self.density is not None:
            raise ValueError("density has no meaning with allocation threshold")
        if self.budget != "weights" and "threshold" in options(self.allocation):
            raise ValueError(f"budget {self.budget} has no meaning with allocation threshold")
        for field in ("budget", "cost"):
            if getattr(self, field) != "latency_ms":
                continue
            for structure in alternatives(self.structure):
                refuse_latency(field, structure)
        if self.cost_exponent != 0 and not set(COST_AWARE) & set(options(self.allocation)):
            raise ValueError(f"cost_exponent needs allocation {' or '.join(COST_AWARE)}")
        if self.cost_exponent == 0 and self.cost != "macs":
            raise ValueError("cost has no meaning without cost_exponent")
        if self.schedule == "one_shot" and 1 not in options(self.rounds):
            raise ValueError(f"schedule one_shot has 1 round; rounds is {options(self.rounds)}")
        if isinstance(self.rewind_epoch, Range) and self.rewind_epoch.step is None:
            raise ValueError("rewind_epoch needs a step: the dense run keeps a state for each")
        if self.retrain == "reinit" and self.optimizer_state == "keep":
            raise ValueError("optimizer_state keep has no meaning with retrain reinit")
        return self

    def _form_agrees(self) -> None:
        """Levels and offsets of each layer, and scans, are for structures that have one of each."""
        forms = forms_for(self.structure)
        if self.form not in forms:
            raise ValueError(
                f"structure {self._structures} has form {' or '.join(forms)}, not {self.form}"
            )
        if self.structure == "weights" or is_units(self.structure):
            return
        if "sensitivity" in options(self.allocation):
            raise ValueError(
                "allocation sensitivity needs structure channels, heads or units alone, not "
                f"{self._structures}"
            )

    def _structures_agree(self) -> None:
        removals = [removal_of(each) for each in alternatives(self.structure)]
        said = f"structure {self._structures}"
        if self.width_multiple != 1 and not any(each.units for each in removals):
            raise ValueError(f"width_multiple has no meaning with {said}")
        if self.unit_sparsity is not None and not any(each.is_mixed for each in removals):
            raise ValueError(f"unit_sparsity has no meaning with {said}")
        if self.block is not None and not any(each.entries == "blocks" for each in removals):
            raise ValueError(f"block has no meaning with {said}")
        if self.density is not None and all(each.pattern for each in removals):
            raise ValueError(f"density has no meaning with {said}, which says it itself")
        for structure, each in zip(alternatives(self.structure), removals, strict=True):
            if each.pattern is None:
                continue
            n, m = each.pattern
            own = f"structure {structure_text(structure)}"
            if max(options(self.layer_floor or 0.0)) > n / m:
                raise ValueError(f"layer_floor is above the {n / m:.4g} that {own} leaves")
            if each.units and self.width_multiple % m:
                raise ValueError(
                    f"width_multiple is {self.width_multiple}; with {own} it must be a multiple of "
                    f"{m}, or the groups would not come out even"
                )
        if not self.by_allocation:
            return
        moved = "form offsets and " if self.form == "offsets" else ""
        given, known = options(self.allocation), set[str]()
        for structure in alternatives(self.structure):
            allowed = allocations_of(self.form, structure)
            known.update(allowed)
            if not set(given) & set(allowed):
                raise ValueError(
                    f"allocation {', '.join(given)} has no meaning with {moved}structure "
                    f"{structure_text(structure)}; there is {', '.join(allowed)}"
                )
        for allocation in given:
            if allocation not in known:
                raise ValueError(
                    f"allocation {allocation} has no meaning with {moved}{said}; there is "
                    f"{', '.join(name for name in ALLOCATIONS if name in known)}"
                )

    @property
    def by_allocation(self) -> bool:
        """Whether plans have one total, and an allocation that divides it over the layers."""
        return self.form in BY_ALLOCATION

    @property
    def _structures(self) -> str:
        return ", ".join(structure_text(each) for each in alternatives(self.structure))

    def _set_fields(self) -> set[str]:
        """Fields that are other than their default, whether or not they were written."""
        return {
            name
            for name, field in type(self).model_fields.items()
            if getattr(self, name) != field.default
        }
