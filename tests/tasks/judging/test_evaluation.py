import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, roc_auc_score
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from study.errors import UsageError
from study.tasks import Task, evaluate, make_task
from study.tasks.judging.evaluation import in_order
from tests.tasks.judging.forms import WithLogits

bce = functional.binary_cross_entropy_with_logits


def data(n: int = 101) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, 4, generator=generator)
    return x, (x.sum(1) + torch.randn(n, generator=generator) > 0).long()


def network(outputs: int) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Linear(4, outputs)
    with torch.no_grad():
        model.weight.fill_(-1.0)
        model.weight[-1] = 1.0
    return model


@pytest.mark.parametrize("size", [1, 2, 10, 50, 100, 101, 1000])
def test_figures_are_those_of_the_whole_split_whatever_the_batches(size: int) -> None:
    x, y = data()
    task = make_task(lambda: network(2), (x, y), (x, y), metrics=["accuracy", "auroc", "f1"])
    found = evaluate(network(2), task.data.validation, task, size)
    scores = network(2)(x).detach()
    assert found.samples == 101
    assert found.loss == pytest.approx(float(functional.cross_entropy(scores, y)), rel=1e-6)
    assert found.metrics["accuracy"] == accuracy_score(y, scores.argmax(1))
    assert found.metrics["auroc"] == pytest.approx(roc_auc_score(y, scores[:, 1] - scores[:, 0]))


def test_inverted_labels_have_the_rest_of_the_accuracy() -> None:
    x, y = data()
    found = []
    for labels in (y, 1 - y):
        pair = x, labels[:, None].float()
        task = make_task(lambda: network(1), pair, pair, loss=bce)
        found.append(evaluate(network(1), task.data.validation, task).metrics["accuracy"])
    assert found[0] > 0.8
    assert sum(found) == pytest.approx(1)


@pytest.mark.parametrize("loss", [functional.mse_loss, functional.l1_loss])
def test_a_regression_has_a_loss_and_nothing_else(loss: Any) -> None:
    x, _ = data()
    y = x.sum(1, keepdim=True)
    task = make_task(lambda: network(1), (x, y), (x, y), loss=loss)
    assert task.quality.name == "loss"
    found = evaluate(network(1), task.data.validation, task, 7)
    assert found.columns("val").keys() == {"val_loss"}
    assert found.loss == pytest.approx(loss(network(1)(x), y).item(), rel=1e-5)


@pytest.mark.parametrize("metrics", [["accuracy", "auroc", "f1", "top5", "perplexity"], ["mse"]])
def test_a_network_without_numbers_has_no_figures(metrics: list[str]) -> None:
    x, _ = data()
    y = (torch.arange(101) % 20 == 0).long()  # an argmax of NaN would be right 95 times of 100
    broken = network(1 if metrics == ["mse"] else 2)
    targets = y[:, None].float() if metrics == ["mse"] else y
    loss = functional.mse_loss if metrics == ["mse"] else None
    task = make_task(lambda: network(1 if loss else 2), (x, targets), (x, targets),
                     metrics=metrics, loss=loss)  # fmt: skip
    nn.init.constant_(broken.bias, math.nan)  # type: ignore[arg-type]
    found = evaluate(broken, task.data.validation, task)
    assert all(math.isnan(value) for value in found.columns("val").values())
    assert found.columns("val").keys() == {"val_loss", *(f"val_{name}" for name in metrics)}


def test_one_example_without_numbers_is_enough_to_have_no_figures() -> None:
    x, y = data()
    task = make_task(lambda: network(2), (x, y), (x, y))
    x = x.clone()
    x[100] = math.inf
    broken = make_task(lambda: network(2), (x, y), (x, y)).data.validation
    found = evaluate(network(2), broken, task, 10)
    assert math.isnan(found.loss)
    assert math.isnan(found.metrics["accuracy"])


class Masked(nn.Module):
    """Rules one class out, as a decoder does."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x) + torch.tensor([0.0, 0.0, -math.inf])


def test_a_class_that_is_ruled_out_is_no_fault() -> None:
    x, y = data()
    task = make_task(Masked, (x, y), (x, y))
    assert 0 <= evaluate(Masked(), task.data.validation, task).metrics["accuracy"] <= 1


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Any:
        return WithLogits(self.fc(x))


@pytest.mark.parametrize("size", [1, 3, 8])
def test_padding_counts_neither_in_the_loss_nor_in_the_metrics(size: int) -> None:
    torch.manual_seed(0)
    x, y = torch.randn(8, 6, 4), torch.randint(5, (8, 6))
    lengths = torch.tensor([6, 1, 0, 3, 6, 2, 0, 5])
    y[torch.arange(6) >= lengths[:, None]] = -100
    task = make_task(Tagger, (x, y), (x, y), metrics=["accuracy", "perplexity"])
    model = Tagger()
    found = evaluate(model, task.data.validation, task, size)
    scores = model(x).logits.detach()
    kept = [(scores[i, j], int(y[i, j])) for i in range(8) for j in range(int(lengths[i]))]
    surprises = [float(s.logsumexp(0) - s[c]) for s, c in kept]
    assert found.loss == pytest.approx(np.mean(surprises), rel=1e-5)
    assert found.metrics["perplexity"] == pytest.approx(math.exp(found.loss), rel=1e-5)
    assert found.metrics["accuracy"] == np.mean([int(s.argmax()) == c for s, c in kept])


def test_a_split_of_padding_alone_has_no_figures() -> None:
    x, y = torch.randn(8, 6, 4), torch.full((8, 6), -100)
    y[0] = 1
    task = make_task(Tagger, (x, y), (x[1:], y[1:]))
    found = evaluate(Tagger(), task.data.validation, task)
    assert math.isnan(found.loss)
    assert math.isnan(found.metrics["accuracy"])


class OwnLoss(nn.Module):
    """Computes its loss itself, a mean over its batch."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def forward(self, x: Tensor, labels: Tensor) -> Any:
        logits = self.fc(x)
        return {"loss": functional.cross_entropy(logits, labels), "logits": logits}


def test_a_loss_that_the_model_computes_is_a_mean_over_the_split() -> None:
    x, y = data()
    inputs = {"x": x, "labels": y}
    task = make_task(OwnLoss, (inputs, y), (inputs, y))
    model = OwnLoss()
    whole = evaluate(model, task.data.validation, task, 101)
    assert whole.loss == pytest.approx(model(x, y)["loss"].item(), rel=1e-6)
    for size in (1, 10, 99):
        assert evaluate(model, task.data.validation, task, size).loss == pytest.approx(whole.loss)


class Boxes(Dataset[Any]):
    """Images with one box and with many."""

    def __len__(self) -> int:
        return 11

    def __getitem__(self, i: int) -> Any:
        return torch.full((3,), float(i)), {"boxes": torch.full((1 + i % 4, 2), float(i))}


def mean_place(outputs: Any, targets: Any) -> Tensor:
    return torch.stack([t["boxes"].mean() for t in targets]).mean() + 0 * outputs.sum()


@pytest.mark.parametrize("size", [2, 3, 4, 11])
def test_a_loss_of_boxes_is_a_mean_over_images_and_not_over_boxes(size: int) -> None:
    task = make_task(
        lambda: nn.Linear(3, 1),
        Boxes(),
        Boxes(),
        loss=mean_place,
        metrics={"images": (lambda o, t: float(len(t)), "max")},
        collate=lambda batch: (
            torch.stack([x for x, _ in batch]),
            [target for _, target in batch],
        ),
    )
    found = evaluate(nn.Linear(3, 1), task.data.validation, task, size)
    assert found.loss == pytest.approx(5.0)
    assert found.metrics["images"] == 11


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        (lambda o, t: functional.cross_entropy(o, t, reduction="none"), r"shape \(101,\)"),
        (lambda o, t: None, "NoneType"),
        (lambda o, t: 1.0, "float"),
    ],
)
def test_a_loss_that_is_not_one_number_is_refused(loss: Any, told: str) -> None:
    x, y = data()
    task = make_task(lambda: network(2), (x, y), (x, y), loss=loss, metrics=["accuracy"])
    with pytest.raises(UsageError, match=f"loss: must give one number.* not {told}"):
        evaluate(network(2), task.data.validation, task)


class Counting(nn.Module):
    """Writes down how many examples it sees at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 2)
        self.sizes: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.sizes.append(len(x))
        return self.fc(x)


def sizes(task: Task) -> list[int]:
    model = Counting()
    evaluate(model, task.data.validation, task)
    return model.sizes


def test_evaluation_takes_as_many_examples_as_training_or_as_it_is_told() -> None:
    x, y = data(100)
    assert sizes(make_task(Counting, (x, y), (x, y), batch_size=30)) == [30, 30, 30, 10]
    told = make_task(Counting, (x, y), (x, y), batch_size=30, eval_batch_size=60)
    assert sizes(told) == [60, 40]


@pytest.mark.parametrize("examples", range(1, 14))
@pytest.mark.parametrize("size", [1, 2, 3, 5, 13, 20])
def test_every_example_is_evaluated_once_in_order_and_hardly_ever_alone(
    examples: int, size: int
) -> None:
    draws = list(in_order(examples, size))
    assert torch.cat([draw.examples for draw in draws]).tolist() == list(range(examples))
    lengths = [len(draw.examples) for draw in draws]
    assert max(lengths) <= size + 1
    assert examples == 1 or size == 1 or min(lengths) > 1


class NeedsTwo(nn.Module):
    """Normalises over its batch in evaluation too."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4, track_running_stats=False)
        self.fc = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.norm(x))


def test_a_model_that_takes_no_single_example_is_evaluated() -> None:
    x, y = data(41)
    task = make_task(NeedsTwo, (x, y), (x, y), batch_size=10)
    assert math.isfinite(evaluate(NeedsTwo(), task.data.validation, task).loss)


def test_a_metric_of_ones_own_comes_beside_those_that_are_built_in() -> None:
    x, y = data()
    task = make_task(
        lambda: network(2),
        (x, y),
        (x, y),
        metrics={"ones": (lambda o, t: float((o.argmax(1) == 1).float().mean()), "max")},
        correct=lambda o, t: o.argmax(1) == t,
    )
    found = evaluate(network(2), task.data.validation, task, 9)
    guess = network(2)(x).argmax(1)
    assert [record.name for record in task.metrics] == ["accuracy", "ones", "loss"]
    assert found.metrics["ones"] == pytest.approx(float((guess == 1).float().mean()))
    assert found.metrics["accuracy"] == pytest.approx(float((guess == y).float().mean()))


def test_evaluation_and_judging_draw_nothing_from_the_global_generators() -> None:
    x, y = data()
    model = nn.Sequential(nn.Dropout(), network(2))
    before = torch.get_rng_state()
    task = make_task(lambda: nn.Linear(4, 2), (x, y), 0.2)
    evaluate(model, task.data.validation, task)
    assert torch.equal(torch.get_rng_state(), before)
