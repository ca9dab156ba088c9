import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from study.errors import UsageError
from study.pruning.masking.choosing import mask_layers


class LayerScale(nn.Module):
    """A gain for each channel, as own layer norms and residual branches have it."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full(shape, 1e-4))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


def with_head(layer: nn.Module) -> nn.Sequential:
    return nn.Sequential(layer, nn.Linear(6, 3))


@pytest.mark.parametrize("shape", [(1, 8, 1, 1), (8, 1), (1, 8), (1, 1), (8, 1, 1)])
def test_a_gain_is_no_prunable_weight_unless_it_is_named_in_full(shape: tuple[int, ...]) -> None:
    model = with_head(LayerScale(*shape))
    assert mask_layers(model).names == ["1"]
    assert mask_layers(with_head(LayerScale(*shape)), include=["0", "1"]).names == ["0", "1"]


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(1, 6),
        nn.Linear(6, 1),
        nn.Conv2d(1, 8, 1),
        nn.Conv1d(8, 1, 1),
        nn.Embedding(6, 1),
        nn.LSTM(1, 1),
        nn.GRUCell(1, 1),
    ],
)
def test_a_narrow_layer_of_torchs_own_is_prunable(layer: nn.Module) -> None:
    assert any(name.startswith("0") for name in mask_layers(with_head(layer)).names)


def test_a_matrix_of_an_own_layer_is_prunable() -> None:
    assert mask_layers(with_head(LayerScale(4, 6))).names == ["0", "1"]


def test_a_complex_weight_is_prunable() -> None:
    model = nn.Linear(3, 4, dtype=torch.complex64)
    assert mask_layers(model).names == ["weight"]


def test_a_lazy_module_without_a_shape_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"'0\.weight' of LazyLinear .*one batch .*model\(\)"):
        mask_layers(with_head(nn.LazyLinear(6)))
    with pytest.raises(UsageError, match=r"'0\.running_mean' of LazyBatchNorm1d .*no shape"):
        mask_layers(with_head(nn.LazyBatchNorm1d(affine=False)))


def test_a_lazy_module_that_has_seen_a_batch_is_prunable() -> None:
    model = with_head(nn.LazyLinear(6))
    model(torch.zeros(2, 5))
    assert mask_layers(model).total == {"0": 30, "1": 18}


def test_a_tensor_on_the_meta_device_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"'0\.weight' of Linear is on the meta device"):
        mask_layers(with_head(nn.Linear(4, 6, device="meta")))


def test_a_scripted_module_is_refused_by_name_and_can_be_excluded() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(nn.Sequential(nn.Linear(4, 6), nn.ReLU()))
    with pytest.raises(UsageError, match=r"layer '0\.0' is scripted .*exclude it"):
        mask_layers(with_head(scripted))
    masked = mask_layers(with_head(scripted), exclude="0.*")
    assert masked.names == ["1"]
    masked.cut({"1": torch.zeros(3, 6, dtype=torch.bool)}, optimizer=None)
    assert not masked.model(torch.randn(2, 4)).sub(masked.model[1].bias).any()  # type: ignore[operator,index]


@pytest.mark.parametrize("frozen", ["0.weight", "0.bias", "1.weight"])
def test_a_frozen_parameter_is_left_alone(frozen: str) -> None:
    model = with_head(nn.Linear(4, 6))
    model.get_parameter(frozen).requires_grad_(False)
    assert mask_layers(model).names == [n for n in ("0", "1") if f"{n}.weight" != frozen]


class Symmetric(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.triu() + x.triu(1).T


def orthogonal(layer: nn.Module) -> nn.Module:
    return parametrizations.orthogonal(layer)


def symmetric(layer: nn.Module) -> nn.Module:
    return parametrize.register_parametrization(layer, "weight", Symmetric())


def spectral_and_weight_norm(layer: nn.Module) -> nn.Module:
    return parametrizations.weight_norm(parametrizations.spectral_norm(layer))  # type: ignore[no-any-return]


@pytest.mark.parametrize("change", [orthogonal, symmetric])
def test_a_parametrisation_without_zeros_is_refused_by_name_unless_excluded(change) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match=r"layer '0' is parametrised .*remove_parametriz.*exclude"):
        mask_layers(with_head(change(nn.Linear(6, 6))))
    assert mask_layers(with_head(change(nn.Linear(6, 6))), exclude="0").names == ["1"]
    assert mask_layers(with_head(change(nn.Linear(6, 6))), include="1").names == ["1"]


def test_a_parametrised_bias_is_nobodys_business() -> None:
    layer = nn.Linear(6, 6)
    parametrize.register_parametrization(layer, "bias", nn.Tanh())
    assert mask_layers(with_head(layer)).names == ["0", "1"]
