"""What is left of a network's cost is what its masks say."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from study.pruning.cost import dense_cost, masked_cost
from study.pruning.masking.choosing import mask_layers
from study.pruning.structure.cutting import masks_of, with_companions
from study.pruning.structure.finding import separable_channels
from study.pruning.structure.sizes import sizes_of, units_left
from tests.pruning.structure.networks import NETWORKS, network


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=8)
@given(seed=st.integers(0, 10_000))
def test_weights_and_multiply_adds_are_those_that_the_masks_keep(name: str, seed: int) -> None:
    model, inputs = network(name)
    structures, _ = separable_channels(model, lambda m: m(inputs))
    masked = with_companions(mask_layers(model), structures)
    dense = dense_cost(masked, lambda m, examples: m(inputs[:examples]))
    generator = torch.Generator().manual_seed(seed)
    alive = {s.name: torch.rand(s.units, generator=generator) < 0.6 for s in structures}
    names = masked.parameter_names
    weights = sizes_of(structures, masked.weights, names, dict(masked.total.items()))
    macs = sizes_of(structures, masked.weights, names, dense.macs_by_layer)
    left = units_left(alive)
    some = structures[0]
    saved = weights.saved(left, some.name, 1) if left[some.name] else 0.0
    fewer = {**left, some.name: max(left[some.name] - 1, 0)}
    assert weights.total(left) - weights.total(fewer) == pytest.approx(saved)
    masked.cut(masks_of(masked, structures, alive), optimizer=None)
    assert weights.total(left) == pytest.approx(sum(masked.kept.values()))
    assert macs.total(left) + dense.other_macs == pytest.approx(masked_cost(masked, dense).macs)
