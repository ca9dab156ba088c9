from typing import Any

import pytest
import torch
from torch import nn

from study.errors import UsageError
from study.tasks.training.optimizers import build_optimizer, is_entry_by_entry
from study.tasks.training.recipe import Recipe


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_the_fused_optimizer_takes_the_steps_of_the_plain_one(name: str) -> None:
    torch.manual_seed(0)
    recipe = Recipe(optimizer=name, lr=0.05, weight_decay=0.01)
    ours, theirs = nn.Linear(5, 3), nn.Linear(5, 3)
    theirs.load_state_dict(ours.state_dict())
    plain = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01),
        "adam": lambda p: torch.optim.Adam(p, lr=0.05, weight_decay=0.01),
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.01),
    }[name](list(theirs.parameters()))
    fused = build_optimizer(recipe, ours)
    for _ in range(20):
        x = torch.randn(4, 5)
        for model, optimizer in ((ours, fused), (theirs, plain)):
            optimizer.zero_grad()
            model(x).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours.weight, theirs.weight)


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


def decay_of(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, float]:
    of = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    return {name: of[id(p)] for name, p in model.named_parameters()}


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "torch.optim:RMSprop"])
def test_norms_and_biases_decay_only_if_they_are_meant_to(name: str) -> None:
    model = network()
    recipe = Recipe(optimizer=name, weight_decay=0.01)
    assert set(decay_of(build_optimizer(recipe, model), model).values()) == {0.01}
    apart = Recipe(optimizer=name, weight_decay=0.01, decay_norms_and_biases=False)
    assert decay_of(build_optimizer(apart, model), model) == {
        "0.weight": 0.01,
        "0.bias": 0.0,
        "1.weight": 0.0,
        "1.bias": 0.0,
        "3.weight": 0.01,
        "3.bias": 0.0,
    }


def test_a_model_of_biases_alone_has_one_group() -> None:
    model = nn.ParameterList([nn.Parameter(torch.zeros(3))])
    recipe = Recipe(weight_decay=0.1, decay_norms_and_biases=False)
    assert [len(group["params"]) for group in build_optimizer(recipe, model).param_groups] == [1]


def test_a_class_by_import_string_gets_its_options() -> None:
    recipe = Recipe(optimizer="torch.optim:RMSprop", lr=0.3, optimizer_options={"alpha": 0.5})
    optimizer = build_optimizer(recipe, network())
    assert type(optimizer) is torch.optim.RMSprop
    (group,) = optimizer.param_groups
    assert (group["alpha"], group["lr"], group["weight_decay"]) == (0.5, 0.3, 0.0)


def test_options_of_an_optimizer_by_name_are_its_own() -> None:
    recipe = Recipe(optimizer="adamw", optimizer_options={"betas": (0.8, 0.99)})
    assert build_optimizer(recipe, network()).defaults["betas"] == (0.8, 0.99)


class Plain(torch.optim.SGD):
    """Has no weight decay."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, lr=lr)


class Wrapped(torch.optim.SGD):
    """Hands on whatever it is given."""

    def __init__(self, params: Any, **options: Any) -> None:
        super().__init__(params, **options)


def test_weight_decay_reaches_a_class_that_hands_its_options_on() -> None:
    recipe = Recipe(optimizer=f"{__name__}:Wrapped", weight_decay=0.2)
    assert build_optimizer(recipe, network()).defaults["weight_decay"] == 0.2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"optimizer": "torch.optim:LBFGS"}, "needs a closure in each step"),
        ({"optimizer": "torch.optim:RMSprob"}, "Did you mean 'RMSprop'"),
        ({"optimizer": "torch.nn:Linear"}, r"no torch\.optim\.Optimizer"),
        ({"optimizer": "math:sqrt"}, r"no torch\.optim\.Optimizer"),
        (
            {"optimizer": "adam", "optimizer_options": {"beta": 1}},
            "adam: .*beta",
        ),
        ({"optimizer": "adam", "optimizer_options": {"betas": (2, 2)}}, "Invalid beta"),
        ({"optimizer": f"{__name__}:Plain", "weight_decay": 0.1}, "weight_decay: .* has none"),
    ],
)
def test_an_optimizer_that_cannot_be_used_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_optimizer(Recipe(**fields), network())


def test_only_known_optimizers_are_trusted_with_pruned_entries() -> None:
    model = network()
    assert is_entry_by_entry(build_optimizer(Recipe(), model))
    assert is_entry_by_entry(build_optimizer(Recipe(optimizer="torch.optim:NAdam"), model))
    assert not is_entry_by_entry(build_optimizer(Recipe(optimizer=f"{__name__}:Plain"), model))
