from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from study.errors import UsageError
from study.tasks.judging.outputs import (
    Form,
    Reading,
    class_dimension,
    form_of,
    labelled,
    own_loss_of,
    predictions,
)
from study.tasks.judging.outputs import given as given_to_users
from tests.tasks.judging.forms import FORMS, ONE_LOGIT, WithLogits

X = torch.randn(4, 3)


@pytest.mark.parametrize(
    "outputs",
    [X, (X, X * 0), [X], WithLogits(X), {"logits": X, "loss": X.sum()}, (WithLogits(X), 3)],
)
def test_what_is_judged_are_the_logits_or_the_first_part(outputs: Any) -> None:
    assert predictions(outputs) is X


def test_a_users_function_sees_all_of_a_tuple_and_the_logits_of_an_object() -> None:
    pair = (X, X * 0)
    assert given_to_users(pair) is pair
    assert given_to_users(WithLogits(X)) is X
    assert given_to_users({"logits": X}) is X
    boxes = {"boxes": X}
    assert given_to_users(boxes) is boxes


def test_a_loss_that_the_model_computed_is_found() -> None:
    loss = torch.tensor(2.0)
    assert own_loss_of({"loss": loss, "logits": X}) is loss
    assert own_loss_of(WithLogits(X)) is None
    assert own_loss_of({"logits": X}) is None
    assert own_loss_of(X) is None


@given(st.integers(2, 4), st.integers(2, 4), st.integers(2, 4), st.integers(2, 4))
def test_classes_are_found_where_they_fit_and_nowhere_else(n: int, c: int, h: int, w: int) -> None:
    masks = torch.zeros(n, h, w, dtype=torch.int64)
    if c == h == w:
        with pytest.raises(UsageError, match="classes second or last"):
            class_dimension(torch.zeros(n, c, h, w), masks)
    else:
        assert class_dimension(torch.zeros(n, c, h, w), masks) == 1
        assert class_dimension(torch.zeros(n, h, w, c), masks) == -1
    assert class_dimension(torch.zeros(n, c), torch.zeros(n, dtype=torch.int64)) == 1
    assert class_dimension(torch.zeros(n, c), torch.zeros(n)) is None
    assert class_dimension(torch.zeros(n + 1, c, h, w), masks) is None


def test_as_many_classes_as_positions_are_refused_rather_than_guessed() -> None:
    outputs, targets = torch.zeros(2, 5, 5), torch.zeros(2, 5, dtype=torch.int64)
    with pytest.raises(UsageError, match=r"move them with forward="):
        labelled(outputs, targets, Reading())


def test_elements_come_in_one_order_whatever_the_form() -> None:
    scores, labels = torch.randn(24, 5), torch.arange(24) % 5
    for form in FORMS:
        outputs, targets, meant = form(scores, labels)
        found = labelled(outputs, targets, Reading(meant))
        assert torch.equal(found.scores, scores), form.__name__
        assert torch.equal(found.labels, labels), form.__name__
        assert found.labels.dtype == torch.int64


def test_one_logit_an_element_comes_in_one_order_too() -> None:
    scores, labels = torch.randn(24, 2), torch.arange(24) % 2
    for form in ONE_LOGIT:
        outputs, targets, meant = form(scores, labels)
        found = labelled(outputs, targets, Reading(meant))
        assert torch.equal(found.scores, scores[:, 1] - scores[:, 0]), form.__name__
        assert torch.equal(found.labels, labels), form.__name__


def test_soft_rows_are_labelled_by_their_largest_share() -> None:
    rows = torch.tensor([[0.2, 0.5, 0.3], [0.9, 0.1, 0.0]])
    assert labelled(torch.zeros(2, 3), rows, Reading("rows")).labels.tolist() == [1, 0]


EYE = torch.eye(3)
MANY = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


@pytest.mark.parametrize(
    ("outputs", "targets", "form"),
    [
        (torch.randn(3, 3), torch.tensor([0, 2, 1]), "classes"),
        (torch.randn(3, 3), torch.tensor([[0], [2], [1]]), "classes"),
        (torch.randn(3, 3), torch.tensor([0, 2, 1], dtype=torch.uint8), "classes"),
        (torch.randn(3, 4, 5), torch.zeros(3, 5, dtype=torch.int64), "classes"),
        (torch.randn(3, 5, 5), torch.zeros(3, 5, dtype=torch.int64), "classes"),
        (torch.randn(3, 4, 5, 6), torch.zeros(3, 1, 5, 6, dtype=torch.int64), "classes"),
        (torch.randn(3, 3), EYE, "rows"),
        (torch.randn(3, 3), torch.full((3, 3), 1 / 3), "rows"),
        (torch.randn(3, 3), MANY, "yes_no"),
        (torch.randn(3, 3), MANY.long(), "yes_no"),
        (torch.randn(3, 3), EYE.long(), "yes_no"),
        (torch.randn(3, 1), torch.tensor([1.0, 0.0, 1.0]), "yes_no"),
        (torch.randn(3, 1), torch.tensor([1, 0, 1]), "yes_no"),
        (torch.randn(3), torch.tensor([True, False, True]), "yes_no"),
        (torch.randn(3, 2), torch.tensor([[1, -100], [0, 1], [1, 0]]), "yes_no"),
        (torch.randn(3, 1), torch.randn(3, 1), "other"),
        (torch.randn(3, 2), torch.randn(3, 2), "other"),
        (torch.randn(3, 1), torch.tensor([0, 1, 2]), "other"),
        (torch.randn(3, 3), torch.randn(3), "other"),
        ({"boxes": X}, torch.zeros(4), "other"),
        (torch.randn(3, 3), {"y": torch.zeros(3)}, "other"),
    ],
)
def test_targets_are_taken_for_what_they_are(outputs: Any, targets: Any, form: Form) -> None:
    assert form_of(outputs, targets, None) == form


def test_few_examples_of_one_label_each_are_no_rows_where_others_have_several() -> None:
    few, labels = EYE, torch.cat([EYE, MANY])
    assert form_of(torch.randn(3, 3), few, None) == "rows"
    assert form_of(torch.randn(3, 3), few, labels) == "yes_no"


@pytest.mark.parametrize(
    ("outputs", "targets"),
    [
        (torch.randn(3, 4), torch.randn(3, 4)),
        (torch.randn(3, 4), torch.zeros(4, dtype=torch.int64)),
        (torch.randn(3), torch.tensor([0, 1, 2])),
        (torch.randn(3, 1), torch.tensor([0.0, 1.0, 0.5])),
    ],
)
def test_what_is_no_classification_is_refused(outputs: Tensor, targets: Tensor) -> None:
    with pytest.raises(UsageError, match="are no classification"):
        labelled(outputs, targets, Reading())
