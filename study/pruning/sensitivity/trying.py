"""How a network that was cut is tried: recovery, and evaluation of what comes after the cut."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import nn

from study.pruning.masking.masks import MaskedLayers
from study.pruning.seeds import Seeds
from study.pruning.training.steps import Segment, samples_in, train
from study.pruning.training.trajectory import dense_steps
from study.tasks.data.splits import Split
from study.tasks.data.structures import joined
from study.tasks.forward import working_dtype
from study.tasks.judging.evaluation import Evaluation, eval_size, evaluate, evaluating, in_order
from study.tasks.task import Task
from study.tasks.training.optimizers import build_optimizer
from study.tasks.training.recipe import steps_per_epoch


def recover(task: Task, masked: MaskedLayers, seeds: Seeds, epochs: float) -> int:
    """Fine-tune at the last learning rate; how many examples were seen."""
    last = dense_steps(task)
    steps = round(epochs * steps_per_epoch(task.recipe, len(task.data.train)))
    segment = Segment(steps, max(last - 1, 0), lr_moves=False, data_step=last)
    train(masked.model, build_optimizer(task.recipe, masked.model), task, segment, seeds.data)
    return samples_in(task, segment)


def evaluate_from(
    task: Task, model: nn.Module, tensors: Iterable[str], inputs: Split | None
) -> Evaluation:
    """Figures on the validation split.

    Parameters
    ----------
    task
        Its data and metrics.
    model
        The network.
    tensors
        What was cut in it.
    inputs
        What the first module that has any of these sees (:func:`inputs_of`); None: nothing is
        known, and the whole network runs.
    """
    if inputs is None:
        return evaluate(model, task.data.validation, task)
    tail = suffix(model, tensors)
    assert tail is not None
    return evaluate(tail[1], inputs, replace(task, transform=None))


def suffix(model: nn.Module, tensors: Iterable[str]) -> tuple[nn.Sequential, nn.Sequential] | None:
    """What comes before the first module that has any of the tensors, and what begins with it.

    None if the model is no such chain, or what comes before reads one of the tensors too.
    """
    children = [name.partition(".")[0] for name in tensors]
    if type(model) is not nn.Sequential or not set(children) <= set(model._modules):
        return None
    places = list(model._modules)
    place = min(places.index(child) for child in children)
    chain = list(model)
    head, tail = nn.Sequential(*chain[:place]), nn.Sequential(*chain[place:])
    named = dict(model.named_parameters(remove_duplicate=False))
    cut = {id(named[name]) for name in tensors if name in named}
    if any(id(parameter) in cut for parameter in head.parameters()):
        return None  # a tied weight is cut in the head too
    return head, tail


def inputs_of(head: nn.Module, task: Task) -> Split:
    """What comes out of it, batch by batch as an evaluation of the whole model would have it."""
    split, dtype = task.data.validation, working_dtype(task.build_model())
    inputs, targets = [], []
    with evaluating(head), torch.no_grad():
        for batch in split.batches(in_order(len(split), eval_size(task))):
            inputs.append(head(task.prepared(batch.inputs, dtype)))
            targets.append(batch.targets)
    return Split(torch.cat(inputs), joined(targets, [len(part) for part in inputs]))
