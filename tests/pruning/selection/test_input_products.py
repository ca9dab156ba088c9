from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from study.errors import UsageError
from study.pruning.masking.choosing import mask_layers
from study.pruning.selection.input_products import by_group, input_products

CONVOLUTIONS = {
    "plain": lambda: nn.Conv2d(4, 6, 3, padding=1),
    "strided": lambda: nn.Conv2d(4, 6, (3, 2), stride=2, padding=(1, 0), dilation=(1, 2)),
    "grouped": lambda: nn.Conv2d(4, 6, 3, groups=2),
    "depthwise": lambda: nn.Conv2d(4, 8, 3, groups=4, padding="same"),
    "reflected": lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
}


def seen_by(module: nn.Module, inputs: Tensor) -> Tensor:
    model = nn.Sequential(module)
    weights = mask_layers(model).weights
    (products,) = input_products(model, weights, lambda: model(inputs)).values()
    return products


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_a_convolution_is_the_product_with_its_patches(kind: str) -> None:
    """The outputs' sum of squares is what the products say it is, for any weight."""
    torch.manual_seed(0)
    convolution = CONVOLUTIONS[kind]().double()
    assert isinstance(convolution, nn.Conv2d)
    nn.init.zeros_(convolution.bias)
    inputs = torch.randn(5, 4, 8, 9, dtype=torch.float64)
    products = seen_by(convolution, inputs)
    weight = by_group(convolution.weight.detach(), products)
    outputs = convolution(inputs).detach()
    by_output = outputs.square().sum(dim=(0, 2, 3))
    torch.testing.assert_close((weight @ products * weight).sum(-1).flatten(), by_output)
    between = outputs[:, 0].mul(outputs[:, 1]).sum()  # both of the first group
    torch.testing.assert_close(weight[0, 0] @ products[0] @ weight[0, 1], between)


def test_a_dense_layer_sees_every_position_of_every_example() -> None:
    inputs = torch.randn(5, 7, 4, dtype=torch.float64)
    products = seen_by(nn.Linear(4, 3).double(), inputs)
    expected = torch.zeros(4, 4, dtype=torch.float64)
    for row in inputs.reshape(-1, 4):
        expected += torch.outer(row, row)
    torch.testing.assert_close(products, expected[None])


class Twice(nn.Module):
    """One module is called twice, another has its weight too."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
        self.second.weight = self.first.weight
        self.unused = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.second(input=self.first(self.first(x)))
        return out


def test_all_inputs_of_a_shared_weight_count() -> None:
    model = Twice()
    weights = mask_layers(model, exclude="unused").weights
    x = torch.randn(6, 4)
    (products,) = input_products(model, weights, lambda: model(x)).values()
    once = model.first(x).detach()
    rows = torch.cat([x, once, model.first(once).detach()])
    torch.testing.assert_close(products[0].float(), rows.T @ rows)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_layer_that_is_never_called_is_told() -> None:
    model = Twice()
    with pytest.raises(UsageError, match="layer 'unused': its module was never called"):
        input_products(model, mask_layers(model).weights, lambda: model(torch.randn(2, 4)))


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: nn.Embedding(5, 4), "Embedding"),
        (lambda: nn.Conv1d(2, 3, 3), "Conv1d"),
        (lambda: nn.LSTM(3, 4), "LSTM"),
        (lambda: weight_norm(nn.Linear(3, 4)), "ParametrizationList"),
    ],
)
def test_other_layers_are_refused_by_name(make: Callable[[], nn.Module], kind: str) -> None:
    model = nn.Sequential(make())
    with pytest.raises(UsageError, match=f"layer '0.*' belongs to a {kind}"):
        input_products(model, mask_layers(model).weights, lambda: None)


def test_complex_weights_are_refused() -> None:
    model = nn.Sequential(nn.Linear(3, 4, dtype=torch.complex64))
    with pytest.raises(UsageError, match="layer '0' is complex"):
        input_products(model, mask_layers(model).weights, lambda: None)
