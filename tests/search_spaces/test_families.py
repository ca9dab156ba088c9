from __future__ import annotations

import optuna
import pytest

from search_spaces import SPACES, Layer, SearchSpace
from study.pruning.plan import PruningPlan
from tests.search_spaces.networks import LENET300, RESNET

VGG = [
    *(Layer(f"conv{n}", 9 * 64 * n**2, "conv") for n in range(1, 14)),
    Layer("fc", 5120, "linear"),
]
NETWORKS = {"mlp": LENET300, "lenet": LENET300, "resnet": RESNET, "vgg": VGG}


@pytest.mark.parametrize("family", SPACES)
def test_the_space_of_a_family_draws_plans_for_it(family: str) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(10):
        PruningPlan(**SPACES[family].suggest(study.ask(), NETWORKS[family]))
    dumped = SPACES[family].model_dump(mode="json")
    assert SearchSpace.model_validate(dumped) == SPACES[family]


@pytest.mark.parametrize("family", ["resnet", "vgg"])
def test_the_first_convolution_stays_dense_and_the_last_layer_keeps_a_fifth(family: str) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        sparsity = SPACES[family].suggest(study.ask(), NETWORKS[family])["sparsity"]
        assert sparsity["conv1"] == 0.0
        assert sparsity["fc"] <= 0.8
