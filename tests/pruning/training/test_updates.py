"""A step is that of torch.optim, bit for bit."""

import pytest
import torch
from torch import nn

from study.pruning.training.updates import Update
from study.tasks.training.optimizers import build_optimizer
from study.tasks.training.recipe import Recipe


class WithSpare(nn.Module):
    """A network with parameters that its output does not depend on."""

    def __init__(self) -> None:
        super().__init__()
        self.used = nn.Linear(5, 3)
        self.spare = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.used(x)
        return out


@pytest.mark.parametrize("kind", ["layers", "spare", "images"])
@pytest.mark.parametrize(
    "recipe",
    [
        {"optimizer": "sgd", "momentum": 0.9},
        {"optimizer": "sgd", "momentum": 0.0},
        {"optimizer": "sgd", "nesterov": True, "weight_decay": 0.01},
        {"optimizer": "adam", "weight_decay": 0.01},
        {"optimizer": "adamw", "weight_decay": 0.1},
    ],
    ids=str,
)
def test_ten_steps_are_those_of_torch(recipe: dict[str, object], kind: str) -> None:
    settings, found = Recipe.model_validate(recipe), []
    for ours in (False, True):
        torch.manual_seed(0)
        model: nn.Module = WithSpare()
        inputs = torch.randn(7, 5)
        if kind == "layers":
            model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))
        elif kind == "images":
            layers = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.Flatten(), nn.Linear(64, 3))
            model = layers.to(memory_format=torch.channels_last)
            inputs = torch.randn(7, 2, 4, 4)
        optimizer = build_optimizer(settings, model)
        update = Update(optimizer)
        for step in range(10):
            lr = 0.1 / (step + 1)
            if ours:
                update.zero_grad()
            else:
                optimizer.zero_grad()
                optimizer.param_groups[0]["lr"] = lr
            model(inputs).square().mean().backward()
            if ours:
                update.step(lr)
            else:
                optimizer.step()
        found.append((model.state_dict(), optimizer.state_dict()))
    (weights, state), (our_weights, our_state) = found
    assert our_state["param_groups"] == state["param_groups"]
    assert all(torch.equal(our_weights[name], weights[name]) for name in weights)
    assert our_state["state"].keys() == state["state"].keys()
    for index, slots in state["state"].items():
        for slot, value in slots.items():
            mine = our_state["state"][index][slot]
            assert mine is value is None or torch.equal(mine, value)
