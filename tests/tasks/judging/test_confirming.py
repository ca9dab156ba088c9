import math

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, roc_auc_score
from torch import nn

from study.tasks import Task, evaluate, make_task
from study.tasks.judging.confirming import PARTS, parts_of, resample


def _task(metrics: list[str]) -> Task:
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(230, 4, generator=generator)
    targets = (inputs[:, 0] + 0.8 * torch.randn(230, generator=generator) > 0).long()
    return make_task(
        lambda: nn.Linear(4, 2),
        (inputs, targets),
        validation=0.5,
        metrics=metrics,
        epochs=1,
    )


def test_the_whole_split_has_the_figures_of_an_evaluation() -> None:
    task = _task(["accuracy", "f1", "auroc"])
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    found = resample(model, task.data.validation, task, task.quality)
    usual = evaluate(model, task.data.validation, task)
    for name, value in usual.metrics.items():
        assert found.figures[name] == pytest.approx(value)
    assert found.figures["loss"] == pytest.approx(usual.loss)
    assert found.examples == usual.samples


def test_without_a_part_figures_are_those_of_the_other_examples() -> None:
    """scikit-learn on the examples that are left says the same."""
    task = _task(["accuracy", "f1", "auroc"])
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    split = task.data.validation
    batch = split.take(torch.arange(len(split)))
    with torch.no_grad():
        outputs = model(batch.inputs)
    chances, targets = outputs.softmax(1)[:, 1].numpy(), batch.targets.numpy()
    found = {
        metric.name: resample(model, split, task, metric).without[metric.name]
        for metric in task.metrics
    }
    for place, part in enumerate(parts_of(len(split))):
        left = np.setdiff1d(np.arange(len(split)), part.numpy())
        called, truth = chances[left] > 0.5, targets[left]
        loss = float(nn.functional.cross_entropy(outputs[left], batch.targets[left]))
        assert found["accuracy"][place] == pytest.approx((called == truth).mean())
        assert found["f1"][place] == pytest.approx(f1_score(truth, called), abs=1e-6)
        assert found["auroc"][place] == pytest.approx(roc_auc_score(truth, chances[left]), abs=1e-5)
        assert found["loss"][place] == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("examples", [2, 3, 19, 40, 41, 1000])
def test_parts_hold_each_example_once(examples: int) -> None:
    parts = parts_of(examples)
    assert sorted(torch.cat(parts).tolist()) == list(range(examples))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 2 or examples < 4
    assert len(parts) == min(PARTS, examples // 2)


def test_a_network_that_has_diverged_has_no_figures() -> None:
    task = _task(["accuracy"])
    model = nn.Linear(4, 2)
    with torch.no_grad():
        model.weight.fill_(math.nan)
    found = resample(model, task.data.validation, task, task.quality)
    assert math.isnan(found.figures["accuracy"])
    assert all(map(math.isnan, found.without["accuracy"]))


def test_parts_hold_whole_groups() -> None:
    groups = np.repeat(np.arange(43), np.random.default_rng(0).integers(1, 9, 43))
    parts = parts_of(len(groups), groups)
    assert sorted(torch.cat(parts).tolist()) == list(range(len(groups)))
    assert len(parts) == PARTS
    seen = [set(groups[part.numpy()].tolist()) for part in parts]
    assert sum(map(len, seen)) == 43
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 8


def test_a_record_says_how_large_parts_are_and_of_how_many_groups() -> None:
    """A group of 60 among 10s stands alone, and says as much as one."""
    task = _task(["accuracy"])
    split = task.data.validation
    groups = np.concatenate([np.zeros(60), 1 + np.arange(55) // 2])
    found = resample(nn.Linear(4, 2), split, task, task.quality, groups)
    assert sum(found.part_examples) == len(split) == 115
    assert found.part_examples[0] == 60
    assert found.part_groups[0] == 1
    rest = zip(found.part_examples[1:], found.part_groups[1:], strict=True)
    # Of two and one examples: (2 + 1)^2 / (2^2 + 1^2).
    assert all(like == {2: 1, 3: 1.8, 4: 2}[size] for size, like in rest)
    assert resample(nn.Linear(4, 2), split, task, task.quality).part_groups == ()
