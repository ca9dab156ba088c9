"""One classification in every form that a model may give it in, and metrics of whole splits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from study.tasks.data.structures import map_leaves
from study.tasks.judging.builtin_metrics import BUILT_IN
from study.tasks.judging.outputs import Form, Reading


@dataclass
class WithLogits:
    """What Hugging Face's models give."""

    logits: Any
    hidden: Any = None


class Given(NamedTuple):
    """Outputs and targets, and their examples at some places."""

    outputs: Any
    targets: Any
    form: Form = "classes"

    def take(self, rows: slice) -> tuple[Any, Any]:
        return map_leaves(lambda x: x[rows], self.outputs), self.targets[rows]


def columns(scores: Tensor, labels: Tensor) -> Given:
    """(n, C)."""
    return Given(scores, labels)


def classes_second(scores: Tensor, labels: Tensor) -> Given:
    """(n, C, T)."""
    return Given(scores.reshape(-1, 4, scores.shape[1]).transpose(1, 2), labels.reshape(-1, 4))


def classes_last(scores: Tensor, labels: Tensor) -> Given:
    """(n, T, C)."""
    return Given(scores.reshape(-1, 4, scores.shape[1]), labels.reshape(-1, 4))


def images(scores: Tensor, labels: Tensor) -> Given:
    """(n, C, H, W) with a dimension of one for the channel of the masks, in bytes."""
    found = scores.reshape(-1, 3, 2, scores.shape[1]).permute(0, 3, 1, 2)
    return Given(found, labels.reshape(-1, 1, 3, 2).byte())


def padded(scores: Tensor, labels: Tensor) -> Given:
    """(n, T, C), with two positions of padding that score absurdly."""
    outputs, targets, _ = classes_last(scores, labels)
    absurd = torch.full((len(outputs), 2, scores.shape[1]), 99.0)
    absurd[:, :, 0] = -99.0
    ignored = torch.full((len(targets), 2), -100)
    return Given(torch.cat([outputs, absurd], 1), torch.cat([targets, ignored], 1))


def column_of_classes(scores: Tensor, labels: Tensor) -> Given:
    """(n, C) and (n, 1)."""
    return Given(scores, labels[:, None])


def one_hot(scores: Tensor, labels: Tensor) -> Given:
    """(n, C) twice."""
    return Given(scores, torch.eye(scores.shape[1])[labels], "rows")


def one_hot_images(scores: Tensor, labels: Tensor) -> Given:
    """(n, C, T) twice."""
    outputs, targets, _ = classes_second(scores, labels)
    return Given(outputs, torch.eye(scores.shape[1])[targets].transpose(1, 2), "rows")


def with_logits(scores: Tensor, labels: Tensor) -> Given:
    return Given(WithLogits(scores), labels)


def named(scores: Tensor, labels: Tensor) -> Given:
    return Given({"hidden": scores * 0, "logits": scores}, labels)


def with_others(scores: Tensor, labels: Tensor) -> Given:
    return Given((scores, scores * 0), labels)


FORMS: tuple[Callable[[Tensor, Tensor], Given], ...] = (
    columns, classes_second, classes_last, images, padded, column_of_classes, one_hot,
    one_hot_images, with_logits, named, with_others,
)  # fmt: skip


def logits(scores: Tensor, labels: Tensor) -> Given:
    """(n,), floats."""
    return Given(scores[:, 1] - scores[:, 0], labels.float(), "yes_no")


def column_of_logits(scores: Tensor, labels: Tensor) -> Given:
    """(n, 1) twice."""
    return Given((scores[:, 1] - scores[:, 0])[:, None], labels[:, None].float(), "yes_no")


def logits_of_integers(scores: Tensor, labels: Tensor) -> Given:
    """(n, 1) and (n,)."""
    return Given((scores[:, 1] - scores[:, 0])[:, None], labels, "yes_no")


def logits_of_pixels(scores: Tensor, labels: Tensor) -> Given:
    """(n, 1, H, W) and (n, H, W) in bool."""
    found = (scores[:, 1] - scores[:, 0]).reshape(-1, 1, 2, 2)
    return Given(found, labels.reshape(-1, 2, 2).bool(), "yes_no")


def padded_logits(scores: Tensor, labels: Tensor) -> Given:
    """(n, T), the last of padding."""
    found = torch.cat(
        [(scores[:, 1] - scores[:, 0])[:, None], torch.full((len(labels), 1), 9.0)], 1
    )
    return Given(found, torch.stack([labels, torch.full_like(labels, -100)], 1), "yes_no")


ONE_LOGIT: tuple[Callable[[Tensor, Tensor], Given], ...] = (
    logits, column_of_logits, logits_of_integers, logits_of_pixels, padded_logits,
)  # fmt: skip


def figure(name: str, given: Given, size: int = 7, threshold: float = 0.0) -> float:
    """A built-in metric of a split that comes in batches."""
    accumulator = BUILT_IN[name].start(Reading(given.form, threshold))
    for begin in range(0, len(given.targets), size):
        part = given.take(slice(begin, begin + size))
        accumulator.update(*part, len(part[1]))
    return accumulator.compute()
