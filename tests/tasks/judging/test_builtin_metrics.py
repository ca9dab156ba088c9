import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import Tensor

from study.errors import UsageError
from study.tasks.judging.builtin_metrics import BUILT_IN
from study.tasks.judging.outputs import Reading
from tests.tasks.judging.forms import (
    FORMS,
    ONE_LOGIT,
    Given,
    column_of_logits,
    columns,
    figure,
    logits,
    one_hot,
    padded,
    with_logits,
)

N = 120
DIGITS = 2e-7
"""torchmetrics divides counts in float32."""
NAMES = ("accuracy", "top5", "precision", "recall", "f1", "auroc", "average_precision", "iou")


def classification(classes: int, scale: float = 2.0) -> tuple[Tensor, Tensor]:
    """Scores that are right more often than not, of classes that are not equally frequent."""
    generator = np.random.default_rng(classes)
    shares = np.arange(1, classes + 1) / np.arange(1, classes + 1).sum()
    labels = generator.choice(classes, N, p=shares)
    scores = generator.normal(size=(N, classes)) + 1.2 * np.eye(classes)[labels]
    return torch.tensor(scores * scale, dtype=torch.float32), torch.tensor(labels)


def by_sklearn(name: str, scores: Tensor, labels: Tensor) -> float:
    x, y = scores.double().numpy(), labels.numpy()
    classes = x.shape[1]
    guess = x.argmax(1)
    two = classes == 2
    average: Any = {"average": "binary" if two else "macro", "zero_division": 0}
    shifted = np.exp(x - x.max(1, keepdims=True))
    chances = shifted / shifted.sum(1, keepdims=True)
    rank = x[:, 1] - x[:, 0] if two else chances
    if name == "accuracy":
        return float(sk.accuracy_score(y, guess))
    if name == "top5":
        if classes <= 5:
            return 1.0
        return float(sk.top_k_accuracy_score(y, x, k=5, labels=range(classes)))
    if name == "precision":
        return float(sk.precision_score(y, guess, **average))
    if name == "recall":
        return float(sk.recall_score(y, guess, **average))
    if name in ("f1", "dice"):
        return float(sk.f1_score(y, guess, **average))
    if name == "iou":
        return float(sk.jaccard_score(y, guess, **average))
    if name == "auroc":
        return float(sk.roc_auc_score(y, rank, multi_class="ovr"))
    assert name == "average_precision"
    return float(sk.average_precision_score(y if two else np.eye(classes)[y], rank))


@pytest.mark.parametrize("name", [*NAMES, "dice"])
@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_a_metric_of_classes_is_scikit_learns_in_every_form(
    name: str, classes: int, form: Callable[[Tensor, Tensor], Given]
) -> None:
    scores, labels = classification(classes)
    wanted = by_sklearn(name, scores, labels)
    assert figure(name, form(scores, labels)) == pytest.approx(wanted, abs=DIGITS)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ONE_LOGIT, ids=lambda form: form.__name__)
def test_one_logit_is_judged_as_two_classes_are(
    name: str, form: Callable[[Tensor, Tensor], Given]
) -> None:
    scores, labels = classification(2)
    wanted = by_sklearn(name, scores, labels)
    assert figure(name, form(scores, labels)) == pytest.approx(wanted, abs=DIGITS)


@pytest.mark.parametrize("name", NAMES)
def test_one_probability_is_judged_as_its_logit_is(name: str) -> None:
    scores, labels = classification(2)
    logit, targets, form = column_of_logits(scores, labels)
    probability = Given(torch.sigmoid(logit), targets, form)
    found = figure(name, probability, threshold=0.5)
    assert found == pytest.approx(by_sklearn(name, scores, labels), abs=DIGITS)


@pytest.mark.parametrize("name", [*NAMES, "perplexity"])
@pytest.mark.parametrize("classes", [2, 3, 7])
def test_a_model_that_ends_in_a_softmax_is_judged_as_its_logits_are(
    name: str, classes: int
) -> None:
    scores, labels = classification(classes)
    for ended in (scores.softmax(1), scores.log_softmax(1)):
        found = figure(name, columns(ended, labels))
        assert found == pytest.approx(figure(name, columns(scores, labels)), rel=1e-5)


@pytest.mark.parametrize("name", [*NAMES, "perplexity"])
@pytest.mark.parametrize("size", [1, 2, 13, 119, N, 500])
@pytest.mark.parametrize("classes", [2, 6])
def test_the_size_of_batches_does_not_matter(name: str, size: int, classes: int) -> None:
    given = columns(*classification(classes))
    assert figure(name, given, size) == pytest.approx(figure(name, given, N), abs=DIGITS)


def test_a_mean_over_batches_would_be_another_figure() -> None:
    given = columns(*classification(3))
    halves = [Given(*given.take(half)) for half in (slice(0, 40), slice(40, N))]
    mean = np.mean([figure("auroc", half) for half in halves])
    assert abs(mean - figure("auroc", given)) > 1e-4


@pytest.mark.parametrize("scale", [1e2, 1e3, 1e4])
@pytest.mark.parametrize("name", ["auroc", "average_precision"])
def test_large_logits_keep_their_order(name: str, scale: float) -> None:
    generator = np.random.default_rng(0)
    labels = torch.tensor(generator.integers(0, 2, N))
    logit = torch.tensor(generator.normal(1, 0.2, N) + 0.1 * labels.numpy()) * scale
    given = Given(logit.float(), labels, "yes_no")
    function = sk.roc_auc_score if name == "auroc" else sk.average_precision_score
    wanted = function(labels.numpy(), logit.float().numpy())
    assert 0.5 < wanted < 0.9
    assert figure(name, given) == pytest.approx(wanted, abs=DIGITS)
    two = Given(torch.stack([-given.outputs / 2, given.outputs / 2], 1), labels)
    assert figure(name, two) == pytest.approx(wanted, abs=DIGITS)


def test_large_scores_of_several_classes_keep_their_order() -> None:
    """The odds of a class against all others, in as many digits as it takes."""
    from fractions import Fraction

    generator = np.random.default_rng(1)
    labels = generator.integers(0, 3, 40)
    scores = generator.integers(-60, 60, (40, 3)) + 10 * np.eye(3, dtype=int)[labels]
    # Powers of two in place of e: exact, and of the same order for the same scores.
    powers = [[Fraction(2) ** int(s) for s in row] for row in scores]
    areas = []
    for c in range(3):
        odds = [row[c] / (sum(row) - row[c]) for row in powers]
        ones = [o for o, label in zip(odds, labels, strict=True) if label == c]
        rest = [o for o, label in zip(odds, labels, strict=True) if label != c]
        wins = sum((a > b) + (a == b) / 2 for a in ones for b in rest)
        areas.append(wins / (len(ones) * len(rest)))
    given = columns(torch.tensor(scores * math.log(2)), torch.tensor(labels))
    assert figure("auroc", given) == pytest.approx(np.mean(areas), abs=DIGITS)


@pytest.mark.parametrize("name", NAMES)
def test_a_class_that_cannot_be_may_score_minus_infinity(name: str) -> None:
    scores, labels = classification(3)
    rows = torch.arange(0, N, 5)
    scores[rows, (labels[rows] + 1) % 3] = -math.inf
    finite = scores.clamp_min(-500)
    assert figure(name, columns(scores, labels)) == pytest.approx(
        by_sklearn(name, finite, labels), abs=DIGITS
    )


@pytest.mark.parametrize("name", ["auroc", "average_precision"])
@pytest.mark.parametrize("form", [columns, with_logits, padded, one_hot])
def test_an_area_is_not_defined_where_a_class_is_missing(
    name: str, form: Callable[[Tensor, Tensor], Given]
) -> None:
    for classes in (2, 3):
        scores, _ = classification(classes)
        labels = torch.arange(N) % 2 if classes == 3 else torch.ones(N, dtype=torch.int64)
        assert math.isnan(figure(name, form(scores, labels)))
    logit = logits(torch.randn(N, 2), torch.zeros(N, dtype=torch.int64))
    assert math.isnan(figure(name, logit))


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_a_metric_of_no_elements_is_no_number(name: str) -> None:
    accumulator = BUILT_IN[name].start(Reading())
    assert math.isnan(accumulator.compute())


@pytest.mark.parametrize("name", [*NAMES, "perplexity"])
def test_a_batch_of_padding_alone_changes_nothing(name: str) -> None:
    scores, labels = classification(3)
    outputs, targets, form = padded(scores, labels)
    more = Given(torch.cat([outputs, outputs[:7] * 0]), torch.cat([targets, targets[:7] * 0 - 100]))
    assert figure(name, more, size=len(targets)) == figure(name, Given(outputs, targets, form), 99)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_perplexity_is_e_to_the_mean_surprise(form: Callable[[Tensor, Tensor], Given]) -> None:
    scores, labels = classification(5)
    surprises = [
        math.log(sum(math.exp(s - row[label]) for s in row))
        for row, label in zip(scores.double().tolist(), labels.tolist(), strict=True)
    ]
    wanted = math.exp(sum(surprises) / N)
    assert figure("perplexity", form(scores, labels)) == pytest.approx(wanted, rel=1e-12)


def test_perplexity_of_one_absurd_token_among_many_is_finite() -> None:
    scores = torch.zeros(1000, 4)
    scores[0] = torch.tensor([-900.0, 0.0, 0.0, 0.0])
    wanted = math.exp((999 * math.log(4) + 900 + math.log(3)) / 1000)
    found = figure("perplexity", columns(scores, torch.zeros(1000, dtype=torch.int64)), 64)
    assert found == pytest.approx(wanted, rel=1e-9)


def test_perplexity_beyond_all_numbers_is_infinite_and_of_a_logit_it_is_refused() -> None:
    scores = torch.tensor([[-9000.0, 0.0]])
    assert figure("perplexity", columns(scores, torch.tensor([0]))) == math.inf
    with pytest.raises(UsageError, match="perplexity needs a score for each class"):
        figure("perplexity", logits(*classification(2)))


def test_several_labels_of_an_example_are_each_a_yes_or_no_in_every_batch() -> None:
    """Also in a batch whose examples happen to have one label each, like rows of one class."""
    generator = torch.Generator().manual_seed(0)
    targets = (torch.rand(N, 3, generator=generator) < 0.4).float()
    targets[:14] = torch.eye(3)[torch.arange(14) % 3]
    outputs = torch.randn(N, 3, generator=generator) + targets
    given = Given(outputs, targets, "yes_no")
    x, y = outputs.flatten().numpy(), targets.flatten().numpy()
    for size in (1, 7, N):
        assert figure("accuracy", given, size) == pytest.approx(((x > 0) == y).mean())
        assert figure("auroc", given, size) == pytest.approx(sk.roc_auc_score(y, x))
        assert figure("f1", given, size) == pytest.approx(sk.f1_score(y, x > 0))


def test_nine_of_ten_is_nine_tenths_to_the_last_bit() -> None:
    labels = torch.zeros(10, dtype=torch.int64)
    scores = torch.tensor([[1.0, 0.0]] * 9 + [[0.0, 1.0]])
    assert figure("accuracy", columns(scores, labels), 3) == 0.9


def test_a_byte_of_156_is_a_class_and_no_padding() -> None:
    scores = torch.zeros(4, 200)
    labels = torch.tensor([156, 156, 156, 1], dtype=torch.uint8)
    scores[:, 1] = 1.0
    assert figure("accuracy", Given(scores, labels)) == 0.25


def numbers(*shape: int, offset: float = 0.0) -> tuple[Tensor, Tensor]:
    generator = np.random.default_rng(5)
    targets = generator.normal(size=shape) + offset
    found = targets + generator.normal(0, 0.5, shape)
    return torch.tensor(found, dtype=torch.float32), torch.tensor(targets, dtype=torch.float32)


REGRESSION: dict[str, Callable[[Any, Any], float]] = {
    "r2": sk.r2_score,
    "mse": sk.mean_squared_error,
    "rmse": sk.root_mean_squared_error,
    "mae": sk.mean_absolute_error,
}


@pytest.mark.parametrize("name", sorted(REGRESSION))
@pytest.mark.parametrize("size", [1, 8, 29, 30])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_a_metric_of_numbers_is_scikit_learns(name: str, size: int, offset: float) -> None:
    found, targets = numbers(30, offset=offset)
    wanted = REGRESSION[name](targets.double().numpy(), found.double().numpy())
    forms = [
        Given(found, targets),
        Given(found[:, None], targets),
        Given(found, targets[:, None]),
        Given(found[:, None], targets[:, None]),
        Given(with_logits(found, targets).outputs, targets),
        Given((found, found * 0), targets),
    ]
    for given in forms:
        assert figure(name, given, size) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("name", ["mse", "mae", "r2"])
def test_several_numbers_an_example_count_alike(name: str) -> None:
    found, targets = numbers(30, 3)
    wanted = REGRESSION[name](targets.double().numpy(), found.double().numpy())
    for size in (1, 7, 30):
        assert figure(name, Given(found, targets), size) == pytest.approx(wanted, rel=1e-9)


def test_rmse_is_the_root_of_mse_over_all_numbers() -> None:
    given = Given(*numbers(30, 3))
    assert figure("rmse", given) == pytest.approx(math.sqrt(figure("mse", given)), rel=1e-12)


def test_one_example_has_an_error_but_no_r2() -> None:
    found, targets = torch.tensor([3.0]), torch.tensor([1.0])
    assert figure("mse", Given(found, targets)) == 4.0
    assert figure("mae", Given(found, targets)) == 2.0
    assert math.isnan(figure("r2", Given(found, targets)))


def test_r2_of_targets_that_do_not_vary_is_scikit_learns() -> None:
    found, targets = torch.randn(20), torch.full((20,), 3.0)
    assert figure("r2", Given(found, targets)) == sk.r2_score(targets, found) == 0.0


@pytest.mark.parametrize(
    ("name", "outputs", "targets"),
    [
        ("mse", torch.zeros(4, 3), torch.zeros(4)),
        ("mae", torch.zeros(4, 3), torch.zeros(3, 4)),
        ("mse", torch.zeros(4), {"y": torch.zeros(4)}),
        ("accuracy", torch.zeros(4, 3), torch.zeros(4)),
        ("accuracy", torch.zeros(4, 1), torch.tensor([0, 1, 2, 1])),
        ("accuracy", torch.zeros(4, 1), torch.randn(4)),
        ("auroc", torch.zeros(4, 3), torch.zeros(4, 2)),
        ("f1", {"x": torch.zeros(4)}, torch.zeros(4)),
        ("accuracy", torch.zeros(4, 3, 3), torch.zeros(4, 3, dtype=torch.int64)),
    ],
)
def test_outputs_and_targets_that_do_not_fit_are_refused(
    name: str, outputs: Any, targets: Any
) -> None:
    accumulator = BUILT_IN[name].start(Reading())
    with pytest.raises(UsageError, match=r"metrics: |loss: "):
        accumulator.update(outputs, targets, 4)
