from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from study.errors import UsageError
from study.pruning.rehearsal.task import rehearse_task
from study.tasks import Metric, Split, Task, make_task

TOKENS, LENGTH = 20, 7


def pair(n: int = 96, seed: int = 0) -> tuple[Tensor, Tensor]:
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(seed))
    return x, (x[:, 0] > 0).long()


def net(outputs: int = 2) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, outputs))


def task(**changes: Any) -> Task:
    given: dict[str, Any] = {"train": pair(), "validation": pair(32, 1), "epochs": 1, **changes}
    return make_task(given.pop("model", net), given.pop("train"), given.pop("validation"), **given)


def test_a_task_that_is_right_is_left_as_it_is() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    rehearse_task(task(test=pair(32, 2), metrics=["auroc", "accuracy"]))
    assert torch.rand(1) == expected


@dataclass
class Output:
    logits: Tensor
    loss: Tensor | None = None


class LanguageModel(nn.Module):
    """Computes its own loss of the next tokens where it is given labels, as Hugging Face's do."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(TOKENS, 8), nn.Linear(8, TOKENS)

    def forward(self, input_ids: Tensor, labels: Tensor | None = None) -> Output:
        logits = self.head(self.embed(input_ids))
        if labels is None:
            return Output(logits)
        loss = functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        return Output(logits, loss)


def text(n: int = 64) -> Tensor:
    return torch.randint(TOKENS, (n, LENGTH), generator=torch.Generator().manual_seed(0))


def test_a_language_model_that_would_learn_to_copy_is_refused() -> None:
    data = ({"input_ids": text()}, text())
    with pytest.raises(UsageError, match="shift them by one"):
        rehearse_task(task(model=LanguageModel, train=data, validation=data))


def test_a_model_whose_own_loss_counts_other_targets_than_the_metrics_is_refused() -> None:
    ids = text()
    data = ({"input_ids": ids, "labels": ids}, ids)
    with pytest.raises(UsageError, match="it counts other targets than the metrics"):
        rehearse_task(task(model=LanguageModel, train=data, validation=data))


def test_next_tokens_are_what_a_language_model_learns() -> None:
    ids = text()
    data = ({"input_ids": ids[:, :-1]}, ids[:, 1:])
    rehearse_task(task(model=LanguageModel, train=data, validation=data, metrics=["perplexity"]))


def spread(outputs: Tensor, targets: Tensor) -> Tensor:
    return ((outputs - targets) ** 2).mean()


def squeezed(outputs: Tensor, targets: Tensor) -> Tensor:
    return spread(outputs.squeeze(1), targets)


def test_a_loss_over_all_pairs_is_refused_and_one_that_squeezes_is_not() -> None:
    x, _ = pair()
    data = (x, x[:, 0])
    with pytest.raises(UsageError, match="broadcast"):
        rehearse_task(task(model=lambda: net(1), train=data, validation=data, loss=spread))
    rehearse_task(task(model=lambda: net(1), train=data, validation=data, loss=squeezed))


SAME = net()


class OnMeta(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2, device="meta")

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x)
        return out


class Drawing(Dataset[tuple[Tensor, int]]):
    """Keeps a generator of its own, which nobody can seed again."""

    def __init__(self) -> None:
        self._generator = np.random.default_rng(0)

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.from_numpy(self._generator.normal(size=4)).float(), index % 2


def normed() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))


def with_nan(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    x[3, 1] = float("nan")
    return x, y


def three_columns(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return x[:, :3], y


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": lambda: SAME}, "the same network each time"),
        ({"model": OnMeta}, "meta|model()"),
        ({"model": lambda: "net"}, r"model\(\) gave str"),
        ({"model": nn.ReLU}, "no parameters"),
        ({"train": Drawing(), "validation": pair(32)}, "loaded again"),
        ({"validation": with_nan(*pair(32, 1))}, "validation examples hold NaN"),
        ({"test": three_columns(*pair(32, 1))}, "inputs of the test split"),
        ({"model": normed, "batch_size": 1}, "cannot train on a batch of 1"),
        ({"model": normed, "batch_size": 95}, "drop_last"),
        ({"loss": lambda o, t: functional.cross_entropy(o, t, reduction="none")}, "one number"),
        ({"metrics": [Metric("m", lambda o, t: o, "max")]}, "one number for the whole split"),
        ({"metrics": [Metric("m", lambda o, t: 7.0, "max", "share")]}, "a share is from 0 to 1"),
        ({"metrics": [Metric("m", lambda o, t: 7.0, "max", "score")]}, "a score is at most 1"),
        ({"metrics": ["auroc"], "validation": (pair(32)[0], torch.zeros(32).long())}, "finite"),
        ({"label_smoothing": 0.1, "loss": functional.cross_entropy}, "label_smoothing"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        rehearse_task(task(**changes))


def late(step: int, steps: int) -> float:
    return 1.0 if step < steps // 2 else float("nan")


def test_a_course_that_fails_late_is_found_before() -> None:
    with pytest.raises(UsageError, match="lr_schedule"):
        rehearse_task(task(lr_schedule=f"{__name__}:late", epochs=4))


@pytest.mark.parametrize("make", [lambda: normed, lambda: net])
def test_a_remainder_of_one_is_no_fault_of_a_model_that_bears_it(
    make: Callable[[], Callable[[], nn.Module]],
) -> None:
    changes = {"batch_size": 95, "drop_last": True} if make() is normed else {"batch_size": 95}
    rehearse_task(task(model=make(), **changes))


def test_a_metric_must_be_defined_on_what_is_held_back_too() -> None:
    own = task(metrics=["auroc"])
    kept = Split(pair(32)[0], torch.zeros(32).long())
    torn = replace(own, data=replace(own.data, confirmation=kept))
    with pytest.raises(UsageError, match=r"auroc .* held back from it to confirm"):
        rehearse_task(torn)
