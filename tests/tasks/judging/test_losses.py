from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from study.errors import UsageError
from study.tasks.data.splits import Split
from study.tasks.data.streaming import DatasetSplit
from study.tasks.judging.losses import class_weights, counted, cross_entropy, distillation
from study.tasks.judging.outputs import Form, Reading
from tests.tasks.judging.forms import FORMS, ONE_LOGIT, WithLogits

CPU = torch.device("cpu")


def by_hand(scores: Tensor, labels: Tensor, weights: list[float] | None = None) -> float:
    x = scores.double().numpy()
    log_chances = x - np.log(np.exp(x).sum(1, keepdims=True))
    weight = np.asarray(weights or [1.0] * x.shape[1])[labels.numpy()]
    return float(-(weight * log_chances[np.arange(len(x)), labels]).sum() / weight.sum())


def examples(classes: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(classes)
    labels = torch.randint(classes, (24,), generator=generator)
    return torch.randn(24, classes, generator=generator), labels


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_cross_entropy_is_the_same_in_every_form(form: Any, classes: int) -> None:
    scores, labels = examples(classes)
    outputs, targets, _ = form(scores, labels)
    assert float(cross_entropy(outputs, targets)) == pytest.approx(by_hand(scores, labels))


@pytest.mark.parametrize("form", FORMS[:6], ids=lambda form: form.__name__)
def test_class_weights_weigh_the_mean_in_every_form(form: Any) -> None:
    scores, labels = examples()
    weights = [1.0, 5.0, 0.25]
    outputs, targets, _ = form(scores, labels)
    found = cross_entropy(outputs, targets, weights=torch.tensor(weights))
    assert float(found) == pytest.approx(by_hand(scores, labels, weights))


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_label_smoothing_spreads_its_share_over_all_classes(form: Any) -> None:
    scores, labels = examples()
    outputs, targets, _ = form(scores, labels)
    soft = 0.7 * torch.eye(3)[labels] + 0.1
    wanted = -(soft * scores.log_softmax(1)).sum(1).mean()
    found = cross_entropy(outputs, targets, label_smoothing=0.3)
    torch.testing.assert_close(found, wanted)


def test_cross_entropy_is_torchs_where_torch_takes_the_form() -> None:
    outputs, targets = torch.randn(4, 3, 2, 5), torch.randint(3, (4, 2, 5))
    targets[0, 0, :3] = -100
    assert torch.equal(cross_entropy(outputs, targets), functional.cross_entropy(outputs, targets))


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_sequences_of_any_length_are_classified_step_by_step(steps: int) -> None:
    outputs, targets = torch.randn(5, 4, steps), torch.randint(4, (5, steps))
    wanted = by_hand(outputs.transpose(1, 2).reshape(-1, 4), targets.flatten())
    assert float(cross_entropy(outputs, targets)) == pytest.approx(wanted)
    assert float(cross_entropy(outputs.transpose(1, 2), targets)) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("outputs", "targets", "message"),
    [
        (torch.randn(4), torch.zeros(4), "one number an example"),
        (torch.randn(4, 1), torch.zeros(4, dtype=torch.int64), "one number an example"),
        (torch.randn(4, 1), torch.zeros(4, 1), "one number an example"),
        (torch.randn(4, 1, 5, 6), torch.zeros(4, 5, 6, dtype=torch.int64), "one number an"),
        (torch.randn(4, 1, 5, 6), torch.zeros(4, 1, 5, 6), "one number an"),
        (torch.randn(4, 3), torch.zeros(4), "neither classes of it nor rows"),
        (torch.randn(4, 3), torch.zeros(4, 2), "neither classes of it nor rows"),
        (torch.randn(4, 3), torch.zeros(4, 3, dtype=torch.int64), "neither classes of it nor rows"),
        (torch.randn(4, 3), torch.zeros(5, dtype=torch.int64), "neither classes of it nor rows"),
        (torch.randn(2, 5, 5), torch.zeros(2, 5, dtype=torch.int64), "classes second or last"),
        ({"x": torch.randn(4, 3)}, torch.zeros(4, dtype=torch.int64), "the model gave dict"),
        (torch.randn(4, 3), np.zeros(4), "targets of ndarray"),
    ],
)
def test_what_has_no_cross_entropy_is_refused(outputs: Any, targets: Any, message: str) -> None:
    with pytest.raises(UsageError, match=f"loss: .*{message}"):
        cross_entropy(outputs, targets)


def test_weights_of_another_number_of_classes_are_refused() -> None:
    scores, labels = examples()
    with pytest.raises(UsageError, match=r"task\.class_weights: 2 weights for 3 classes"):
        cross_entropy(scores, labels, weights=torch.ones(2))


@pytest.mark.parametrize(
    ("targets", "elements"),
    [
        (torch.tensor([0, -100, 2]), 2),
        (torch.full((3, 4), -100), 0),
        (torch.tensor([156, 1], dtype=torch.uint8), 2),
        (torch.rand(5, 3), 5),
        (torch.rand(5, 3, 2, 2), 20),
    ],
)
def test_the_elements_of_the_mean_are_counted(targets: Tensor, elements: int) -> None:
    assert counted(targets) == elements


def distance_by_hand(ours: Any, theirs: Any, temperature: float) -> float:
    """Kullback-Leibler divergence from the teacher to us of each row, written out."""

    def softmax(row: Any) -> Any:
        e = np.exp(np.asarray(row, dtype=np.float64) / temperature)
        return e / e.sum()

    rows = [
        sum(q * np.log(q / p) for p, q in zip(softmax(a), softmax(b), strict=True))
        for a, b in zip(ours, theirs, strict=True)
    ]
    return float(np.mean(rows)) * temperature**2


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_distillation_is_its_formula_in_every_form(form: Any, temperature: float) -> None:
    (ours, labels), (theirs, _) = examples(), (examples(3)[0].flip(0) * 2, None)
    outputs, targets, meant = form(ours, labels)
    taught = form(theirs, labels).outputs
    found = distillation(outputs, taught, targets, temperature, Reading(meant))
    wanted = distance_by_hand(ours.numpy(), theirs.numpy(), temperature)
    assert float(found) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("form", ONE_LOGIT, ids=lambda form: form.__name__)
def test_distillation_of_one_logit_is_that_of_two_classes(form: Any) -> None:
    ours, labels = examples(2)
    theirs = ours.flip(0) * 2
    outputs, targets, meant = form(ours, labels)
    found = distillation(outputs, form(theirs, labels).outputs, targets, 3.0, Reading(meant))
    wanted = distance_by_hand(ours.numpy(), theirs.numpy(), 3.0)
    assert float(found) == pytest.approx(wanted, rel=1e-5)


def test_distillation_of_several_numbers_is_their_squared_distance() -> None:
    ours, theirs = torch.randn(6, 3), torch.randn(6, 3)
    found = distillation(ours, theirs, torch.randn(6, 3), 4.0, Reading("other"))
    assert float(found) == pytest.approx(((ours - theirs).numpy() ** 2).mean(), rel=1e-6)


@pytest.mark.parametrize("form", ["classes", "rows", "yes_no", "other"])
def test_a_network_is_at_no_distance_from_itself(form: Form) -> None:
    outputs = WithLogits(torch.randn(6, 3))
    targets = torch.arange(6) % 3 if form == "classes" else torch.eye(3).repeat(2, 1)
    assert float(distillation(outputs, outputs, targets, 4.0, Reading(form))) == pytest.approx(
        0, abs=1e-6
    )


def test_distillation_has_gradients_for_us_alone() -> None:
    ours = torch.randn(6, 3, requires_grad=True)
    distillation(ours, torch.randn(6, 3), torch.arange(6) % 3, 2.0, Reading("classes")).backward()
    assert ours.grad is not None
    # Rows of softmax differences add up to zero.
    torch.testing.assert_close(ours.grad.sum(1), torch.zeros(6), atol=1e-6, rtol=0)


def test_balanced_weights_give_every_class_the_same_say() -> None:
    labels = torch.tensor([0] * 6 + [1] * 3 + [2] * 1 + [-100] * 5)
    weights = class_weights("balanced", Split(torch.zeros(15, 1), labels), CPU)
    assert weights is not None
    assert weights.tolist() == pytest.approx([10 / 18, 10 / 9, 10 / 3])
    says = [float(weights[c]) * int((labels == c).sum()) for c in range(3)]
    assert says == pytest.approx([says[0]] * 3)


def test_balanced_weights_are_those_of_the_training_examples_chosen() -> None:
    split = Split(np.zeros((6, 1)), torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([0, 1, 2, 3]))
    weights = class_weights("balanced", split, CPU)
    assert weights is not None
    assert weights.tolist() == pytest.approx([4 / 6, 2.0])


@pytest.mark.parametrize("kind", [torch.uint8, torch.bool, torch.int64])
def test_weights_are_balanced_for_labels_of_any_whole_type(kind: torch.dtype) -> None:
    labels = torch.tensor([0, 0, 0, 1]).to(kind)
    weights = class_weights("balanced", Split(torch.zeros(4, 1), labels), CPU)
    assert weights is not None
    assert weights.tolist() == pytest.approx([4 / 6, 2.0])


def test_weights_are_taken_as_they_are_given() -> None:
    split = Split(torch.zeros(4, 1), torch.zeros(4))
    assert class_weights(None, split, CPU) is None
    weights = class_weights((1.0, 2.5), split, CPU)
    assert weights is not None
    assert weights.tolist() == [1.0, 2.5]


def test_what_has_no_classes_in_memory_cannot_be_balanced() -> None:
    streamed = DatasetSplit([(torch.zeros(1), 0)])  # type: ignore[arg-type]
    for split in (Split(torch.zeros(4, 1), torch.zeros(4)), streamed):
        with pytest.raises(UsageError, match="balanced needs integer classes in memory"):
            class_weights("balanced", split, CPU)
