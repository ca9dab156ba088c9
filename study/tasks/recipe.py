"""How a model is trained: epochs, optimizer, learning-rate schedule, regularisation."""

from __future__ import annotations

import math
from typing import Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn


class Recipe(BaseModel):
    """The training recipe of a task. Weight decay applies to all parameters alike."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int = Field(default=20, ge=1, description="epochs of the dense run")
    batch_size: int = Field(default=128, ge=1, description="examples in a step")
    drop_last: bool = Field(default=False, description="leave out a last batch that is not full")
    optimizer: Literal["sgd", "adam", "adamw"] = Field(default="sgd", description="optimizer")
    lr: float = Field(default=0.1, gt=0, description="highest learning rate")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="momentum of sgd")
    nesterov: bool = Field(default=False, description="Nesterov momentum of sgd")
    weight_decay: float = Field(default=0.0, ge=0, description="weight decay of all parameters")
    lr_schedule: Literal["constant", "step", "cosine"] = Field(
        default="cosine", description="course of the learning rate over the dense run"
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
    augmentation: tuple[Literal["crop", "flip"], ...] = Field(
        default=(), description="random changes of training images"
    )
    crop_padding: int = Field(default=4, ge=1, description="pixels of zeros that crop moves over")
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
    amp: bool = Field(default=False, description="bfloat16 autocast; on a GPU only")
    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:N")

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        if not all(0 < share < 1 for share in self.milestones):
            raise ValueError(
                f"milestones are shares of the run, between 0 and 1: {self.milestones}"
            )
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


def lr_at(recipe: Recipe, step: int, per_epoch: int) -> float:
    """Learning rate of a step: a pure function of its position in the dense run.

    Parameters
    ----------
    recipe
        The training recipe.
    step
        Position, from 0. Past the last step the learning rate stays at the last one.
    per_epoch
        Steps in an epoch.

    References
    ----------
    cosine: Loshchilov & Hutter 2017, "SGDR", equation 5, without restarts.
    """
    last = recipe.epochs * per_epoch
    step = min(step, last - 1)
    lr = recipe.lr
    if recipe.lr_schedule == "step":
        lr *= recipe.gamma ** sum(step >= round(share * last) for share in recipe.milestones)
    elif recipe.lr_schedule == "cosine":
        least = recipe.min_lr_fraction
        lr *= least + (1 - least) * (1 + math.cos(math.pi * step / last)) / 2
    warmup_steps = round(recipe.warmup_epochs * per_epoch)
    return lr * min(1.0, (step + 1) / warmup_steps) if warmup_steps else lr


def build_optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """A fresh optimizer over all parameters of a model.

    Fused updates are used: one pass over all tensors, on CPU and GPU.
    """
    parameters = list(model.parameters())
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=recipe.lr,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)
