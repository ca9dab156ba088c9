"""Metrics: named figures of a whole split, each with a direction and a unit.

To add one of your own, write a function ``(outputs, targets) -> float`` and name it with
:class:`Metric`, or give any ``torchmetrics.Metric``.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import torch
from torch import Tensor

from study.errors import UsageError, unknown_name
from study.objectives import SIZES
from study.plugins import import_string
from study.records import LOSS, MetricRecord
from study.tasks.data.structures import joined, leaves, map_leaves
from study.tasks.judging.builtin_metrics import BUILT_IN, COUNTS, Accumulator, BuiltIn
from study.tasks.judging.outputs import Reading, chances, given, predictions

Direction = Literal["max", "min"]
Unit = Literal["share", "score", "amount"]


@dataclass(frozen=True, eq=False)
class Metric:
    """A figure by which networks are judged.

    Parameters
    ----------
    name
        A word: the columns of records are ``val_NAME`` and ``test_NAME``.
    function
        ``(outputs, targets) -> float`` of a whole split, on the CPU; outputs are the model's, or
        the logits of an object that has some. Or a ``torchmetrics.Metric``, or the name of a
        built-in metric.
    direction
        ``"max"`` or ``"min"``: which way is better. Known of what is built in, and of most of
        torchmetrics'.
    unit
        ``"share"``: a part of a whole, from 0 to 1, told in percent. ``"score"``: at most 1, told
        as it is. ``"amount"``: of any size, so differences are told relative to the dense network.

    Raises
    ------
    UsageError
        If the name is no word, or the direction is not known.
    """

    name: str
    function: Callable[[Any, Any], Any] | str
    direction: Direction
    unit: Unit = "amount"

    def __post_init__(self) -> None:
        taken = (LOSS.name, "test", "val", *SIZES, *SIZES.values())
        if not re.fullmatch(r"[A-Za-z]\w*", self.name) or self.name in taken:
            raise UsageError(
                f"metrics: {self.name!r} cannot be the name of a metric: letters, digits and _, "
                "beginning with a letter, and not loss, which every task has."
            )
        if isinstance(self.function, str) and self.function not in BUILT_IN:
            raise unknown_name(f"metric {self.name}", self.function, BUILT_IN)
        for field, allowed in (("direction", ("max", "min")), ("unit", _UNITS)):
            if getattr(self, field) not in allowed:
                given = str(getattr(self, field))
                raise unknown_name(f"{field} of the metric {self.name}", given, allowed)

    @property
    def record(self) -> MetricRecord:
        """How records describe it."""
        return MetricRecord(name=self.name, direction=self.direction, unit=self.unit)

    def start(self, reading: Reading) -> Accumulator:
        """Begin with a split of a task that is read so."""
        if isinstance(self.function, str):
            return BUILT_IN[self.function].start(reading)
        if isinstance(self.function, _ByCorrectOf):
            return _ByCorrect(self.function.correct)
        if _is_torchmetric(self.function):
            return _Torchmetric(self.name, self.function, reading)
        return _Whole(self.name, self.function)


_UNITS = ("share", "score", "amount")

MetricLike = Any
"""A name of a built-in metric, an import string, a :class:`Metric` or a ``torchmetrics.Metric``."""


def metrics_of(wanted: Iterable[MetricLike] | Mapping[str, Any]) -> tuple[Metric, ...]:
    """Read the metrics of a task.

    Parameters
    ----------
    wanted
        Names, import strings, :class:`Metric` or ``torchmetrics.Metric`` objects; or a mapping of
        a name to a ``torchmetrics.Metric`` or to ``(function, direction)``.

    Raises
    ------
    UsageError
        If one is unknown, has no direction, or two have the same name.
    """
    if isinstance(wanted, Mapping):
        found = [_named(name, value) for name, value in wanted.items()]
    else:
        is_one = isinstance(wanted, (str, Metric)) or _is_torchmetric(wanted)
        found = [_metric(value) for value in ([wanted] if is_one else wanted)]
    names = [metric.name for metric in found]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"metrics: two are called {name!r}; their columns would be one.")
    return tuple(found)


def _metric(value: MetricLike) -> Metric:
    if isinstance(value, Metric):
        return value
    if isinstance(value, str):
        if ":" in value:
            return _metric(import_string("metrics", value))
        if value not in BUILT_IN:
            raise unknown_name("metrics", value, BUILT_IN)
        known: BuiltIn = BUILT_IN[value]
        if value not in COUNTS:
            import_module("torchmetrics")  # here, not while a round is timed
        return Metric(value, value, known.direction, known.unit)
    if _is_torchmetric(value):
        words = re.sub(r"^(Binary|Multiclass|Multilabel)(?=.)", "", type(value).__name__)
        return _named(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", words).lower(), value)
    if callable(value):
        name = getattr(value, "__name__", type(value).__name__)
        raise UsageError(
            f"metrics: {name} is a function, and nothing says which way of it is better. Write "
            f'Metric("{name.strip("<>")}", {name.strip("<>")}, direction="max") or "min".'
        )
    raise UsageError(
        f"metrics: {value!r} is no metric; give names, Metric objects or torchmetrics'."
    )


def _named(name: str, value: Any) -> Metric:
    if isinstance(value, Metric):
        return Metric(name, value.function, value.direction, value.unit)
    if _is_torchmetric(value):
        better = value.higher_is_better
        if better is None:
            raise UsageError(
                f"metrics: {type(value).__name__} does not say which way is better. Write "
                f'Metric("{name}", ..., direction="max") or "min".'
            )
        is_score = value.plot_upper_bound == 1.0
        return Metric(name, value, "max" if better else "min", "score" if is_score else "amount")
    if isinstance(value, tuple) and len(value) == 2 and callable(value[0]):
        return Metric(name, value[0], value[1])
    if isinstance(value, str):
        known = _metric(value)
        return Metric(name, known.function, known.direction, known.unit)
    raise UsageError(
        f"metrics: {name!r} is {type(value).__name__}; give (function, 'max' or 'min'), or a "
        "metric of torchmetrics."
    )


def from_correct(correct: Callable[[Any, Any], Any]) -> Metric:
    """Accuracy by a function ``(outputs, targets) -> tensor`` of a batch that says what is right.

    The tensor is bool, or a number from 0 to 1, for each example or each element; one number is
    taken for the mean of its batch.
    """
    return Metric("accuracy", _ByCorrectOf(correct), "max", "share")


@dataclass(frozen=True)
class _ByCorrectOf:
    correct: Callable[[Any, Any], Any]

    def __call__(self, outputs: Any, targets: Any) -> float:
        judged = _ByCorrect(self.correct)
        judged.update(outputs, targets, len(leaves(targets)[0]))
        return judged.compute()


class _ByCorrect:
    def __init__(self, correct: Callable[[Any, Any], Any]) -> None:
        self._correct, self._right, self._elements = correct, 0.0, 0

    def update(self, outputs: Any, targets: Any, examples: int) -> None:
        right = torch.as_tensor(self._correct(given(outputs), targets)).double()
        if bool(((right < 0) | (right > 1)).any()):
            raise UsageError(
                "correct: must give bool, or numbers from 0 to 1; it gave "
                f"{float(right.min()):g} to {float(right.max()):g}."
            )
        elements = right.numel() if right.dim() else examples
        self._right += float(right.mean()) * elements if elements else 0.0
        self._elements += elements

    def compute(self) -> float:
        return self._right / self._elements if self._elements else float("nan")


class _Torchmetric:
    """A user's metric of torchmetrics, on a copy of its own.

    Those of classification are given probabilities: of logits that happen to lie between 0 and 1
    in one batch, they would take these for probabilities in that batch and squash all others.
    """

    def __init__(self, name: str, metric: Any, reading: Reading) -> None:
        self._name, self._metric, self._reading = name, copy.deepcopy(metric), reading
        self._metric.reset()
        of = "torchmetrics.classification."
        self._is_of_classes = any(cls.__module__.startswith(of) for cls in type(metric).__mro__)

    def update(self, outputs: Any, targets: Any, examples: int) -> None:
        found = predictions(outputs)
        if isinstance(found, Tensor):
            self._metric = self._metric.to(found.device)
            if self._is_of_classes and isinstance(targets, Tensor):
                found, targets = chances(found, targets, self._reading)
        self._metric.update(found, targets)

    def compute(self) -> float:
        return _one_number(self._name, self._metric.compute())


class _Whole:
    """A function of a user's, on the outputs and targets of the whole split."""

    def __init__(self, name: str, function: Callable[[Any, Any], Any]) -> None:
        self._name, self._function = name, function
        self._outputs: list[Any] = []
        self._targets: list[Any] = []
        self._examples: list[int] = []

    def update(self, outputs: Any, targets: Any, examples: int) -> None:
        self._outputs.append(map_leaves(_kept, given(outputs)))
        self._targets.append(map_leaves(_kept, targets))
        self._examples.append(examples)

    def compute(self) -> float:
        whole = (joined(batches, self._examples) for batches in (self._outputs, self._targets))
        return _one_number(self._name, self._function(*whole))


def _one_number(name: str, value: Any) -> float:
    try:
        return float(torch.as_tensor(value))
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"metric {name}: must give one number for the whole split; it gave {value!r:.200}."
        ) from error


def _kept(leaf: Any) -> Any:
    return torch.as_tensor(leaf).detach().cpu()


def _is_torchmetric(value: Any) -> bool:
    """Whether it is a metric of torchmetrics, without importing that where nobody uses it."""
    return any(cls.__module__.startswith("torchmetrics.") for cls in type(value).__mro__)
