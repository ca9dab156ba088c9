from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from study.errors import UsageError
from study.tasks import make_task
from study.tasks.judging.judge import Judge, judge_of
from study.tasks.judging.metrics import Metric, metrics_of
from tests.tasks.judging.forms import WithLogits

GENERATOR = torch.Generator().manual_seed(0)
ONE = torch.randn(64, 1, generator=GENERATOR)
MANY = torch.randn(64, 3, generator=GENERATOR)
YES = (torch.rand(64, 1, generator=GENERATOR) < 0.4).float()
CLASSES = torch.arange(64) % 3
LABELS = (torch.rand(64, 3, generator=GENERATOR) < 0.5).float()

bce = functional.binary_cross_entropy_with_logits


def judge(outputs: Any, targets: Any, loss: Any = None, metrics: Any = ()) -> Judge:
    return judge_of(metrics_of(metrics), loss, outputs, targets, None)


def smoothed(outputs: Tensor, targets: Tensor) -> Tensor:
    return bce(outputs, 0.9 * targets + 0.05)


def weighted(outputs: Tensor, targets: Tensor) -> Tensor:
    return bce(outputs, targets, pos_weight=torch.tensor(20.0))


def hinge(outputs: Tensor, targets: Tensor) -> Tensor:
    return (1 - (2 * targets - 1) * outputs).clamp_min(0).mean()


def focal(outputs: Tensor, targets: Tensor) -> Tensor:
    right = torch.sigmoid((2 * targets - 1) * outputs)
    return -((1 - right) ** 2 * right.log()).mean()


def dice(chances: Tensor, targets: Tensor) -> Tensor:
    both = (chances * targets).sum()
    return 1 - (2 * both + 1) / (chances.sum() + targets.sum() + 1)


def dice_of_logits(outputs: Tensor, targets: Tensor) -> Tensor:
    return dice(torch.sigmoid(outputs), targets)


@pytest.mark.parametrize("loss", [bce, smoothed, weighted, hinge, focal, dice_of_logits])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("shift", [0.0, 0.5, -3.0])
def test_a_loss_of_a_logit_makes_an_accuracy_above_zero(
    loss: Callable[[Tensor, Tensor], Tensor], share: float, shift: float
) -> None:
    if loss is hinge and share == 1.0:
        pytest.skip("a hinge is as low at 1 as beyond, so it could be one of probabilities")
    targets = (torch.arange(64)[:, None] < 64 * share).float()
    found = judge(ONE * 0.1 + shift, targets, loss)
    assert found.reading[:2] == ("yes_no", 0.0)
    if share in (0.05, 0.5):
        assert [metric.name for metric in found.metrics] == ["accuracy"]


def with_a_penalty(outputs: Tensor, targets: Tensor) -> Tensor:
    return bce(outputs, targets) + 0.1 * outputs.square().mean()


def test_a_penalty_makes_no_probability_of_a_logit() -> None:
    targets = (torch.arange(64)[:, None] < 20).float()
    assert judge(ONE * 0.1, targets, with_a_penalty).reading[:2] == ("yes_no", 0.0)


def clamped_bce(chances: Tensor, targets: Tensor) -> Tensor:
    chances = chances.clamp(1e-7, 1 - 1e-7)
    return -(targets * chances.log() + (1 - targets) * (1 - chances).log()).mean()


def test_a_clamped_cross_entropy_of_probabilities_is_read_above_one_half() -> None:
    targets = (torch.arange(64)[:, None] < 20).float()
    assert judge(torch.sigmoid(ONE), targets, clamped_bce).reading[:2] == ("yes_no", 0.5)


def pinball(outputs: Tensor, targets: Tensor) -> Tensor:
    error = targets[:, None] - outputs
    shares = torch.tensor([0.1, 0.5, 0.9])
    return torch.maximum(shares * error, (shares - 1) * error).mean()


def gaussian(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.gaussian_nll_loss(outputs[:, 0], targets.float(), outputs[:, 1].exp())


def contrastive(outputs: Tensor, targets: Tensor) -> Tensor:
    distances = torch.cdist(outputs, outputs)
    same = targets[:, None] == targets
    return torch.where(same, distances, (1 - distances).clamp_min(0)).mean()


@pytest.mark.parametrize(
    ("loss", "width", "most"), [(pinball, 3, 50), (pinball, 3, 3), (gaussian, 2, 10),
                                (gaussian, 2, 2), (contrastive, 16, 5)]
)  # fmt: skip
def test_whole_numbers_that_are_no_classes_of_a_loss_have_no_accuracy(
    loss: Callable[[Tensor, Tensor], Tensor], width: int, most: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(64, width, generator=generator)
    assert judge(outputs, torch.arange(64) % most, loss).metrics == ()


@pytest.mark.parametrize(
    "loss",
    [
        functional.cross_entropy,
        nn.CrossEntropyLoss(label_smoothing=0.1),
        nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 0.2])),
        nn.MultiMarginLoss(),
        lambda outputs, targets: functional.nll_loss(outputs.log_softmax(1), targets),
    ],
)
def test_a_loss_of_classes_has_an_accuracy(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    outputs = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
    found = judge(outputs, torch.arange(64) % 3, loss)
    assert [metric.name for metric in found.metrics] == ["accuracy"]


def own_bce(chances: Tensor, targets: Tensor) -> Tensor:
    return -(targets * chances.log() + (1 - targets) * (1 - chances).log()).mean()


@pytest.mark.parametrize(
    "loss", [functional.binary_cross_entropy, functional.mse_loss, own_bce, dice]
)
@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.8])
def test_a_loss_of_a_probability_is_read_above_one_half(
    loss: Callable[[Tensor, Tensor], Tensor], share: float
) -> None:
    targets = (torch.arange(64)[:, None] < 64 * share).float()
    found = judge(torch.sigmoid(ONE), targets, loss)
    assert found.reading[:2] == ("yes_no", 0.5)
    assert not found.metrics  # it may as well be a regression of 0 and 1


@pytest.mark.parametrize("loss", [functional.mse_loss, functional.l1_loss, functional.huber_loss])
def test_a_regression_has_no_accuracy_and_its_quality_is_the_loss(loss: Any) -> None:
    for targets in (torch.randn(64, 1), YES, torch.zeros(64, 1), torch.ones(64, 1)):
        found = judge(ONE, targets, loss)
        assert [record.name for record in found.records] == ["loss"]


@pytest.mark.parametrize(
    ("outputs", "targets"),
    [
        (MANY, CLASSES),
        (MANY, CLASSES[:, None]),
        (WithLogits(MANY), CLASSES),
        ((MANY, MANY), CLASSES),
        (MANY, torch.eye(3)[CLASSES]),
        (torch.randn(64, 3, 5), torch.zeros(64, 5, dtype=torch.int64)),
        (torch.randn(64, 3, 2, 2), torch.zeros(64, 1, 2, 2, dtype=torch.uint8)),
    ],
)
def test_a_classifier_is_judged_by_accuracy(outputs: Any, targets: Any) -> None:
    assert [record.name for record in judge(outputs, targets).records] == ["accuracy", "loss"]


def test_several_labels_an_example_are_judged_one_by_one() -> None:
    found = judge(MANY, LABELS, bce)
    assert found.reading[:2] == ("yes_no", 0.0)
    assert [metric.name for metric in found.metrics] == ["accuracy"]


@pytest.mark.parametrize("targets", [LABELS, torch.randn(64, 3), torch.zeros(64, 3)])
def test_cross_entropy_of_what_are_no_probabilities_is_refused(targets: Tensor) -> None:
    with pytest.raises(UsageError, match="no probabilities that add up to 1"):
        judge(MANY, targets)


def test_few_examples_do_not_hide_that_others_have_several_labels() -> None:
    targets = torch.eye(3)[torch.arange(1000) % 3]
    targets[5] = 1.0  # the 64 that are looked at are spread over all of them: 0, 16, ...
    data = torch.randn(1000, 4), targets
    task = make_task(lambda: nn.Linear(4, 3), data, data, loss=bce)
    assert task.judge.reading.form == "yes_no"
    with pytest.raises(UsageError, match="no probabilities"):
        _ = make_task(lambda: nn.Linear(4, 3), data, data).judge


def test_metrics_of_ones_own_come_first_and_loss_last() -> None:
    found = judge(MANY, CLASSES, None, ["f1", Metric("x", lambda o, t: 0.0, "min")])
    assert [(r.name, r.direction) for r in found.records] == [
        ("f1", "max"),
        ("x", "min"),
        ("loss", "min"),
    ]


def test_as_many_classes_as_positions_are_judged_by_a_loss_of_ones_own() -> None:
    outputs, targets = torch.randn(64, 5, 5), torch.zeros(64, 5, dtype=torch.int64)
    found = judge(outputs, targets, functional.cross_entropy)
    assert [record.name for record in found.records] == ["loss"]


def test_anything_else_is_judged_by_its_loss() -> None:
    boxes = {"boxes": torch.randn(64, 4)}
    assert [r.name for r in judge(boxes, boxes, lambda o, t: ONE.sum()).records] == ["loss"]


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_a_loss_that_is_a_sum_is_refused_and_a_mean_is_not(reduction: str) -> None:
    def loss(outputs: Any, targets: Any) -> Tensor:
        return functional.cross_entropy(outputs[0], targets["y"], reduction=reduction)

    outputs, targets = (MANY, MANY * 0), {"y": CLASSES, "more": CLASSES}
    if reduction == "sum":
        with pytest.raises(UsageError, match="it is a sum; give the mean"):
            judge(outputs, targets, loss)
    else:
        assert judge(outputs, targets, loss).records


def test_a_loss_that_is_zero_or_fails_on_what_is_made_up_is_no_sum() -> None:
    def only_64(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs.reshape(64, 3) - targets.reshape(64, 1)).square().mean()

    assert [r.name for r in judge(MANY, torch.randn(64), only_64).records] == ["loss"]
    assert judge(ONE, ONE, functional.mse_loss).records


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(ignore_index=255),
        partial(functional.cross_entropy, ignore_index=255),
    ],
)
def test_what_a_loss_leaves_out_no_metric_counts(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(8, 3, 4, 4, generator=generator)
    targets = torch.randint(3, (8, 4, 4), generator=generator)
    targets[:, 0] = 255
    found = judge(outputs, targets, loss)
    (accuracy,) = found.metrics
    accumulator = accuracy.start(found.reading)
    accumulator.update(outputs, targets, 8)
    right = (outputs.argmax(1) == targets)[:, 1:]
    assert accumulator.compute() == pytest.approx(float(right.double().mean()))


def test_targets_beyond_the_classes_are_refused_with_what_to_say() -> None:
    outputs, targets = torch.randn(8, 3, 4, 4), torch.zeros(8, 4, 4, dtype=torch.int64)
    found = judge(outputs, targets, functional.cross_entropy)
    accumulator = found.metrics[0].start(found.reading)
    with pytest.raises(UsageError, match="ignore_index"):
        accumulator.update(outputs, targets + 255, 8)
