"""The network without its dead channels, trained in place of the masked one: the same."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from study.pruning.compact.narrow import narrow_copy
from study.pruning.masking.choosing import mask_layers
from study.pruning.masking.masks import MaskedLayers
from study.pruning.structure.cutting import masks_of, with_companions
from study.pruning.structure.finding import separable_channels
from study.pruning.structure.units import Structure
from study.tasks.training.optimizers import build_optimizer
from study.tasks.training.recipe import Recipe
from tests.pruning.structure.networks import network

RECIPES = [
    Recipe(optimizer="sgd", lr=0.05, momentum=0.9, weight_decay=0.01, epochs=1),
    Recipe(optimizer="adamw", lr=0.003, weight_decay=0.1, epochs=1),
]


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, inputs: torch.Tensor) -> None:
    model.train()
    for _ in range(4):
        optimizer.zero_grad()
        model(inputs).square().mean().backward()
        optimizer.step()


def pruned(name: str) -> tuple[MaskedLayers, list[Structure], torch.Tensor]:
    model, inputs = network(name)
    structures, _ = separable_channels(model, lambda m: m(inputs))
    masked = with_companions(mask_layers(model), structures)
    alive = {s.name: torch.arange(s.units) % 3 != 1 for s in structures}
    masked.cut(masks_of(masked, structures, alive), optimizer=None)
    single = {name: torch.rand(mask.shape) < 0.8 for name, mask in masked.masks.items()}
    first = masked.names[0]
    masked.cut({first: masked.masks[first] & single[first]}, optimizer=None)
    return masked, structures, inputs.double() if inputs.is_floating_point() else inputs


@pytest.mark.parametrize("recipe", RECIPES, ids=["sgd", "adamw"])
@pytest.mark.parametrize("name", ["chain", "residual", "gated", "up and down", "tagger"])
def test_training_it_is_training_the_masked_network(name: str, recipe: Recipe) -> None:
    masked, structures, inputs = pruned(name)
    masked.model.double()
    optimizer = build_optimizer(recipe, masked.model)
    steps(masked.model, optimizer, inputs)  # so that there is a state to go on with
    twin, twin_optimizer = deepcopy((masked.model, optimizer))
    narrow = narrow_copy(masked, optimizer, recipe, structures)
    assert narrow is not None
    steps(narrow.model, narrow.optimizer, inputs)
    narrow.store()
    steps(twin, twin_optimizer, inputs)
    for (key, one), other in zip(
        masked.model.state_dict().items(), twin.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8, msg=key)
    for p, q in zip(masked.model.parameters(), twin.parameters(), strict=True):
        for slot, value in twin_optimizer.state[q].items():
            torch.testing.assert_close(optimizer.state[p][slot], value, rtol=1e-6, atol=1e-10)
    weights = sum(p.numel() for p in narrow.model.parameters())
    assert weights < sum(p.numel() for p in masked.model.parameters())


def test_there_is_none_where_all_channels_are_alive() -> None:
    model, inputs = network("chain")
    structures, _ = separable_channels(model, lambda m: m(inputs))
    masked = with_companions(mask_layers(model), structures)
    recipe = RECIPES[0]
    optimizer = build_optimizer(recipe, model)
    assert narrow_copy(masked, optimizer, recipe, structures) is None


def test_the_network_and_its_optimizer_are_left_alone_until_what_was_learned_is_stored() -> None:
    masked, structures, inputs = pruned("chain")
    masked.model.double()
    optimizer = build_optimizer(RECIPES[1], masked.model)
    steps(masked.model, optimizer, inputs)
    before = deepcopy((masked.model.state_dict(), optimizer.state_dict()["state"]))
    narrow = narrow_copy(masked, optimizer, RECIPES[1], structures)
    assert narrow is not None
    steps(narrow.model, narrow.optimizer, inputs)
    after = (masked.model.state_dict(), optimizer.state_dict()["state"])
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    narrow.store()
    assert not torch.equal(next(masked.model.parameters()), next(iter(before[0].values())))
