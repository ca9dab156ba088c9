import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from study.errors import UsageError
from study.pruning.masking.choosing import mask_layers
from study.pruning.states.state_files import load_weights, weights_to_bytes
from study.pruning.states.values import decode, encode, is_plain, tensors_in


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        0.1,
        "text",
        b"\x00\xff",
        [1, [2.5, None]],
        (1, ("a", b"b")),
        {"a": {3: [1], (1, 2): "pair"}, None: {}},
        {"tensor": "not a reference"},
        float("inf"),
    ],
)
def test_values_come_back_as_they_were(value: Any) -> None:
    tensors: dict[str, Tensor] = {}
    written = json.loads(json.dumps(encode("name", value, tensors)))
    assert decode(written, tensors) == value
    assert not tensors


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(3),
        torch.randn(2, 2, dtype=torch.complex128),
        torch.randn(2, 2, dtype=torch.complex128).conj(),
        torch.eye(3).to_sparse(),
    ],
)
def test_tensors_within_values_come_back_as_they_were(tensor: Tensor) -> None:
    tensors: dict[str, Tensor] = {}
    written = json.loads(json.dumps(encode("name", {"a": [tensor]}, tensors)))
    assert set(tensors_in(written)) == set(tensors)
    assert all(is_plain(value) for value in tensors.values())
    found = decode(written, tensors)["a"][0]
    assert found.dtype == tensor.dtype
    assert found.layout == tensor.layout
    assert torch.equal(found.to_dense(), tensor.resolve_conj().to_dense())


def test_what_only_python_could_read_again_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="state 'fc/_extra_state/1/1' has a object in it"):
        encode("fc/_extra_state", [1, [2, object()]], {})


class Everything(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.real = nn.Linear(3, 4, dtype=torch.float64)
        self.phases = nn.Parameter(torch.randn(4, 4, dtype=torch.complex128))
        self.weight = nn.Parameter(torch.randn(4, 4, dtype=torch.complex64))
        self.register_buffer("edges", torch.eye(4).to_sparse())
        self.register_buffer("late", None)
        self.steps = {"taken": 0}

    def get_extra_state(self) -> Any:
        return self.steps

    def set_extra_state(self, state: Any) -> None:
        self.steps = state


def test_a_rounds_file_holds_every_kind_of_state() -> None:
    model, other = Everything(), Everything()
    masked, loaded = mask_layers(model), mask_layers(other)
    masked.cut({"weight": torch.eye(4, dtype=torch.bool)}, optimizer=None)
    model.late, model.steps = torch.ones(2), {"taken": 7}
    load_weights(loaded, weights_to_bytes(masked, {}))
    assert loaded.mask_hash() == masked.mask_hash()
    assert other.steps == {"taken": 7}
    assert torch.equal(other.get_buffer("late"), torch.ones(2))
    for mine, theirs in zip(other.parameters(), model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_rounds_file_of_another_network_is_refused() -> None:
    model = Everything()
    model.extra = nn.Parameter(torch.zeros(2))
    with pytest.raises(UsageError, match="not of this network: extra differ"):
        load_weights(mask_layers(Everything()), weights_to_bytes(mask_layers(model), {}))
