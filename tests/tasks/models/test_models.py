import pytest
import torch
from torch import nn

from study.errors import UsageError
from study.tasks.models import MODELS

MNIST, CIFAR = (1, 28, 28), (3, 32, 32)


@pytest.mark.parametrize(
    ("name", "shape", "parameters"),
    [
        ("lenet300", MNIST, 266_610),  # Han et al. 2015, table 1: 267 K
        ("lenet5", MNIST, 431_080),  # Han et al. 2015, table 1: 431 K
        ("resnet20", CIFAR, 269_722),  # He et al. 2016, table 6: 0.27 M
        ("resnet32", CIFAR, 464_154),  # 0.46 M
        ("resnet56", CIFAR, 853_018),  # 0.85 M
        ("vgg16", CIFAR, 14_724_042),
    ],
)
def test_networks_have_the_size_that_papers_give(
    name: str, shape: tuple[int, ...], parameters: int
) -> None:
    model = MODELS[name](shape, 10)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert model(torch.zeros(2, *shape)).shape == (2, 10)


def test_an_mlp_has_the_widths_that_it_is_given() -> None:
    model = MODELS["mlp"]((1, 8, 8), 10, widths=[5, 4], dropout=0.1)
    sizes = [tuple(m.weight.shape) for m in model.modules() if isinstance(m, nn.Linear)]
    assert sizes == [(5, 64), (4, 5), (10, 4)]


def test_the_small_cnn_takes_digits() -> None:
    assert MODELS["small_cnn"]((1, 8, 8), 10)(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize("name", ["lenet5", "small_cnn", "resnet20", "vgg16"])
def test_examples_that_are_no_images_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"takes images .* these examples are \(64,\)"):
        MODELS[name]((64,), 10)


@pytest.mark.parametrize("options", [{"widths": [0]}, {"dropout": 1.0}])
def test_an_mlp_that_makes_no_sense_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="model_options"):
        MODELS["mlp"]((4,), 2, **options)
