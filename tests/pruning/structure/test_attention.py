"""Heads are taken out of attention: the masked layer and the narrow one compute the same."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from study.pruning.masking.choosing import mask_layers
from study.pruning.structure.attention import attention_heads
from study.pruning.structure.checking import zero_units
from study.pruning.structure.cutting import alive_units, masks_of, with_companions
from study.pruning.structure.finding import prunable_units, separable_units
from study.pruning.structure.slicing import places_left, slice_model
from tests.pruning.structure.networks import network

ALIVE = {"attention": torch.tensor([True, False, True, False])}


def pair(**options: object) -> tuple[nn.Module, nn.Module]:
    """An attention whose heads 1 and 3 are zero, and one without them."""
    torch.manual_seed(0)
    whole = nn.MultiheadAttention(16, 4, **options).eval()  # type: ignore[arg-type]
    if whole.in_proj_bias is not None:
        nn.init.normal_(whole.in_proj_bias)
        nn.init.normal_(whole.out_proj.bias)
    structures, _ = attention_heads(whole)
    small = deepcopy(whole)
    zero_units(whole, structures, ALIVE)
    slice_model(small, places_left(structures, ALIVE))
    return whole, small


PER_HEAD = torch.randn(3 * 4, 5, 5, generator=torch.Generator().manual_seed(1))
PADDED = torch.arange(5) >= torch.tensor([[5], [3], [4]])


@pytest.mark.parametrize("options", [{}, {"batch_first": True}, {"bias": False}, {"kdim": 6}])
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"attn_mask": torch.ones(5, 5).triu(1).bool(), "is_causal": True},
        {"attn_mask": PER_HEAD},
        {"attn_mask": PER_HEAD > 1.5},
        {"key_padding_mask": PADDED},
        {"attn_mask": torch.randn(5, 5), "key_padding_mask": PADDED.float()},
    ],
)
@pytest.mark.parametrize("need_weights", [True, False])
def test_the_narrow_attention_is_the_one_whose_other_heads_are_zero(
    options: dict[str, object], asked: dict[str, object], need_weights: bool
) -> None:
    whole, small = pair(**options)
    shape = (3, 5) if options.get("batch_first") else (5, 3)
    x, keys = torch.randn(*shape, 16), torch.randn(*shape, int(str(options.get("kdim", 16))))
    values = torch.randn(*shape, 16)
    asked = {**asked, "need_weights": need_weights, "average_attn_weights": False}
    expected, weights = whole(x, keys, values, **asked)
    got, own = small(x, keys, values, **asked)
    torch.testing.assert_close(got, expected)
    if need_weights:
        torch.testing.assert_close(own, weights[:, [0, 2]])
    else:
        assert own is None


def test_one_example_without_a_batch_is_taken_too() -> None:
    whole, small = pair()
    x = torch.randn(5, 16)
    torch.testing.assert_close(small(x, x, x)[0], whole(x, x, x)[0])
    padding = torch.tensor([False, False, True, False, True])
    expected = whole(x, x, x, key_padding_mask=padding)[0]
    torch.testing.assert_close(small(x, x, x, key_padding_mask=padding)[0], expected)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")  # torch's own fast path
@settings(max_examples=6)
@given(seed=st.integers(0, 10_000))
def test_an_encoder_without_heads_is_the_one_where_they_are_zero(seed: int) -> None:
    model, inputs = network("transformer")
    padding = torch.arange(5) >= torch.tensor([[5], [3]])

    def run(m: nn.Module) -> Tensor:
        out: Tensor = m[1](m[0](inputs, src_key_padding_mask=padding))  # type: ignore[index]
        return out[~padding]  # the fast path has zeros there

    structures, _ = separable_units(model, run, "heads")
    assert [(s.name, s.units) for s in structures] == [
        ("0.layers.0.self_attn", 4), ("0.layers.1.self_attn", 4),
    ]  # fmt: skip
    masked = with_companions(mask_layers(model), structures)
    generator = torch.Generator().manual_seed(seed)
    alive = {s.name: torch.rand(4, generator=generator) < 0.6 for s in structures}
    for units in alive.values():
        units[seed % 4] = True
    masked.cut(masks_of(masked, structures, alive), optimizer=None)
    left = alive_units(masked, structures)
    assert all(bool((left[name] == alive[name]).all()) for name in alive)
    small = deepcopy(model)
    mask_layers(small).remove()
    slice_model(small, places_left(structures, alive))
    with torch.no_grad():
        torch.testing.assert_close(run(small), run(model), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(run(small), run(model), rtol=1e-4, atol=1e-5)


def test_units_are_channels_and_heads() -> None:
    model, inputs = network("transformer")
    found = prunable_units(mask_layers(model), lambda m: m(inputs), "units")
    assert [s.name for s in found] == [
        "0.layers.0.linear1", "0.layers.1.linear1",
        "0.layers.0.self_attn", "0.layers.1.self_attn",
    ]  # fmt: skip


def bert() -> tuple[nn.Module, str]:
    config = transformers.BertConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=20, max_position_embeddings=16, num_labels=3,
    )  # fmt: skip
    return transformers.BertForSequenceClassification(config), "attention.self"


def llama() -> tuple[nn.Module, str]:
    config = transformers.LlamaConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=8,
        num_key_value_heads=4, intermediate_size=20, max_position_embeddings=16, use_cache=False,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config), "self_attn"


def vit() -> tuple[nn.Module, str]:
    config = transformers.ViTConfig(
        image_size=8, patch_size=4, num_channels=1, hidden_size=16, num_hidden_layers=2,
        num_attention_heads=4, intermediate_size=20,
    )  # fmt: skip
    return transformers.ViTForImageClassification(config), "attention"


@pytest.mark.parametrize("make", [bert, llama, vit])
def test_heads_of_transformers_go_with_what_is_theirs(
    make: Callable[[], tuple[nn.Module, str]],
) -> None:
    torch.manual_seed(0)
    model, where = make()
    model.eval()
    inputs = torch.randn(2, 1, 8, 8) if make is vit else torch.randint(40, (2, 7))

    def run(m: nn.Module) -> Tensor:
        out: Tensor = m(inputs).logits
        return out

    structures, reasons = separable_units(model, run, "heads")
    assert [s.units for s in structures] == [4, 4], reasons
    assert all(where in s.name for s in structures)
    for name, tensor in model.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(tensor)
        elif tensor.dim() == 2:
            nn.init.normal_(tensor, std=0.4)  # transformers begin with 0.02, which hides much
    masked = with_companions(mask_layers(model), structures)
    alive = {
        s.name: torch.tensor(kept)
        for s, kept in zip(structures, ([1, 0, 1, 1], [0, 0, 1, 0]), strict=True)
    }
    alive = {name: kept.bool() for name, kept in alive.items()}
    before = run(model)
    masked.cut(masks_of(masked, structures, alive), optimizer=None)
    small = deepcopy(model)
    mask_layers(small).remove()
    slice_model(small, places_left(structures, alive))
    torch.testing.assert_close(run(small), run(model), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(run(model), before, atol=1e-3)
    names = [s.name for s in structures]
    told = [getattr(small.get_submodule(n), "num_attention_heads", None) for n in names]
    assert told in ([3, 1], [None, None])


class Fused(nn.Module):
    """Attention as timm writes it: one layer for queries, keys and values in turn."""

    def __init__(self, head_dim: int | None = 3) -> None:
        super().__init__()
        self.num_heads, self.attn_dim = 4, 12
        if head_dim is not None:
            self.head_dim = head_dim
        self.qkv, self.proj = nn.Linear(8, 36), nn.Linear(12, 8)

    def forward(self, x: Tensor) -> Tensor:
        n, length, _ = x.shape
        parts = self.qkv(x).reshape(n, length, 3, self.num_heads, 3).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(*parts.unbind(0))
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(n, length, self.attn_dim))
        return out


class Interleaved(Fused):
    """Each head has its queries, keys and values side by side."""

    def forward(self, x: Tensor) -> Tensor:
        n, length, _ = x.shape
        parts = self.qkv(x).reshape(n, length, self.num_heads, 3, 3).permute(3, 0, 2, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(*parts.unbind(0))
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(n, length, self.attn_dim))
        return out


def test_heads_of_one_layer_for_queries_keys_and_values_are_those_of_three() -> None:
    torch.manual_seed(0)
    model, inputs = nn.Sequential(Fused(), nn.Tanh(), nn.Linear(8, 2)).eval(), torch.randn(2, 5, 8)
    structures, reasons = separable_units(model, lambda m: m(inputs), "heads")
    assert [(s.name, s.units) for s in structures] == [("0", 4)]
    assert not reasons
    alive = {"0": torch.tensor([True, False, False, True])}
    small = deepcopy(model)
    slice_model(small, places_left(structures, alive))
    fused = model[0]
    assert isinstance(fused, Fused)
    assert (small[0].num_heads, small[0].attn_dim) == (2, 6)  # type: ignore[index]
    q, k, v = (each.view(4, 3, 8)[[0, 3]].flatten(0, 1) for each in fused.qkv.weight.chunk(3))
    biases = [each.view(4, 3)[[0, 3]].flatten() for each in fused.qkv.bias.chunk(3)]
    parts = [
        nn.functional.linear(inputs, w, b).unflatten(-1, (2, 3)).transpose(1, 2)
        for w, b in zip((q, k, v), biases, strict=True)
    ]
    weights = (parts[0] @ parts[1].transpose(-2, -1) / 3**0.5).softmax(-1)
    mixed = (weights @ parts[2]).transpose(1, 2).flatten(2)
    columns = fused.proj.weight.view(8, 4, 3)[:, [0, 3]].flatten(1)
    expected = model[1:](nn.functional.linear(mixed, columns, fused.proj.bias))
    torch.testing.assert_close(small(inputs), expected)


@pytest.mark.parametrize(
    ("attention", "reason"),
    [
        (Interleaved(), "depends on how many there are"),
        (Fused(head_dim=None), "is not of 3 x num_heads x head_dim"),
        (Fused(head_dim=4), "is not of 3 x num_heads x head_dim"),
    ],
    ids=["another order", "no head_dim", "another head_dim"],
)
def test_heads_that_are_not_where_they_are_looked_for_stay(
    attention: nn.Module, reason: str
) -> None:
    inputs = torch.randn(2, 5, 8)
    model = nn.Sequential(attention, nn.Linear(8, 2))
    structures, reasons = separable_units(model, lambda m: m(inputs), "heads")
    assert not structures
    assert reason in reasons["0"]


def test_a_stated_head_that_is_wider_than_the_keys_is_no_head() -> None:
    """As of attention that keeps its keys in fewer numbers than a head has."""
    model = nn.Module()
    model.head_dim = 16  # type: ignore[assignment]
    model.q_proj, model.o_proj = nn.Linear(8, 32), nn.Linear(32, 8)
    model.k_proj, model.v_proj = nn.Linear(8, 4), nn.Linear(8, 4)
    assert attention_heads(model) == ([], {})


def test_a_model_that_is_an_attention_itself_has_heads_by_name() -> None:
    model = nn.Module()
    model.head_dim = 4  # type: ignore[assignment]
    for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
        setattr(model, name, nn.Linear(8, 8))
    (found,), _ = attention_heads(model)
    assert (found.name, found.units) == ("attention", 2)
