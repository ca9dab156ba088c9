from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

import study
from study.errors import UsageError
from study.exporting.sparse_files import from_sparse, to_sparse

TYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64,
         torch.int64, torch.int8, torch.uint8, torch.bool]  # fmt: skip


def bits(tensor: Tensor) -> bytes:
    return bytes(tensor.contiguous().flatten().view(torch.uint8).numpy())


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    """Any type and shape; mostly zeros, of both signs, with whatever bits the others have."""
    kind = draw(st.sampled_from(TYPES))
    shape = draw(st.lists(st.integers(0, 7), max_size=4))
    size = int(torch.Size(shape).numel())
    width = torch.empty((), dtype=kind).element_size()
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    raw = torch.randint(0, 256, (size, width), generator=generator, dtype=torch.uint8)
    if kind == torch.bool:
        raw %= 2
    raw[torch.rand(size, generator=generator) < draw(st.floats(0, 1))] = 0
    flat = raw.flatten().view(kind) if size else torch.empty(0, dtype=kind)
    if kind.is_floating_point and size and draw(st.booleans()):
        flat = flat.clone()
        flat[draw(st.integers(0, size - 1))] = -0.0
    return flat.reshape(shape)


@given(st.dictionaries(st.text("ab.masklve", min_size=1), tensors(), max_size=4))
def test_what_is_read_is_what_was_written_bit_for_bit(state: dict[str, Tensor]) -> None:
    found = from_sparse(to_sparse(state, {"trial": "0000"}))
    assert list(found) == list(state)
    for name, tensor in state.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
        assert bits(found[name]) == bits(tensor)


def test_it_takes_a_bit_for_each_weight_and_the_values_that_are_left() -> None:
    weight = torch.zeros(1000, 1000)
    weight.view(-1)[::32] = 1.5
    data = to_sparse({"weight": weight}, {})
    header = int.from_bytes(data[:8], "little")
    assert len(data) - 8 - header == 1_000_000 / 8 + 31_250 * 4


def test_a_minus_zero_is_a_value() -> None:
    weight = torch.zeros(64)
    weight[3] = -0.0
    found = from_sparse(to_sparse({"weight": weight}, {}))["weight"]
    assert torch.signbit(found).nonzero().tolist() == [[3]]


def test_what_would_get_no_smaller_is_kept_dense() -> None:
    dense = torch.arange(1.0, 65.0)
    with_one_zero = torch.cat([dense, torch.zeros(1)])
    for weight in (dense, with_one_zero):
        data = to_sparse({"weight": weight}, {})
        assert b'"dense.weight"' in data
        assert torch.equal(from_sparse(data)["weight"], weight)


def test_tied_weights_are_written_once_and_are_tied_again() -> None:
    table = torch.randn(50, 20)
    once = to_sparse({"embed": table}, {})
    twice = to_sparse({"embed": table, "head": table, "other": table.clone()}, {})
    assert len(twice) - len(once) < 50 * 20 * 4 + 300
    found = from_sparse(twice)
    assert found["head"].data_ptr() == found["embed"].data_ptr() != found["other"].data_ptr()


def test_a_transposed_view_is_no_tie() -> None:
    table = torch.randn(6, 6)
    found = from_sparse(to_sparse({"a": table, "b": table.t()}, {}))
    assert torch.equal(found["b"], table.t())


@pytest.mark.parametrize("damage", ["other", "cut", "empty"])
def test_another_or_a_damaged_file_is_said(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "network.safetensors"
    save_file({"weight": torch.zeros(4)}, file)
    if damage != "other":
        whole = to_sparse({"weight": torch.zeros(4096)}, {})
        file.write_bytes(whole[:-5] if damage == "cut" else b"")
    with pytest.raises(UsageError, match=r"network\.safetensors: this is no file in sparse"):
        study.load_sparse(file)
