import copy
import io
import pickle
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from study.errors import UsageError
from study.pruning.masking.choosing import mask_layers
from study.pruning.masking.masks import MaskedLayers


class HadamardLinear(nn.Module):
    """The article's dense layer with a bit mask, ``(W * M) x + b``: the oracle."""

    def __init__(self, like: nn.Linear, mask: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(like.weight.detach().clone())
        self.bias = nn.Parameter(like.bias.detach().clone())
        self.mask = mask.clone()

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight * self.mask, self.bias)


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 4))


def random_masks(masked: MaskedLayers, density: float = 0.4, seed: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: (torch.rand(mask.shape, generator=generator) < density) & mask
        for name, mask in masked.masks.items()
    }


def batch(step: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(100 + step)
    return torch.randn(8, 12, generator=generator), torch.randint(4, (8,), generator=generator)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, number: int) -> None:
    inputs, targets = batch(number)
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(inputs), targets).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def test_new_weights_are_there_before_the_masks_are() -> None:
    model = mlp()
    masked = mask_layers(model)
    masks = random_masks(masked)
    new = {"0": torch.full((16, 12), 3.0)}
    untouched = masked.weights["2"].detach().clone()
    masked.cut(masks, optimizer=None, weights=new)
    assert torch.equal(masked.weights["0"].detach(), 3.0 * masks["0"])
    assert torch.equal(masked.weights["2"].detach(), untouched * masks["2"])


OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], torch.optim.Optimizer]] = {
    "sgd with momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-3),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-2, weight_decay=1e-3),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=1e-2, amsgrad=True),
}


def assert_exact_zeros(masked: MaskedLayers) -> None:
    for name, weight in masked.weights.items():
        gone = weight.detach()[~masked.masks[name]]
        assert torch.equal(gone, torch.zeros_like(gone))


@pytest.mark.parametrize("optimizer_name", OPTIMIZERS)
def test_a_hundred_steps_are_those_of_the_hadamard_layer(optimizer_name: str) -> None:
    model = mlp()
    masked = mask_layers(model)
    masked.cut(random_masks(masked), optimizer=None)
    oracle = nn.Sequential(
        HadamardLinear(model[0], masked.masks["0"]),  # type: ignore[arg-type]
        nn.ReLU(),
        HadamardLinear(model[2], masked.masks["2"]),  # type: ignore[arg-type]
    )
    ours = OPTIMIZERS[optimizer_name](list(model.parameters()))
    theirs = OPTIMIZERS[optimizer_name](list(oracle.parameters()))
    for number in range(100):
        inputs, _ = batch(number)
        torch.testing.assert_close(model(inputs), oracle(inputs), rtol=1e-5, atol=1e-6)
        step(model, ours, number)
        step(oracle, theirs, number)
        for mine, other in zip(model.parameters(), oracle.parameters(), strict=True):
            torch.testing.assert_close(mine.grad, other.grad, rtol=1e-4, atol=1e-6)
        assert_exact_zeros(masked)


@pytest.mark.parametrize("optimizer_name", OPTIMIZERS)
def test_kept_momentum_does_not_revive_pruned_weights(optimizer_name: str) -> None:
    model = mlp()
    masked = mask_layers(model)
    optimizer = OPTIMIZERS[optimizer_name](list(model.parameters()))
    for number in range(5):
        step(model, optimizer, number)
    before = copy.deepcopy(optimizer.state_dict())
    masked.cut(random_masks(masked), optimizer=optimizer)
    for index, name in ((0, "0"), (2, "2")):
        for slot, value in optimizer.state_dict()["state"][index].items():
            if slot != "step":
                kept = masked.masks[name]
                assert torch.equal(value[kept], before["state"][index][slot][kept])
                assert not value[~kept].any()
    for number in range(5):
        step(model, optimizer, number)
        assert_exact_zeros(masked)


def test_without_clearing_the_momentum_pruned_weights_would_come_back() -> None:
    model = mlp()
    masked = mask_layers(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    step(model, optimizer, 0)
    masked.cut(random_masks(masked), optimizer=None)
    step(model, optimizer, 1)
    with pytest.raises(AssertionError):
        assert_exact_zeros(masked)


def test_clipping_sees_no_pruned_gradients() -> None:
    model = mlp()
    masked = mask_layers(model)
    masked.cut(random_masks(masked, density=0.1), optimizer=None)
    inputs, targets = batch(0)
    nn.functional.cross_entropy(model(inputs), targets).backward()
    for name, weight in masked.weights.items():
        assert weight.grad is not None
        assert not weight.grad[~masked.masks[name]].any()
    norm = nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
    kept_only = [
        (p.grad if p.dim() == 1 else p.grad * (p != 0)).square().sum()  # type: ignore[union-attr]
        for p in model.parameters()
    ]
    torch.testing.assert_close(norm, torch.stack(kept_only).sum().sqrt())


def test_a_gradient_that_is_not_finite_leaves_pruned_weights_at_zero() -> None:
    weight = nn.Linear(3, 1, bias=False)
    masked = mask_layers(weight)
    masked.cut({"weight": torch.tensor([[True, False, True]])}, optimizer=None)
    weight(torch.tensor([[1.0, float("inf"), 2.0]])).nan_to_num(1.0)
    loss = (weight.weight * torch.tensor([[1.0, float("nan"), 2.0]])).sum()
    loss.backward()
    assert weight.weight.grad is not None
    assert weight.weight.grad.tolist() == [[1.0, 0.0, 2.0]]


def test_masks_only_shrink() -> None:
    masked = mask_layers(mlp())
    first = random_masks(masked)
    masked.cut(first, optimizer=None)
    grown = {name: torch.ones_like(mask) for name, mask in first.items()}
    with pytest.raises(UsageError, match="masks only shrink"):
        masked.cut(grown, optimizer=None)
    assert all(torch.equal(masked.masks[name], mask) for name, mask in first.items())


def test_a_wrong_shape_or_name_is_refused_before_anything_is_cut() -> None:
    masked = mask_layers(mlp())
    good = torch.zeros(16, 12, dtype=torch.bool)
    with pytest.raises(UsageError, match=r"must be torch\.bool"):
        masked.cut({"0": good, "2": torch.zeros(3, 3, dtype=torch.bool)}, optimizer=None)
    with pytest.raises(UsageError, match="unknown name '1'"):
        masked.cut({"0": good, "1": good}, optimizer=None)
    assert masked.density == 1.0


class Everything(nn.Module):
    """One of each kind of module in which a weight can live."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 8)
        self.conv = nn.Conv1d(8, 8, 3, padding=1, groups=2)
        self.norm = nn.BatchNorm1d(8)
        self.lstm = nn.LSTM(8, 8, batch_first=True)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.dropout = nn.Dropout(0.1)
        self.pos_embed = nn.Parameter(torch.zeros(1, 5, 8))
        self.head = nn.Linear(8, 10, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens) + self.pos_embed
        x = self.norm(self.conv(x.transpose(1, 2))).transpose(1, 2)
        x, _ = self.lstm(x)
        x, _ = self.attention(x, x, x)
        out: Tensor = self.head(self.dropout(x))
        return out


LAYERS = [
    "embedding",
    "conv",
    "lstm.weight_ih_l0",
    "lstm.weight_hh_l0",
    "attention.in_proj_weight",
    "attention.out_proj",
]


def train_everything(model: nn.Module, steps: int = 3) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    tokens = torch.arange(10).reshape(2, 5)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten()).backward()
        optimizer.step()


def cut_everything(density: float = 0.5) -> tuple[Everything, MaskedLayers]:
    torch.manual_seed(0)
    model = Everything()
    masked = mask_layers(model)
    masked.cut(random_masks(masked, density), optimizer=None)
    return model, masked


def test_weights_of_every_kind_are_found_and_stay_zero_but_no_bias_norm_or_table() -> None:
    model, masked = cut_everything()
    assert masked.names == LAYERS
    train_everything(model)
    assert_exact_zeros(masked)
    assert model.norm.weight.detach().ne(0).all()


def test_a_tied_weight_has_one_mask_and_stays_tied() -> None:
    model, masked = cut_everything()
    assert "head" not in masked.names
    assert model.head.weight is model.embedding.weight
    names = [name for name, _ in model.named_buffers() if name.endswith("_mask")]
    assert len(names) == len(LAYERS)


def via_deepcopy(model: nn.Module) -> nn.Module:
    return copy.deepcopy(model)


def via_pickle(model: nn.Module) -> nn.Module:
    copied: nn.Module = pickle.loads(pickle.dumps(model))
    return copied


def via_torch_save(model: nn.Module) -> nn.Module:
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    copied: nn.Module = torch.load(buffer, weights_only=False)
    return copied


def via_state_dict(model: nn.Module) -> nn.Module:
    copied = Everything()
    mask_layers(copied)
    copied.load_state_dict(model.state_dict())
    return copied


def via_assigned_state_dict(model: nn.Module) -> nn.Module:
    copied = Everything()
    mask_layers(copied)
    copied.load_state_dict(copy.deepcopy(model.state_dict()), assign=True)
    return copied


def via_device_and_dtype(model: nn.Module) -> nn.Module:
    return copy.deepcopy(model).to("cpu", torch.float64).to(torch.float32)


@pytest.mark.parametrize(
    "travel",
    [
        via_deepcopy,
        via_pickle,
        via_torch_save,
        via_state_dict,
        via_assigned_state_dict,
        via_device_and_dtype,
    ],
)
def test_masks_survive(travel: Callable[[nn.Module], nn.Module]) -> None:
    model, masked = cut_everything()
    copied = travel(model)
    again = MaskedLayers(copied)
    assert again.mask_hash() == masked.mask_hash()
    train_everything(copied)
    assert_exact_zeros(again)
    weights = zip(again.weights.values(), masked.weights.values(), strict=True)
    assert all(not torch.equal(mine, theirs) for mine, theirs in weights)
    assert_exact_zeros(masked)


def test_a_copy_has_masks_of_its_own() -> None:
    model, masked = cut_everything()
    copied = MaskedLayers(copy.deepcopy(model))
    copied.cut(random_masks(copied, 0.3, seed=5), optimizer=None)
    assert copied.density < masked.density


def test_loading_dense_weights_does_not_revive_pruned_ones() -> None:
    model, masked = cut_everything()
    dense = Everything().state_dict()
    model.load_state_dict(dense, strict=False)
    assert_exact_zeros(masked)


def test_loading_other_masks_masks_the_gradients_by_them() -> None:
    model = mlp()
    masked = mask_layers(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    step(model, optimizer, 0)
    before = masked.masks["0"]
    other = mlp()
    cut = mask_layers(other)
    cut.cut(random_masks(cut), optimizer=None)
    model.load_state_dict(other.state_dict())
    step(model, optimizer, 1)
    assert masked.mask_hash() == cut.mask_hash()
    assert_exact_zeros(masked)
    assert before.all()  # masks that were handed out stay what they were


def test_a_dense_checkpoint_can_be_loaded_and_is_masked() -> None:
    model = mlp()
    masked = mask_layers(model)
    masked.cut(random_masks(masked), optimizer=None)
    name = masked.mask_hash()
    model.load_state_dict(mlp().state_dict())
    assert masked.mask_hash() == name
    assert_exact_zeros(masked)


def test_a_frozen_weight_is_refused_by_name() -> None:
    model = mlp()
    model[0].requires_grad_(False)
    with pytest.raises(UsageError, match="layer '0' is frozen"):
        mask_layers(model, include="0")


def test_a_compiled_model_trains_the_kept_weights_alone() -> None:
    model = mlp()
    masked = mask_layers(model)
    masked.cut(random_masks(masked), optimizer=None)
    compiled = torch.compile(copy.deepcopy(model), backend="aot_eager")
    again = MaskedLayers(compiled._orig_mod)  # type: ignore[attr-defined]
    plain, other = (
        torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9) for m in (model, compiled)
    )
    for number in range(3):
        step(model, plain, number)
        step(compiled, other, number)
        assert_exact_zeros(again)
    for mine, theirs in zip(model.parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_autocast_keeps_zeros_exact() -> None:
    model = mlp()
    masked = mask_layers(model)
    masked.cut(random_masks(masked), optimizer=None)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for number in range(3):
        with torch.autocast("cpu", torch.bfloat16):
            step(model, optimizer, number)
    assert_exact_zeros(masked)


def test_second_derivatives_pass_through_the_mask() -> None:
    layer = nn.Linear(2, 1, bias=False)
    masked = mask_layers(layer)
    masked.cut({"weight": torch.tensor([[True, False]])}, optimizer=None)
    loss = layer(torch.tensor([[3.0, 5.0]])).square().sum()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch warns of create_graph, once
        loss.backward(create_graph=True)
    gradient = layer.weight.grad
    assert gradient is not None
    (second,) = torch.autograd.grad(gradient.sum(), [layer.weight])
    assert second.tolist() == [[18.0, 30.0]]  # unmasked it would be [[48, 80]]


def test_masking_twice_keeps_the_masks_that_are_there() -> None:
    model, masked = cut_everything()
    assert mask_layers(model).mask_hash() == masked.mask_hash()


def test_sparse_gradients_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match="sparse gradients"):
        mask_layers(nn.Embedding(4, 2, sparse=True))


def test_the_mask_hash_names_the_masks_and_nothing_else() -> None:
    _, masked = cut_everything()
    before = masked.mask_hash()
    train_everything(masked.model)
    assert masked.mask_hash() == before
    masked.cut(random_masks(masked, 0.3, seed=5), optimizer=None)
    assert masked.mask_hash() != before


def test_removing_the_masks_leaves_an_ordinary_model_with_zeros() -> None:
    model, masked = cut_everything()
    tokens = torch.arange(10).reshape(2, 5)
    model.eval()
    before = model(tokens)
    masked.remove()
    assert set(model.state_dict()) == set(Everything().state_dict())
    assert torch.equal(model(tokens), before)
    train_everything(model)
    assert model.conv.weight.detach().ne(0).all()
