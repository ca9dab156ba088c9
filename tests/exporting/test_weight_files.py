from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from study.errors import UsageError
from study.exporting.sizes import sizes_of
from study.exporting.weight_files import plain_state, to_weights


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, 4)
        self.norm = nn.BatchNorm1d(4)
        self.head = nn.Linear(4, 9, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.norm(self.embed(x)))
        return out


class Remembering(nn.Linear):
    def get_extra_state(self) -> object:
        return {"steps": 3}

    def set_extra_state(self, state: object) -> None: ...


def test_a_strict_load_finds_all_names_also_of_tied_weights(tmp_path: Path) -> None:
    file = tmp_path / "tied.safetensors"
    model = Tied().eval()
    file.write_bytes(to_weights(model, {"trial": "0007"}))
    other = Tied().eval()
    other.load_state_dict(safetensors.torch.load_file(file))
    assert other.head.weight is other.embed.weight
    x = torch.arange(9)
    assert torch.equal(other(x), model(x))
    with safetensors.safe_open(file, "pt") as opened:
        assert opened.metadata() == {"format": "pt", "trial": "0007"}


def test_what_is_no_tensor_is_refused_by_name() -> None:
    model = nn.Sequential(Remembering(2, 2))
    with pytest.raises(UsageError, match=r"0\._extra_state of this network is no tensor"):
        plain_state(model)
    assert (
        sizes_of(b"", model, model).dense_bytes == 6 * 4
    )  # other files of it are told their sizes


def test_sizes_count_tied_weights_once() -> None:
    model = Tied()
    with torch.no_grad():
        model.embed.weight[1:] = 0
    sizes = sizes_of(b"\0" * 1000, model, model)
    assert sizes.file_bytes == 1000
    assert sizes.gzip_bytes < 50
    assert sizes.parameters == 36 + 8
    assert sizes.nonzero_parameters == 4 + 4  # the norm's shift is zero as yet
    assert sizes.dense_bytes == (36 + 4 * 4) * 4 + 8
    assert sizes.dense_parameters == 36 + 8


def test_what_was_left_out_is_told_beside_what_there_was() -> None:
    small, dense = nn.Linear(4, 3), nn.Linear(4, 8)
    sizes = sizes_of(b"", small, dense)
    assert (sizes.parameters, sizes.dense_parameters) == (15, 40)
    assert sizes.dense_bytes == 160
    assert sizes.sparse_bytes == sizes_of(b"", small, small).sparse_bytes
