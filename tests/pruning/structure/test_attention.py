"""Heads are taken out of attention: the masked layer and the narrow one compute the same."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from study.pruning.masking.masks import mask_layers
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
