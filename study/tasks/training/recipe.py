"""How a model is trained: epochs, optimizer, learning-rate schedule, regularisation."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from search_spaces.strict import Strict
from search_spaces.table import MOST_EPOCHS
from study.errors import unknown_name

OPTIMIZERS = ("sgd", "adam", "adamw")
MOST_EXAMPLES = 2**31 - 1
"""Of a batch: more than any memory holds."""

COURSES = ("constant", "step", "cosine")
"""Courses of the learning rate by name."""


class Distill(Strict):
    """Retraining that also learns from the dense network's outputs."""

    weight: float = Field(
        default=0.5, ge=0, le=1, description="share of the loss that is the distance from dense"
    )
    temperature: float = Field(
        default=4.0, gt=0, description="by which the scores of classes are divided before"
    )


class Recipe(Strict):
    """The training recipe of a task."""

    weights: str | None = Field(
        default=None,
        description="file of weights that the dense run begins with (safetensors, or a state_dict "
        "of torch.save); with epochs = 0 pruning begins at that network",
    )
    epochs: int = Field(
        default=20,
        ge=0,
        le=MOST_EPOCHS,
        description="epochs of the dense run; 0 prunes what there is at its start",
    )
    batch_size: int = Field(default=128, ge=1, le=MOST_EXAMPLES, description="examples in a step")
    drop_last: bool = Field(default=False, description="leave out a last batch that is not full")
    eval_batch_size: int | None = Field(
        default=None,
        ge=1,
        le=MOST_EXAMPLES,
        description="examples at a time in evaluation; unset: batch_size",
    )
    optimizer: str = Field(
        default="sgd",
        description="sgd, adam, adamw, or an import string of a class, such as torch.optim:RMSprop",
    )
    optimizer_options: dict[str, Any] = Field(
        default_factory=dict, description="further arguments of the optimizer, such as betas"
    )
    lr: float = Field(default=0.1, gt=0, description="highest learning rate")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="momentum of sgd")
    nesterov: bool = Field(default=False, description="Nesterov momentum of sgd")
    weight_decay: float = Field(default=0.0, ge=0, description="weight decay")
    decay_norms_and_biases: bool = Field(
        default=True, description="whether weight decay applies to them, or to weights alone"
    )
    lr_schedule: str = Field(
        default="cosine",
        description="course of the learning rate over the dense run: constant, step, cosine, or an "
        "import string of a function (step, steps) -> factor of lr",
    )
    milestones: tuple[float, ...] = Field(
        default=(0.5, 0.75),
        description="with step: shares of the run at which lr is multiplied by gamma",
    )
    gamma: float = Field(default=0.1, gt=0, le=1, description="factor at each milestone")
    min_lr_fraction: float = Field(
        default=0.01, ge=0, le=1, description="share of lr at which cosine ends"
    )
    warmup_epochs: float = Field(
        default=0.0, ge=0, description="epochs over which the learning rate rises to its course"
    )
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=1, description="share of the target spread over all classes"
    )
    class_weights: Literal["balanced"] | tuple[float, ...] | None = Field(
        default=None,
        description="weights of the classes in cross entropy, or balanced: by how rare they are",
    )
    distill: Distill | None = Field(
        default=None,
        description="while retraining, learn from the dense network too: {weight, temperature}",
    )
    augmentation: tuple[Literal["crop", "flip"], ...] = Field(
        default=(), description="random changes of training images"
    )
    crop_padding: int = Field(
        default=4, ge=1, le=1000, description="pixels of zeros that crop moves over"
    )
    clip_norm: float | None = Field(
        default=None, gt=0, description="longest gradient; longer ones are scaled down"
    )
    channels_last: bool = Field(
        default=False,
        description="keep the channels of images together in memory: convolutions are about 1.5 "
        "times as fast on a CPU; a model of your own may then not use view() on images",
    )
    skip_pruned: bool = Field(
        default=False,
        description="leave pruned weights out of the arithmetic of training where that is faster; "
        "the results are the same up to rounding; a model of your own must then call its Linear "
        "and Conv2d layers, and not use their weights itself",
    )
    compile: bool = Field(
        default=False,
        description="train through torch.compile: pays for large models on a GPU, and takes a "
        "compiler and a minute of each worker; the results are the same up to rounding",
    )
    amp: bool = Field(default=False, description="bfloat16 autocast in training")
    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:N")

    @field_validator("weights")
    @classmethod
    def _found_from_anywhere(cls, weights: str | None) -> str | None:
        # Workers stand in folders of their own. Path's own expanduser raises where no such user is.
        return None if weights is None else str(Path(os.path.expanduser(weights)).absolute())  # noqa: PTH111

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        if not all(0 < share < 1 for share in self.milestones):
            raise ValueError(
                f"milestones are shares of the run, between 0 and 1: {self.milestones}"
            )
        if self.optimizer not in OPTIMIZERS and ":" not in self.optimizer:
            raise unknown_name("optimizer", self.optimizer, OPTIMIZERS)
        for name in ("lr", "weight_decay"):
            if name in self.optimizer_options:
                raise ValueError(f"optimizer_options: {name} is a field of its own, task.{name}")
        if self.lr_schedule not in COURSES and ":" not in self.lr_schedule:
            raise unknown_name("lr_schedule", self.lr_schedule, COURSES)
        if isinstance(self.class_weights, tuple) and not all(w > 0 for w in self.class_weights):
            raise ValueError(f"class_weights must be above 0: {list(self.class_weights)}")
        if self.nesterov and (self.optimizer != "sgd" or self.momentum == 0):
            raise ValueError("nesterov needs momentum above 0 and optimizer sgd")
        if self.warmup_epochs > self.epochs:
            raise ValueError(
                f"warmup_epochs is {self.warmup_epochs}, longer than the {self.epochs} epochs"
            )
        return self


def steps_per_epoch(recipe: Recipe, examples: int) -> int:
    """Optimizer steps in one pass over the training split; at least one."""
    whole, rest = divmod(examples, recipe.batch_size)
    return whole if whole and (recipe.drop_last or not rest) else whole + 1
