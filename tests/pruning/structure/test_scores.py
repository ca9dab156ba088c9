"""Scores of units against what they are by definition."""

import pytest
import torch
from torch import nn

from study.errors import UsageError
from study.pruning.structure.finding import separable_channels
from study.pruning.structure.scores import UNIT_SALIENCIES, UnitInputs
from study.pruning.structure.units import Structure

torch.manual_seed(0)
MODEL = nn.Sequential(
    nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Sigmoid(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)
)
X, Y = torch.randn(8, 5), torch.randint(2, (8,))
WEIGHTS = ("0.weight", "3.weight", "5.weight")


def structures() -> list[Structure]:
    return separable_channels(MODEL.eval(), lambda m: m(X))[0]


def loss(rows: slice, gate: torch.Tensor | None = None) -> torch.Tensor:
    x = MODEL[:3].eval()(X[rows])
    x = x if gate is None else x * gate
    return nn.functional.cross_entropy(MODEL[3:](x), Y[rows])


def inputs() -> UnitInputs:
    parameters = dict(MODEL.named_parameters())

    def gradients():  # type: ignore[no-untyped-def]
        for rows in (slice(0, 6), slice(6, 8)):
            parts = torch.autograd.grad(loss(rows), [parameters[name] for name in WEIGHTS])
            yield (rows.stop - rows.start) / 8, dict(zip(WEIGHTS, parts, strict=True))

    values = {name: p.detach() for name, p in parameters.items()}
    return UnitInputs(values, frozenset(WEIGHTS), gradients, seed=0)


def gate_gradient(rows: slice) -> torch.Tensor:
    """The derivative of the loss by a factor on each unit, by autograd."""
    gate = torch.ones(4, requires_grad=True)
    return torch.autograd.grad(loss(rows, gate), gate)[0].double()


def test_l1_and_l2_are_of_all_weights_that_go_with_a_unit() -> None:
    first, second = MODEL[0].weight.detach(), MODEL[3].weight.detach()
    own = [torch.cat([first[i], second[:, i]]).double() for i in range(4)]
    l1, l2 = (UNIT_SALIENCIES[name](structures(), inputs())["0"] for name in ("l1", "l2"))
    torch.testing.assert_close(l1, torch.stack([w.abs().sum() for w in own]))
    torch.testing.assert_close(l2, torch.stack([w.norm() for w in own]))


def test_taylor_is_the_squared_derivative_by_a_gate_on_the_unit() -> None:
    mean = gate_gradient(slice(0, 6)) * 6 / 8 + gate_gradient(slice(6, 8)) * 2 / 8
    torch.testing.assert_close(
        UNIT_SALIENCIES["taylor"](structures(), inputs())["0"], mean.square(), rtol=1e-4, atol=1e-9
    )


def test_fisher_is_half_the_mean_square_of_that_derivative() -> None:
    squares = gate_gradient(slice(0, 6)) ** 2 * 6 / 8 + gate_gradient(slice(6, 8)) ** 2 * 2 / 8
    torch.testing.assert_close(
        UNIT_SALIENCIES["fisher"](structures(), inputs())["0"], squares / 2, rtol=1e-4, atol=1e-9
    )


def test_norm_scale_is_that_of_the_norm_and_refuses_units_without_one() -> None:
    found = UNIT_SALIENCIES["norm_scale"](structures()[:1], inputs())["0"]
    torch.testing.assert_close(found, MODEL[1].weight.detach().abs().double())
    with pytest.raises(UsageError, match=r"'3' pass no norm.*: exclude = \[\"3\"\]\.$"):
        UNIT_SALIENCIES["norm_scale"](structures(), inputs())
    with pytest.raises(UsageError, match=r"'3' pass no norm.*; take l2 or taylor\.$"):
        UNIT_SALIENCIES["norm_scale"](structures()[1:], inputs())
