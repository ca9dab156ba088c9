"""How important a unit is. Higher = keep.

Any saliency of weights is one of units too: the sum over all weights that go with the unit, those
that make it and those that read it. Beside these there are some that only units have.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from study.errors import UsageError
from study.pruning.seeds import derive_seed
from study.pruning.structure.units import Part, Structure

Values = Mapping[str, Tensor]
"""Tensors by parameter name."""


@dataclass(frozen=True, eq=False)
class UnitInputs:
    """What the saliency of units may look at.

    Parameters
    ----------
    parameters
        Of the model, by name: weights, biases, norms.
    weights
        Names of those that are weights to prune.
    batch_gradients
        Gradients of the training loss at the weights to prune, batch after batch, each with its
        share of the examples. Only a saliency that calls it pays for it.
    seed
        For scores that are drawn.
    """

    parameters: Values
    weights: frozenset[str]
    batch_gradients: Callable[[], Iterable[tuple[float, Values]]]
    seed: int

    def parts(self, structure: Structure, *roles: str) -> list[Part]:
        """Parts of a structure in weights to prune."""
        return [p for p in structure.parts if p.tensor in self.weights and p.role in roles]


UnitSaliency = Callable[[Sequence[Structure], UnitInputs], dict[str, Tensor]]


def sum_by_unit(part: Part, values: Tensor, units: int) -> Tensor:
    """Sum of a tensor's values over the entries of each unit: (units,), float64."""
    others = [d for d in range(values.dim()) if d != part.dimension]
    along = values.double().sum(dim=others) if others else values.double()
    place = part.unit_of.to(along.device)
    inside = place >= 0
    found = torch.zeros(units, dtype=torch.float64, device=along.device)
    return found.index_add(0, place[inside], along[inside])


def summed(
    structures: Sequence[Structure], inputs: UnitInputs, values: Values
) -> dict[str, Tensor]:
    """Sum of values over all weights that go with each unit."""
    found = {}
    for structure in structures:
        parts = inputs.parts(structure, "writes", "reads")
        sums = [sum_by_unit(part, values[part.tensor], structure.units) for part in parts]
        found[structure.name] = torch.stack(sums).sum(dim=0)
    return found


def l1(structures: Sequence[Structure], inputs: UnitInputs) -> dict[str, Tensor]:
    """Sum of absolute values of all weights that go with the unit (Li et al. 2017)."""
    values = {name: inputs.parameters[name].abs() for name in inputs.weights}
    return summed(structures, inputs, values)


def l2(structures: Sequence[Structure], inputs: UnitInputs) -> dict[str, Tensor]:
    """Euclidean norm of all weights that go with the unit."""
    values = {name: inputs.parameters[name].abs().square() for name in inputs.weights}
    return {name: total.sqrt() for name, total in summed(structures, inputs, values).items()}


def norm_scale(structures: Sequence[Structure], inputs: UnitInputs) -> dict[str, Tensor]:
    """Absolute scale of the norms that the unit passes (Liu et al. 2017, "Network Slimming").

    Raises
    ------
    UsageError
        If the units of a structure pass no norm that has a scale.
    """
    found, without = {}, list[str]()
    for structure in structures:
        scales = [
            sum_by_unit(part, inputs.parameters[part.tensor].abs(), structure.units)
            for part in structure.of_role("writes")
            if part.tensor.endswith(".weight") and inputs.parameters.get(part.tensor) is not None
            and inputs.parameters[part.tensor].dim() == 1
        ]  # fmt: skip
        if not scales:
            without.append(structure.name)
            continue
        found[structure.name] = torch.stack(scales).sum(dim=0)
    if without:
        whole = ", or leave them whole: exclude = " + json.dumps(without) if found else ""
        raise UsageError(
            f"saliency 'norm_scale': the channels of {', '.join(map(repr, without))} pass no norm "
            f"with a scale; take l2 or taylor{whole}."
        )
    return found


def taylor(structures: Sequence[Structure], inputs: UnitInputs) -> dict[str, Tensor]:
    """Squared change of the loss, to first order, when nothing is sent on from the unit.

    The derivative of the loss by a gate on the unit is the sum of gradient times weight over all
    that reads it, whatever lies between: a gate scales these weights.

    References
    ----------
    Molchanov et al. 2019, "Importance Estimation for Neural Network Pruning", equation 8.
    """
    total: dict[str, Tensor] = {}
    for share, gates in _gates(structures, inputs):
        for name, gate in gates.items():
            total[name] = total.get(name, 0.0) + share * gate
    return {name: gate.square() for name, gate in total.items()}


def fisher(structures: Sequence[Structure], inputs: UnitInputs) -> dict[str, Tensor]:
    """Half the mean square of a gate's derivative, batch by batch.

    References
    ----------
    Theis et al. 2018, "Faster gaze prediction with dense networks and Fisher pruning", equation 8;
    there example by example.
    """
    total: dict[str, Tensor] = {}
    for share, gates in _gates(structures, inputs):
        for name, gate in gates.items():
            total[name] = total.get(name, 0.0) + share * gate.square() / 2
    return total


def random(structures: Sequence[Structure], inputs: UnitInputs) -> dict[str, Tensor]:
    """Uniform noise, drawn on the CPU: the control that any other saliency must beat."""
    return {
        structure.name: torch.rand(
            structure.units,
            dtype=torch.float64,
            generator=torch.Generator().manual_seed(derive_seed(inputs.seed, structure.name)),
        )
        for structure in structures
    }


def _gates(
    structures: Sequence[Structure], inputs: UnitInputs
) -> Iterable[tuple[float, dict[str, Tensor]]]:
    """The derivative of the loss by a gate on each unit, batch after batch."""
    for structure in structures:
        if not inputs.parts(structure, "reads"):
            raise UsageError(
                f"saliency: no weight to prune reads the channels of {structure.name!r}; gradients "
                "say nothing of them. Take l2, or exclude fewer layers."
            )
    for share, gradients in inputs.batch_gradients():
        gates = {}
        for structure in structures:
            parts = inputs.parts(structure, "reads")
            sums = [
                sum_by_unit(p, _change(inputs.parameters[p.tensor], gradients[p.tensor]),
                            structure.units)
                for p in parts
            ]  # fmt: skip
            gates[structure.name] = torch.stack(sums).sum(dim=0)
        yield share, gates


def _change(weight: Tensor, gradient: Tensor) -> Tensor:
    product = weight * gradient.conj()
    return product.real if product.is_complex() else product


UNIT_SALIENCIES: dict[str, UnitSaliency] = {
    "l1": l1,
    "l2": l2,
    "norm_scale": norm_scale,
    "taylor": taylor,
    "fisher": fisher,
    "random": random,
}
