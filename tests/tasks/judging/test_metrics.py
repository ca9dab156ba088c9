import math
from typing import Any

import numpy as np
import pytest
import torch
import torchmetrics
from torch import Tensor
from torchmetrics.classification import BinaryAUROC, MulticlassAccuracy

from study.errors import UsageError
from study.tasks.judging.metrics import Metric, from_correct, metrics_of
from study.tasks.judging.outputs import Reading
from tests.tasks.judging.forms import WithLogits


def largest_error(outputs: Tensor, targets: Tensor) -> float:
    return float((outputs.squeeze(1) - targets).abs().max())


LARGEST = Metric("largest_error", largest_error, "min")


def figure(metric: Metric, outputs: Any, targets: Any, size: int = 7) -> float:
    accumulator = metric.start(Reading("other"))
    for begin in range(0, len(outputs), size):
        part = outputs[begin : begin + size]
        accumulator.update(part, targets[begin : begin + size], len(part))
    return accumulator.compute()


def test_names_know_their_direction_and_their_unit() -> None:
    found = metrics_of(["auroc", "perplexity", "accuracy"])
    assert [(m.name, m.direction, m.unit) for m in found] == [
        ("auroc", "max", "score"),
        ("perplexity", "min", "amount"),
        ("accuracy", "max", "share"),
    ]


@pytest.mark.parametrize("wanted", ["auroc", LARGEST, BinaryAUROC()])
def test_one_metric_needs_no_list(wanted: Any) -> None:
    assert len(metrics_of(wanted)) == 1


def test_an_import_string_finds_a_metric() -> None:
    assert metrics_of([f"{__name__}:LARGEST"]) == (LARGEST,)


def test_metrics_of_torchmetrics_name_themselves() -> None:
    found = metrics_of([BinaryAUROC(), torchmetrics.MeanSquaredError(), torchmetrics.R2Score()])
    assert [(m.name, m.direction) for m in found] == [
        ("auroc", "max"),
        ("mean_squared_error", "min"),
        ("r2_score", "max"),
    ]


def test_a_mapping_names_metrics() -> None:
    found = metrics_of({"worst": (largest_error, "min"), "area": BinaryAUROC(), "a": "accuracy"})
    assert [(m.name, m.direction, m.unit) for m in found] == [
        ("worst", "min", "amount"),
        ("area", "max", "score"),
        ("a", "max", "share"),
    ]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (["acuracy"], "Did you mean 'accuracy'"),
        ([largest_error], "nothing says which way of it is better.*largest_error"),
        ([lambda o, t: 0.0], "nothing says which way"),
        ([3], "3 is no metric"),
        (["auroc", BinaryAUROC()], "two are called 'auroc'"),
        ({"x": largest_error}, "give \\(function, 'max' or 'min'\\)"),
        ({"x": (largest_error, "up")}, "direction of the metric x"),
        ({"loss": "accuracy"}, "'loss' cannot be the name"),
        ({"my metric": "accuracy"}, "'my metric' cannot be the name"),
        ([f"{__name__}:LARGESD"], "Did you mean 'LARGEST'"),
        ([f"{__name__}:largest_error"], "nothing says which way"),
    ],
)
def test_a_metric_that_says_too_little_is_refused(wanted: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        metrics_of(wanted)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x", "aurok", "max"), "metric x: unknown name 'aurok'. Did you mean 'auroc'"),
        (("x", largest_error, "max", "percent"), "unit of the metric x"),
        (("val", largest_error, "max"), "'val' cannot be the name"),
        (("2nd", largest_error, "max"), "'2nd' cannot be the name"),
    ],
)
def test_a_metric_that_makes_no_sense_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Metric(*arguments)


def test_a_function_sees_the_whole_split_at_once() -> None:
    outputs, targets = torch.randn(30, 1), torch.randn(30)
    wanted = float((outputs[:, 0] - targets).abs().max())
    for size in (1, 7, 30):
        assert figure(LARGEST, outputs, targets, size) == wanted


def test_a_function_is_given_logits_tuples_and_structures_joined() -> None:
    def counts(outputs: Any, targets: Any) -> int:
        first, second = outputs
        return len(first) + 100 * len(second["a"]) + 10_000 * len(targets["y"])

    accumulator = Metric("counts", counts, "max").start(Reading("other"))
    for n in (3, 4):
        x = torch.zeros(n, 2)
        accumulator.update((x, {"a": x, "none": None}), {"y": x}, n)
    assert accumulator.compute() == 70707

    accumulator = Metric("n", lambda o, t: o.shape[0], "max").start(Reading("other"))
    for n in (3, 4):
        accumulator.update(WithLogits(torch.zeros(n, 2)), torch.zeros(n), n)
    assert accumulator.compute() == 7


def test_names_in_the_targets_are_joined_as_tensors_are() -> None:
    def right(outputs: Any, targets: Any) -> float:
        return float(
            np.mean([str(int(o)) == t for o, t in zip(outputs, targets["text"], strict=True)])
        )

    accumulator = Metric("right", right, "max").start(Reading("other"))
    for begin, texts in ((0, ["0", "1"]), (2, ["2", "x"]), (4, ["4"])):
        outputs = torch.arange(begin, begin + len(texts))
        accumulator.update(outputs, {"text": texts, "y": outputs}, len(texts))
    assert accumulator.compute() == pytest.approx(0.8)


def test_the_boxes_of_an_image_stay_with_it() -> None:
    """Also where each has as many, so that those of two batches could be put together."""
    accumulator = Metric("images", lambda o, t: len(o) + 100 * len(t), "max").start(
        Reading("other")
    )
    for n in (3, 3, 2):
        found = [{"boxes": torch.zeros(5, 4)} for _ in range(n)]
        accumulator.update(found, tuple({"boxes": torch.zeros(5, 4)} for _ in range(n)), n)
    assert accumulator.compute() == 808


def test_batches_of_several_lengths_are_refused_in_words() -> None:
    accumulator = Metric("x", lambda o, t: 0.0, "max").start(Reading("other"))
    for steps in (4, 5):
        accumulator.update(torch.zeros(3, steps, 2), torch.zeros(3, steps), 3)
    with pytest.raises(UsageError, match=r"batches differ in shape: .*Pad all examples"):
        accumulator.compute()


@pytest.mark.parametrize(
    "value", [torch.tensor(2.0), torch.tensor([2.0]), np.float64(2.0), np.array([2.0]), 2, True + 1]
)
def test_any_one_number_is_a_figure(value: Any) -> None:
    metric = Metric("x", lambda o, t: value, "max")
    assert figure(metric, torch.zeros(3), torch.zeros(3)) == 2.0


@pytest.mark.parametrize("value", [torch.zeros(2), None, "much", {"x": 1.0}])
def test_what_is_not_one_number_is_refused(value: Any) -> None:
    metric = Metric("x", lambda o, t: value, "max")
    with pytest.raises(UsageError, match="metric x: must give one number for the whole split"):
        figure(metric, torch.zeros(3), torch.zeros(3))


def test_a_metric_of_torchmetrics_is_that_of_the_whole_split_each_time() -> None:
    own = BinaryAUROC()
    outputs, targets = torch.rand(40), torch.arange(40) % 2
    own.update(torch.rand(4), torch.tensor([0, 1, 0, 1]))  # what its owner did with it stays his
    (metric,) = metrics_of([own])
    wanted = BinaryAUROC()(outputs, targets)
    for size in (1, 7, 40):
        assert figure(metric, outputs, targets, size) == pytest.approx(float(wanted))
    assert len(own.preds) == 1


def test_a_metric_of_torchmetrics_with_several_numbers_is_refused() -> None:
    metric = Metric("x", MulticlassAccuracy(3, average=None), "max")
    with pytest.raises(UsageError, match="metric x: must give one number"):
        figure(metric, torch.randn(10, 3), torch.arange(10) % 3)


TAGS = torch.arange(24).reshape(6, 4) % 3


@pytest.mark.parametrize("size", [1, 4, 5, 6])
def test_accuracy_of_a_tagger_counts_every_element(size: int) -> None:
    outputs = torch.randn(6, 3, 4, generator=torch.Generator().manual_seed(0))
    metric = from_correct(lambda o, t: o.argmax(1) == t)
    wanted = sum(
        int(max(range(3), key=lambda c: outputs[i, c, j].item()) == TAGS[i, j])
        for i in range(6)
        for j in range(4)
    )
    assert 0 < wanted < 24
    assert figure(metric, outputs, TAGS, size) == pytest.approx(wanted / 24)


def test_a_long_sequence_counts_for_more_than_a_short_one() -> None:
    accumulator = from_correct(lambda o, t: o == t).start(Reading("other"))
    for steps, right in ((1, True), (9, False)):
        accumulator.update(torch.full((2, steps), right), torch.full((2, steps), True), 2)
    assert accumulator.compute() == pytest.approx(0.1)


def test_accuracy_of_images_counts_every_pixel() -> None:
    outputs, masks = torch.randn(5, 3, 8, 8), torch.randint(3, (5, 8, 8))
    metric = from_correct(lambda o, t: o.argmax(1) == t)
    wanted = np.mean(outputs.numpy().argmax(1) == masks.numpy())
    assert figure(metric, outputs, masks, 2) == pytest.approx(wanted)


def test_one_number_is_the_mean_of_its_batch() -> None:
    outputs, labels = torch.randn(10, 3), torch.arange(10) % 3
    by_element = from_correct(lambda o, t: o.argmax(1) == t)
    by_batch = from_correct(lambda o, t: (o.argmax(1) == t).float().mean())
    assert figure(by_batch, outputs, labels, 4) == pytest.approx(
        figure(by_element, outputs, labels)
    )


def test_one_number_weighs_its_examples_and_not_the_parts_of_its_targets() -> None:
    accumulator = from_correct(lambda o, t: o.mean()).start(Reading("other"))
    for n, right in ((9, 1.0), (1, 0.0)):
        targets = {"a": torch.zeros(n), "b": torch.zeros(n)}
        accumulator.update(torch.full((n,), right), targets, n)
    assert accumulator.compute() == pytest.approx(0.9)


@pytest.mark.parametrize("function", [lambda o, t: (o > 0).sum(), lambda o, t: o - 3])
def test_counts_and_other_numbers_are_no_share(function: Any) -> None:
    with pytest.raises(UsageError, match="correct: must give bool, or numbers from 0 to 1"):
        figure(from_correct(function), torch.ones(5), torch.ones(5))


def test_what_is_no_number_is_not_taken_for_right() -> None:
    metric = from_correct(lambda o, t: o)
    assert math.isnan(figure(metric, torch.tensor([1.0, math.nan]), torch.ones(2)))


def test_a_function_of_correct_can_be_called_on_a_whole_split() -> None:
    metric = from_correct(lambda o, t: o == t)
    assert callable(metric.function)
    assert metric.function(torch.arange(4), torch.tensor([0, 1, 0, 3])) == 0.75
