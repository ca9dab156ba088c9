import functools
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from study.tuning.identity.sources import source_hash

FACTOR = 2.0


def by_global(x: Tensor) -> Tensor:
    return x * FACTOR


def closing_over(value: Any) -> Callable[[Tensor], Any]:
    return lambda x: x * value


def one(x: int) -> int:
    """Adds."""
    return x + 1


def same_as_one(x: int) -> int:
    """Adds one, and is documented otherwise."""
    # and commented
    return x + 1


@dataclass
class Scale:
    by: float

    def __call__(self, x: Tensor) -> Tensor:
        return x * self.by


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (closing_over(1), closing_over(2)),
        (closing_over(torch.zeros(3)), closing_over(torch.ones(3))),
        (closing_over(np.zeros(3)), closing_over(np.ones(3))),
        (closing_over(closing_over(1)), closing_over(closing_over(2))),
        (Scale(1.0), Scale(2.0)),
        (Scale(1.0).__call__, Scale(2.0).__call__),
        (functools.partial(by_global, 1), functools.partial(by_global, 2)),
        (nn.Linear(2, 2), nn.Linear(2, 2)),
        (lambda x: x + 1, lambda x: x + 2),
        ({"a": 1}, {"a": 2}),
    ],
)
def test_what_differs_anywhere_inside_is_told_apart(first: Any, second: Any) -> None:
    assert source_hash([first]) is not None
    assert source_hash([first]) == source_hash([first])
    assert source_hash([first]) != source_hash([second])


def test_a_global_that_a_function_names_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = source_hash([by_global])
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    assert source_hash([by_global]) != before


def test_words_about_a_function_do_not_count() -> None:
    assert source_hash([one]) == source_hash([same_as_one])


def test_what_cannot_be_looked_into_is_unknown() -> None:
    assert source_hash([closing_over(iter([1]))]) is None
    assert source_hash([closing_over(object())]) is None


def test_a_function_that_calls_itself_comes_to_an_end() -> None:
    def count(n: int) -> int:
        return 0 if n == 0 else count(n - 1)

    assert source_hash([count]) is not None


class Focal(nn.Module):
    def __init__(self, gamma: float) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return ((outputs - targets).abs() ** self.gamma).mean()


def test_what_a_module_keeps_as_attributes_counts() -> None:
    assert source_hash([Focal(1.0)]) == source_hash([Focal(1.0)])
    assert source_hash([Focal(1.0)]) != source_hash([Focal(2.0)])
    assert source_hash([nn.HuberLoss(delta=5.0)]) != source_hash([nn.HuberLoss(delta=20.0)])


def test_a_class_of_a_notebook_is_looked_into() -> None:
    def made(factor: float) -> type:
        module = types.ModuleType("of_a_notebook")
        sys.modules["of_a_notebook"] = module
        exec(
            f"class Loss:\n    def __call__(self, o, t):\n        return {factor} * o\n",
            vars(module),
        )
        return module.Loss  # type: ignore[no-any-return]

    first, again, other = (source_hash([made(factor)]) for factor in (1.0, 1.0, 2.0))
    assert first == again
    assert first != other
