import copy
import gc
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from analysis.reading.files.masks import masks_from
from study.errors import UsageError
from study.pruning.masking.choosing import mask_layers
from study.pruning.masking.masks import MaskedLayers
from study.pruning.states.state_files import load_weights, weights_to_bytes


class Autoregressive(nn.Linear):
    """Output i sees inputs up to i alone, by a mask of its own."""

    def __init__(self, features: int, kind: str = "buffer") -> None:
        super().__init__(features, features)
        own = torch.ones(features, features).tril()
        if kind == "buffer":
            self.register_buffer("weight_mask", own)
        elif kind == "parameter":
            self.register_parameter("weight_mask", nn.Parameter(own, requires_grad=False))
        else:
            self.weight_mask = [own]

    def forward(self, x: Tensor) -> Tensor:
        own = self.weight_mask[0] if isinstance(self.weight_mask, list) else self.weight_mask
        return nn.functional.linear(x, self.weight * own, self.bias)


def cut(masked: MaskedLayers, density: float = 0.4) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    masks = {
        name: (torch.rand(mask.shape, generator=generator) < density) & mask
        for name, mask in masked.masks.items()
    }
    masked.cut(masks, optimizer=None)
    return masks


def step(model: nn.Module, inputs: Tensor) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.zero_grad()
    model(inputs).abs().square().sum().backward()
    optimizer.step()


def assert_held(masked: MaskedLayers) -> None:
    for name, weight in masked.weights.items():
        assert not weight.detach()[~masked.masks[name]].any()
        assert weight.detach()[masked.masks[name]].all()


@pytest.mark.parametrize("kind", ["buffer", "parameter", "attribute"])
def test_what_a_module_itself_calls_weight_mask_is_left_alone(kind: str) -> None:
    model = Autoregressive(4, kind)
    before = copy.deepcopy(model.weight_mask)
    masked = mask_layers(model)
    cut(masked)
    for number in range(3):
        step(model, torch.randn(5, 4, generator=torch.Generator().manual_seed(number)))
    after = model.weight_mask
    pairs = zip(before, after, strict=True)
    assert all(torch.equal(mine, theirs) for mine, theirs in pairs)
    for index in range(4):
        inputs = torch.zeros(1, 4, requires_grad=True)
        (seen,) = torch.autograd.grad(model(inputs)[0, index], inputs)
        assert not seen[0, index + 1 :].any()
    assert not model.weight.detach()[~masked.masks["weight"]].any()
    assert isinstance(model.get_buffer("weight_prune1_mask"), Tensor)


def test_the_usual_name_of_a_mask_is_that_of_the_weight_and_mask() -> None:
    model = nn.LSTM(2, 3)
    mask_layers(model)
    masks = {name for name, _ in model.named_buffers()}
    assert masks == {"weight_ih_l0_mask", "weight_hh_l0_mask"}


def test_a_mask_of_another_name_survives_copies_and_files_and_comes_off() -> None:
    def network() -> nn.Sequential:
        return nn.Sequential(Autoregressive(4), nn.Linear(4, 2))

    model = network()
    untouched = set(model.state_dict())
    masked = mask_layers(model)
    masks = cut(masked)
    assert MaskedLayers(copy.deepcopy(model)).mask_hash() == masked.mask_hash()
    second = network()
    loaded = mask_layers(second)
    second.load_state_dict(model.state_dict())
    assert loaded.mask_hash() == masked.mask_hash()
    data = weights_to_bytes(masked, {})
    third = mask_layers(network())
    load_weights(third, data)
    assert third.mask_hash() == masked.mask_hash()
    read = masks_from(memoryview(data))
    assert set(read) == {"0", "1"}
    assert all((read[name] == mask.numpy()).all() for name, mask in masks.items())
    masked.remove()
    assert set(model.state_dict()) == untouched


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))


def put_parameter(model: nn.Sequential) -> None:
    model[0].weight = nn.Parameter(torch.ones(4, 4))


def put_double(model: nn.Sequential) -> None:
    model[0].weight = nn.Parameter(torch.ones(4, 4, dtype=torch.float64))
    model.double()


@pytest.mark.parametrize("change", [put_parameter, put_double])
@pytest.mark.parametrize(
    "ask",
    [
        lambda masked: masked.apply(),
        lambda masked: masked.weights,
        lambda masked: masked.cut({}, optimizer=None),
    ],
)
def test_another_parameter_in_the_place_of_a_masked_one_is_held(
    change: Callable[[nn.Sequential], None], ask: Callable[[MaskedLayers], object]
) -> None:
    model = mlp()
    masked = mask_layers(model)
    masks = cut(masked, 0.5)
    change(model)
    ask(masked)
    assert masked.weights["0"] is model[0].weight
    masked.apply()
    assert torch.equal(model[0].weight != 0, masks["0"])
    inputs = torch.randn(8, 4, dtype=model[0].weight.dtype)  # type: ignore[call-overload]
    step(model, inputs)
    gradient = model[0].weight.grad
    assert isinstance(gradient, Tensor)
    assert not gradient[~masks["0"]].any()
    assert_held(masked)
    assert masked.density == MaskedLayers(copy.deepcopy(model)).density


def test_a_parameter_that_was_replaced_is_let_go() -> None:
    model = mlp()
    masked = mask_layers(model)
    cut(masked)
    before = model[0].weight
    assert isinstance(before, nn.Parameter)
    put_parameter(model)
    masked.apply()
    before.sum().backward()
    assert before.grad is not None
    assert before.grad.all()


def put_other_shape(model: nn.Sequential) -> None:
    model[0].weight = nn.Parameter(torch.ones(5, 4))


def put_frozen(model: nn.Sequential) -> None:
    model[0].weight = nn.Parameter(torch.ones(4, 4), requires_grad=False)


def put_module(model: nn.Sequential) -> None:
    model[0] = nn.Linear(4, 4)


def take_away(model: nn.Sequential) -> None:
    model[0].register_parameter("weight", None)


def normalise(model: nn.Sequential) -> None:
    nn.utils.parametrizations.weight_norm(model[0])


def share(model: nn.Sequential) -> None:
    model[0].weight = model[2].weight


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put_other_shape, r"'0': .*shape \(5, 4\)"),
        (put_frozen, "'0': .*frozen"),
        (put_module, "'0': .*gone; call mask_layers again"),
        (take_away, "'0': .*gone"),
        (normalise, "'0': .*gone"),
        (share, "'0' and '2' .*share one weight"),
    ],
)
def test_a_change_that_no_mask_can_follow_is_told_by_name_at_the_next_cut(
    change: Callable[[nn.Sequential], None], message: str
) -> None:
    model = mlp()
    masked = mask_layers(model)
    masks = cut(masked)
    change(model)
    with pytest.raises(UsageError, match=message):
        masked.cut({"2": masks["2"]}, optimizer=None)


def test_a_replaced_module_is_masked_by_asking_again() -> None:
    model = mlp()
    cut(mask_layers(model))
    put_module(model)
    again = mask_layers(model)
    again.apply()
    assert again.kept["0"] == 16
    assert again.kept["2"] < 16


def test_a_shared_weight_that_no_longer_is_one_is_told_and_masked_by_asking_again() -> None:
    model = mlp()
    model[2].weight = model[0].weight
    masked = mask_layers(model)
    assert masked.names == ["0"]
    model[2].weight = nn.Parameter(torch.ones(4, 4))
    with pytest.raises(UsageError, match="was shared, and now there are several"):
        masked.apply()
    again = mask_layers(model)
    assert again.names == ["0", "2"]
    cut(again)
    step(model, torch.randn(8, 4))
    assert_held(again)


def test_a_shared_weight_that_is_replaced_everywhere_is_held() -> None:
    model = mlp()
    model[2].weight = model[0].weight
    masked = mask_layers(model)
    cut(masked)
    model[0].weight = model[2].weight = nn.Parameter(torch.ones(4, 4))
    masked.apply()
    step(model, torch.randn(8, 4))
    assert_held(masked)


DTYPES = [torch.float16, torch.bfloat16, torch.float64, torch.complex64, torch.complex128]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("is_turned", [False, True])
def test_gradients_of_every_width_are_masked(dtype: torch.dtype, is_turned: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    layer = nn.Linear(3, 4, bias=False, dtype=dtype)
    if is_turned:
        layer.weight = nn.Parameter(torch.randn(3, 4, generator=generator).to(dtype).t())
    masked = mask_layers(layer)
    mask = cut(masked)["weight"]
    inputs = torch.randn(5, 3, generator=generator).to(dtype)
    layer(inputs).abs().square().sum().backward()
    assert layer.weight.grad is not None
    plain = layer.weight.detach().clone().requires_grad_()
    nn.functional.linear(inputs, plain).abs().square().sum().backward()
    assert plain.grad is not None
    assert torch.equal(layer.weight.grad, plain.grad.masked_fill(~mask, 0))
    assert plain.grad[~mask].any()


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_a_gradient_that_is_conjugated_only_when_it_is_read_is_masked(dtype: torch.dtype) -> None:
    layer = nn.Linear(2, 2, bias=False, dtype=dtype)
    seen = []
    layer.weight.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.is_conj()))  # type: ignore[union-attr]
    mask_layers(layer).cut({"weight": torch.eye(2, dtype=torch.bool)}, optimizer=None)
    (layer.weight.conj() * torch.full((2, 2), 1 + 2j, dtype=dtype)).real.sum().backward()
    assert seen == [True]
    assert layer.weight.grad is not None
    assert torch.equal(layer.weight.grad.resolve_conj(), torch.eye(2, dtype=dtype) * (1 + 2j))


def test_an_infinite_complex_gradient_leaves_pruned_weights_at_zero() -> None:
    layer = nn.Linear(2, 1, bias=False, dtype=torch.complex128)
    mask_layers(layer).cut({"weight": torch.tensor([[True, False]])}, optimizer=None)
    layer.weight.backward(torch.tensor([[1 + 1j, complex("inf+nanj")]], dtype=torch.complex128))
    assert layer.weight.grad is not None
    assert layer.weight.grad.tolist() == [[1 + 1j, 0j]]


def test_a_network_that_nobody_holds_any_more_is_freed() -> None:
    def trained() -> weakref.ref[nn.Module]:
        model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
        mask_layers(model)
        model(torch.ones(3, 4)).sum().backward()
        copied = copy.deepcopy(model)
        copied(torch.ones(3, 4)).sum().backward()
        return weakref.ref(copied[0])

    layer = trained()
    gc.collect()
    assert layer() is None
