"""Recurrent layers of every form let go of channels that they read, and of no others."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from study.errors import UsageError
from study.pruning.masking.choosing import mask_layers
from study.pruning.structure.checking import zero_units
from study.pruning.structure.finding import prunable_units, separable_channels
from study.pruning.structure.slicing import places_left, slice_model


class Reading(nn.Module):
    """A recurrent layer between dense ones, read by its outputs and by its last states."""

    def __init__(self, kind: Any, packed: bool, **options: Any) -> None:
        super().__init__()
        self.before = nn.Linear(4, 8)
        self.recurrent = kind(8, 6, batch_first=True, **options)
        sides = 2 if self.recurrent.bidirectional else 1
        self.after = nn.Linear(sides * (self.recurrent.proj_size or 6), 5)
        self.head, self.packed = nn.Linear(5, 3), packed

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.before(x).relu()
        if self.packed:
            lengths = torch.tensor([5, 3])
            packed, states = self.recurrent(pack_padded_sequence(x, lengths, batch_first=True))
            out, _ = pad_packed_sequence(packed, batch_first=True)
        else:
            out, states = self.recurrent(x)
        last = states[0] if isinstance(states, tuple) else states
        return self.head(self.after(out).tanh()), last


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (nn.GRU, {}),
        (nn.GRU, {"bidirectional": True, "num_layers": 2}),
        (nn.RNN, {"bidirectional": True}),
        (nn.LSTM, {"num_layers": 2}),
        (nn.LSTM, {"bidirectional": True, "proj_size": 2}),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_what_it_reads_goes_and_what_it_makes_stays(
    kind: Any, options: dict[str, Any], packed: bool
) -> None:
    torch.manual_seed(0)
    model, inputs = Reading(kind, packed, **options).eval(), torch.randn(2, 5, 4)
    structures, reasons = separable_channels(model, lambda m: m(inputs))
    assert {s.name: s.units for s in structures} == {"before": 8, "after": 5}
    assert reasons["recurrent"].startswith(f"hidden units of a recurrent layer ({kind.__name__})")
    alive = {s.name: torch.arange(s.units) % 3 != 1 for s in structures}
    zeroed, small = deepcopy(model), deepcopy(model)
    zero_units(zeroed, structures, alive)
    slice_model(small, places_left(structures, alive))
    assert small.recurrent.input_size == 5
    for found, expected in zip(small(inputs), zeroed(inputs), strict=True):
        torch.testing.assert_close(found, expected)


def test_a_network_whose_only_wide_layer_is_recurrent_is_told_so() -> None:
    class Alone(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.r, self.f = nn.GRU(8, 16, batch_first=True), nn.Linear(16, 3)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.f(self.r(x)[0])
            return out

    inputs = torch.randn(2, 5, 8)
    with pytest.raises(UsageError, match=r"r: hidden units of a recurrent layer \(GRU\) are not"):
        prunable_units(mask_layers(Alone()), lambda m: m(inputs), "channels")
