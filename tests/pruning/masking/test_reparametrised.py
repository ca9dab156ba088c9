import copy
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from study.errors import UsageError
from study.pruning.masking.choosing import mask_layers
from study.pruning.masking.masks import MaskedLayers


def quiet(change: Callable[[nn.Module], nn.Module]) -> Callable[[nn.Module], nn.Module]:
    def changed(layer: nn.Module) -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # the old ones are deprecated
            return change(layer)

    return changed


NORMS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "weight norm": parametrizations.weight_norm,
    "weight norm of the whole": lambda m: parametrizations.weight_norm(m, dim=None),  # type: ignore[arg-type]
    "weight norm of inputs": lambda m: parametrizations.weight_norm(m, dim=1),
    "spectral norm": parametrizations.spectral_norm,
    "old weight norm": quiet(nn.utils.weight_norm),
    "old spectral norm": quiet(nn.utils.spectral_norm),
}


@pytest.fixture(params=NORMS)
def norm(request: pytest.FixtureRequest) -> Callable[[nn.Module], nn.Module]:
    return NORMS[request.param]


def network(norm: Callable[[nn.Module], nn.Module]) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        norm(nn.Conv1d(3, 4, 3)), nn.ReLU(), nn.Flatten(), norm(nn.Linear(24, 5)), nn.Linear(5, 2)
    )


def cut_half(masked: MaskedLayers) -> dict[str, Tensor]:
    """Half of all weights, and the whole first unit of the layers with a norm."""
    generator = torch.Generator().manual_seed(1)
    masks = {n: torch.rand(m.shape, generator=generator) < 0.5 for n, m in masked.masks.items()}
    for name in ("0", "3"):
        masks[name][0] = False
        masks[name][:, 0] = False
    masked.cut(masks, optimizer=None)
    return masks


def train(model: nn.Module, steps: int = 5) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    generator = torch.Generator().manual_seed(2)
    model.train()
    for _ in range(steps):
        inputs = torch.randn(8, 3, 8, generator=generator)
        targets = torch.randint(2, (8,), generator=generator)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0, error_if_nonfinite=True)
        optimizer.step()


def weight_in_use(model: nn.Module, layer: str) -> Tensor:
    model(torch.zeros(1, 3, 8))
    weight: Tensor = model.get_submodule(layer).weight  # type: ignore[assignment]
    return weight.detach()


def test_zeros_of_the_weight_stay_zero_in_training(
    norm: Callable[[nn.Module], nn.Module],
) -> None:
    model = network(norm)
    masked = mask_layers(model)
    assert masked.names == ["0", "3", "4"]
    assert masked.total == {"0": 36, "3": 120, "4": 10}
    masks = cut_half(masked)
    train(model)
    for layer, mask in masks.items():
        weight = weight_in_use(model, layer)
        assert not weight[~mask].any()
        assert weight[mask].all()
    assert all(bool(parameter.isfinite().all()) for parameter in model.parameters())


def test_a_layer_of_which_nothing_is_left_gives_its_bias_and_no_nan(
    norm: Callable[[nn.Module], nn.Module],
) -> None:
    model = network(norm)
    masked = mask_layers(model)
    masked.cut({n: torch.zeros_like(m) for n, m in masked.masks.items()}, optimizer=None)
    train(model)
    assert not weight_in_use(model, "3").any()
    assert all(bool(parameter.isfinite().all()) for parameter in model.parameters())


def test_masking_that_cuts_nothing_changes_no_bit(norm: Callable[[nn.Module], nn.Module]) -> None:
    plain, model = network(norm), network(norm)
    mask_layers(model)
    train(plain)
    train(model)
    for mine, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_the_gain_is_never_masked(norm: Callable[[nn.Module], nn.Module]) -> None:
    masked = mask_layers(network(norm))
    names = {parameter: name for name, parameter in masked.model.named_parameters()}
    own = [names[weight] for weight in masked.weights.values()]
    assert not [name for name in own if name.endswith(("_g", "original0"))]
    for gain in ("0.weight_g", "0.parametrizations.weight.original0"):
        with pytest.raises(UsageError, match="unknown name"):
            mask_layers(network(norm), include=gain)


def test_masks_survive_a_copy_and_a_state_dict(norm: Callable[[nn.Module], nn.Module]) -> None:
    model = network(norm)
    masked = mask_layers(model)
    cut_half(masked)
    with torch.no_grad():
        model(torch.zeros(1, 3, 8))  # the old ones keep a weight that cannot be copied otherwise
    loaded = network(norm)
    mask_layers(loaded)
    loaded.load_state_dict(model.state_dict())
    for copied in (copy.deepcopy(model), loaded):
        again = MaskedLayers(copied)
        assert again.mask_hash() == masked.mask_hash()
        train(copied)
        for layer, mask in again.masks.items():
            assert not weight_in_use(copied, layer)[~mask].any()


def test_a_recurrent_layers_weight_is_called_by_its_name() -> None:
    lstm = parametrizations.weight_norm(nn.LSTM(3, 4), "weight_hh_l0")
    assert mask_layers(lstm).names == ["weight_ih_l0", "weight_hh_l0"]
