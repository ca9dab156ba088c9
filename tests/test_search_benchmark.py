"""The benchmark against rivals: what its volumes count."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import moocore
import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.search.methods import SWEEP, textbook_plan
from benchmarks.search.naive_study import Training, prune_and_retrain, train_dense
from benchmarks.search.report import lines, markdown
from benchmarks.search.tasks import SETTINGS
from benchmarks.search.volumes import (
    LEAST_ACCURACY,
    LEAST_DENSITY,
    Network,
    once_on_front,
    volume_at,
    volumes,
)
from study.tasks.models.lenet import lenet300
from study.tasks.models.small_cnn import small_cnn


def found(*figures: tuple[float, float, float], trial: int = 0) -> list[Network]:
    """Networks of density, validation and test accuracy, each after 100 more examples."""
    return [
        Network(100 * number, float(number), validation, density, trial, test)
        for number, (density, validation, test) in enumerate(figures, start=1)
    ]


def random_networks(seed: int) -> list[Network]:
    """Some below the floor, some worse than the reference."""
    generator = np.random.default_rng(seed)
    densities = np.exp(generator.uniform(math.log(0.003), 0.0, 60))
    accuracies = generator.uniform(0.4, 1.0, (60, 2))
    return found(*((d, *pair) for d, pair in zip(densities, accuracies, strict=True)))


@pytest.mark.parametrize("seed", range(10))
def test_on_validation_data_it_is_the_hypervolume(seed: int) -> None:
    networks = random_networks(seed)
    costs = [
        (
            (1.0 - n.accuracy) / (1.0 - LEAST_ACCURACY),
            1.0 - math.log(max(n.density, LEAST_DENSITY)) / math.log(LEAST_DENSITY),
        )
        for n in networks
    ]
    for count in (1, 7, 60):
        points = np.array([cost for cost in costs[:count] if cost[0] < 1.0])
        wanted = moocore.hypervolume(points, ref=[1.0, 1.0]) if len(points) else 0.0
        assert volumes(networks, "accuracy")[count - 1] == pytest.approx(float(wanted), abs=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_on_test_data_it_is_the_mean_gain_of_what_validation_chose_at_each_density(
    seed: int,
) -> None:
    networks = random_networks(seed)
    places = np.linspace(0.0, 1.0, 20_001)
    gains = []
    for density in LEAST_DENSITY ** (1.0 - (places[:-1] + places[1:]) / 2):
        small = [n for n in networks if n.density <= density and n.accuracy > LEAST_ACCURACY]
        chosen = max(small, key=lambda n: n.accuracy, default=None)
        gains.append(max((chosen.test - 0.5) / 0.5, 0.0) if chosen and chosen.test else 0.0)
    assert volume_at(networks, math.inf, "test") == pytest.approx(np.mean(gains), abs=1e-3)


def test_a_network_that_is_best_on_test_data_alone_adds_nothing() -> None:
    chosen = found((0.1, 0.9, 0.8))
    with_lucky = [*chosen, Network(200, 2.0, accuracy=0.89, density=0.1, test=0.99)]
    assert volume_at(with_lucky, math.inf, "test") == volume_at(chosen, math.inf, "test")
    assert volume_at(chosen, math.inf, "test") == pytest.approx(0.6 * 0.5)  # half of the log axis


def test_a_network_that_validation_overrates_takes_from_the_volume() -> None:
    networks = found((0.1, 0.9, 0.9), (0.1, 0.95, 0.6))
    first, second = volumes(networks, "test")
    assert second < first
    assert volumes(networks, "accuracy")[1] > volumes(networks, "accuracy")[0]


def test_test_figures_of_networks_behind_the_front_are_not_needed() -> None:
    networks = found((0.1, 0.9, 0.9), (0.2, 0.8, 0.9), (0.3, 0.95, 0.9), (0.1, 0.9, 0.9))
    flags = once_on_front(networks)
    assert flags == [True, False, True, False]
    unread = [
        Network(n.samples, n.wall_s, n.accuracy, n.density, n.trial, n.test if flag else None)
        for n, flag in zip(networks, flags, strict=True)
    ]
    assert volumes(unread, "test").tolist() == volumes(networks, "test").tolist()
    with pytest.raises(ValueError, match="not read on test data"):
        volumes([Network(1, 1.0, 0.9, 0.1)], "test")


def test_the_product_is_compared_at_what_the_rival_had_spent() -> None:
    early, late = found((0.1, 0.9, 0.9), (0.02, 0.9, 0.9))
    product = [early, Network(200, 2.0, 0.9, 0.02, trial=1, test=0.9)]
    rival = found((0.05, 0.9, 0.9))  # after 100 examples
    table = {line.method: line for line in lines({"textbook": {0: rival}, "product": {0: product}})}
    assert table["textbook"].lead == pytest.approx([0.8 * math.log(0.05 / 0.1) / math.log(100)])
    assert table["product"].samples == [late.samples]
    assert table["product"].lead == []
    said = markdown("mnist5k", table.values())
    assert "0 of 1" in next(line for line in said.splitlines() if "one textbook run" in line)


def small_network() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 40), nn.BatchNorm1d(40), nn.ReLU(), nn.Linear(40, 3))


@pytest.fixture
def arrays() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    inputs = torch.randn(300, 12, generator=torch.Generator().manual_seed(0))
    targets = inputs[:, :3].argmax(1)
    return {
        "train": (inputs[:200], targets[:200]),
        "validation": (inputs[200:], targets[200:]),
    }


@pytest.mark.parametrize("across", ["network", "each_layer"])
@pytest.mark.parametrize("retrain", ["finetune", "weight_rewind"])
def test_the_naive_study_reaches_the_density_that_it_drew_and_keeps_every_network(
    arrays: Any, across: str, retrain: str, tmp_path: Path
) -> None:
    dense, samples = train_dense(small_network, arrays, epochs=4, seed=0)
    assert samples == 800
    assert sorted(dense) == [0.0, 0.5, 1.0, 1.5, 2.0, 4.0]
    config = {"density": 0.1, "across": across, "rounds": 3, "retrain": retrain,
              "retrain_epochs": 1.5, "rewind_epoch": 1.0}  # fmt: skip
    found = prune_and_retrain(config, small_network, arrays, dense, 0, str(tmp_path))
    assert found["density"] == pytest.approx(0.1, abs=0.005)
    densities = [network["density"] for network in found["networks"]]
    assert densities == pytest.approx([0.1 ** (k / 3) for k in (1, 2, 3)], abs=0.005)
    assert [network["samples"] for network in found["networks"]] == [328, 656, 984]
    for network in found["networks"]:
        again = Training(small_network(), arrays)
        again.model.load_state_dict(torch.load(network["weights"], weights_only=True))
        assert again.accuracy() == network["accuracy"]
        assert again.density() == network["density"]


def test_the_naive_study_goes_back_to_the_early_weights_under_its_masks(arrays: Any) -> None:
    dense, _ = train_dense(small_network, arrays, epochs=4, seed=0)
    training = Training(small_network(), arrays)
    training.model.load_state_dict(dense[4.0])
    training.cut(0.75, "network")
    kept = {name: layer.weight != 0 for name, layer in training.layers().items()}
    training.rewind(dense[0.5])
    training.accuracy()  # a forward pass puts the masks on
    after = training.weights()
    for name, value in dense[0.5].items():
        mask = kept.get(name.removesuffix(".weight"), torch.ones_like(value, dtype=torch.bool))
        assert torch.equal(after[name], value * mask)


def test_the_sweep_is_of_fourteen_runs_cheap_first_with_the_textbook_among_them() -> None:
    plans = [textbook_plan(*each, seed=0) for each in SWEEP]
    assert len(set(SWEEP)) == 14
    costs = [plan.rounds * (plan.retrain_epochs or 0.0) for plan in plans]
    assert costs == sorted(costs)
    assert sum(costs) == 400
    textbook = textbook_plan("lamp", 0.2, 2, seed=0)
    assert textbook in plans
    assert textbook.rounds == 21
    for plan, (_, cut, _) in zip(plans, SWEEP, strict=True):
        assert 0.01 ** (1.0 / plan.rounds) == pytest.approx(1.0 - cut, abs=0.02)


@pytest.mark.parametrize("task", ["mnist5k", "cnn"])
def test_the_networks_by_hand_are_those_of_the_project(task: str) -> None:
    theirs = {"mnist5k": lenet300((784,), 10), "cnn": small_cnn((1, 28, 28), 10)}[task]
    mine = SETTINGS[task].by_hand()
    shapes = [[value.shape for value in each.state_dict().values()] for each in (mine, theirs)]
    assert shapes[0] == shapes[1]
    inputs = torch.randn(5, 784) if task == "mnist5k" else torch.randn(5, 1, 28, 28)
    mine.load_state_dict(dict(zip(mine.state_dict(), theirs.state_dict().values(), strict=True)))
    assert torch.allclose(mine.eval()(inputs), theirs.eval()(inputs), atol=1e-5)
