"""The two tasks of the search benchmark, as this project and as the naive study see them."""

from __future__ import annotations

from study.tasks import Task, load_task, make_task
from study.tasks.models.lenet import lenet300

EPOCHS = 5
RECIPE = {"epochs": EPOCHS, "batch_size": 64, "optimizer": "sgd", "momentum": 0.9, "lr": 0.1,
          "lr_schedule": "cosine", "min_lr_fraction": 0.01}  # fmt: skip
FASHION_EXAMPLES = 5_000


def mnist5k() -> Task:
    """LeNet-300-100 on 3,500 MNIST images; 750 validate."""
    return _flat("mnist5k", None)


def fashion() -> Task:
    """LeNet-300-100 on the first 5,000 images of Fashion-MNIST's training split; 6,000 validate.

    Not on all 54,000: the naive study would take hours for each seed.
    """
    return _flat("fashion_mnist", FASHION_EXAMPLES)


TASKS = {"mnist5k": mnist5k, "fashion": fashion}


def _flat(dataset: str, examples: int | None) -> Task:
    data = load_task(dataset=dataset, model="lenet300").data
    return make_task(
        lambda: lenet300((784,), 10),
        (data.train.inputs[:examples].flatten(1), data.train.targets[:examples]),
        (data.validation.inputs.flatten(1), data.validation.targets),
        name=f"{dataset}-{len(data.train.inputs[:examples])}",
        **RECIPE,
    )
