"""The tasks on which this project and its rivals are compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from benchmarks.search import naive_models
from study.tasks import Task, load_task, make_task
from study.tasks.models.lenet import lenet300
from study.tasks.models.small_cnn import small_cnn

EPOCHS = 5
RECIPE = {"epochs": EPOCHS, "batch_size": 64, "optimizer": "adam", "lr": 1.2e-3,
          "lr_schedule": "constant", "eval_batch_size": 1000}  # fmt: skip
FASHION_EXAMPLES = 5_000
"""Of Fashion-MNIST's 54,000 training images: with all of them, five seeds would take days."""


@dataclass(frozen=True)
class Setting:
    """How a task is run when nothing else is asked for.

    Parameters
    ----------
    task
        As this project sees it; its data are everyone's.
    by_hand
        The same network, as the naive study builds it.
    title
        For the table and the picture.
    trials, seeds
        Fewer where a trial takes minutes.
    """

    task: Callable[[], Task]
    by_hand: Callable[[], nn.Module]
    title: str
    trials: int = 24
    seeds: int = 5


def mnist5k() -> Task:
    """LeNet-300-100 on 3,500 MNIST images; 750 validate, 750 test."""
    return _task("mnist5k", None, lambda: lenet300((784,), 10), flat=True)


def fashion() -> Task:
    """LeNet-300-100 on the first 5,000 Fashion-MNIST training images; 6,000 validate."""
    return _task("fashion_mnist", FASHION_EXAMPLES, lambda: lenet300((784,), 10), flat=True)


def cnn() -> Task:
    """The small CNN on the same 5,000 images."""
    return _task("fashion_mnist", FASHION_EXAMPLES, lambda: small_cnn((1, 28, 28), 10), flat=False)


SETTINGS = {
    "mnist5k": Setting(mnist5k, naive_models.lenet, "LeNet-300-100, MNIST, 3,500 images"),
    "fashion": Setting(fashion, naive_models.lenet, "LeNet-300-100, Fashion-MNIST, 5,000 images"),
    "cnn": Setting(
        cnn, naive_models.cnn, "small CNN, Fashion-MNIST, 5,000 images", trials=8, seeds=3
    ),
}


def _task(dataset: str, examples: int | None, model: Callable[[], nn.Module], flat: bool) -> Task:
    data = load_task(dataset=dataset, model="lenet300").data
    test = data.load_test()

    def shaped(images: Tensor) -> Tensor:
        return images.flatten(1) if flat else images

    return make_task(
        model,
        (shaped(data.train.inputs[:examples]), data.train.targets[:examples]),
        (shaped(data.validation.inputs), data.validation.targets),
        (shaped(test.inputs), test.targets),
        name=f"{dataset}-{len(data.train.inputs[:examples])}-{'lenet300' if flat else 'cnn'}",
        channels_last=not flat,
        **RECIPE,
    )
