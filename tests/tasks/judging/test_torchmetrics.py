"""A user's metrics of torchmetrics: a split is judged alike however it is cut into batches."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits
from torchmetrics.classification import BinaryAccuracy, MulticlassAUROC

from study.tasks import Task, evaluate, make_task


class Same(nn.Module):
    """Gives what it gets, and has a weight to prune."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + 0 * self.unused.weight.sum()


def judged(task: Task, name: str) -> float:
    return evaluate(task.build_model(), task.data.validation, task).metrics[name]


@pytest.mark.parametrize("whole", [torch.int64, torch.float32])
def test_logits_between_0_and_1_are_no_probabilities(whole: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.rand(60, generator=generator)
    logits[0] = -3.0  # one batch of three is seen to be of logits
    targets = (torch.rand(60, generator=generator) < 0.5).to(whole)
    task = make_task(
        Same, (logits, targets), (logits, targets), batch_size=20, metrics=[BinaryAccuracy()],
        loss=lambda o, t: binary_cross_entropy_with_logits(o, t.float()),
    )  # fmt: skip
    right = int(((logits > 0) == targets.bool()).sum())
    assert judged(task, "accuracy") == pytest.approx(right / 60)


def test_probabilities_stay_what_they_are() -> None:
    chances = torch.linspace(0.05, 0.95, 40)
    targets = (torch.arange(40) % 3 == 0).float()
    task = make_task(
        Same, (chances, targets), (chances, targets), batch_size=10, loss=binary_cross_entropy,
        metrics=[BinaryAccuracy()],
    )  # fmt: skip
    right = int(((chances > 0.5) == targets.bool()).sum())
    assert judged(task, "accuracy") == pytest.approx(right / 40)


def test_scores_of_classes_are_ranked_together() -> None:
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(90, 3, generator=generator)
    scores[:30] = torch.rand(30, 3, generator=generator)
    targets = torch.randint(3, (90,), generator=generator)
    task = make_task(
        Same, (scores, targets), (scores, targets), batch_size=30,
        metrics={"ranked": MulticlassAUROC(3), "auroc": "auroc"},
    )  # fmt: skip
    chances = scores.softmax(1)
    by_class = []
    for label in range(3):
        yes, no = chances[targets == label, label], chances[targets != label, label]
        by_class.append(float((yes[:, None] > no[None]).double().mean()))
    assert judged(task, "ranked") == pytest.approx(sum(by_class) / 3, abs=1e-6)
