"""The weights and optimizer states of several networks of one kind, stacked along a new axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from study.errors import UsageError
from study.pruning.masking.masks import MaskedLayers
from study.pruning.training.model_state import copy_of
from study.tasks.task import Task
from study.tasks.training.recipe import Recipe

Lane = tuple[MaskedLayers, torch.optim.Optimizer]

_SLOTS = {"sgd": ("momentum_buffer",), "adam": ("exp_avg", "exp_avg_sq", "step")}
_SLOTS["adamw"] = _SLOTS["adam"]

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
"""Of Adam: torch's own, which the recipe leaves as they are."""


class Stack:
    """Takes a training step of several networks as one program.

    Parameters
    ----------
    lanes
        Masked networks of the same structure, each with its optimizer. :meth:`store` writes the
        result of the steps back into them.
    task
        Loss and recipe.
    """

    def __init__(self, lanes: Sequence[Lane], task: Task) -> None:
        self._lanes, self._task = lanes, task
        models = [masked.model for masked, _ in lanes]
        self._base = copy_of(models[0]).train()
        self._parameters = {
            name: torch.stack([dict(model.named_parameters())[name].detach() for model in models])
            for name, _ in models[0].named_parameters()
        }
        for parameter in self._parameters.values():
            parameter.requires_grad_()
        self._buffers = {
            name: torch.stack([dict(model.named_buffers())[name] for model in models])
            for name, _ in models[0].named_buffers()
        }
        names = {parameter: name for name, parameter in models[0].named_parameters()}
        self._pruned = {
            names[weight]: ~torch.stack([masked.masks[layer] for masked, _ in lanes])
            for layer, weight in lanes[0][0].weights.items()
        }
        self._slots = self._stack_slots()
        self._losses: Callable[..., Tensor] = vmap(self._loss, randomness="error")

    def step(self, inputs: Tensor, targets: Tensor, lr: Tensor) -> Tensor:
        """Take one step of every network.

        Parameters
        ----------
        inputs, targets
            Shape (networks, batch, ...): each network's own batch.
        lr
            Shape (networks,).

        Returns
        -------
        Tensor
            Shape (networks,): the losses before the step.

        Raises
        ------
        UsageError
            If the networks draw random numbers, which no stack gives as one network would.
        """
        parameters = list(self._parameters.values())
        try:
            losses = self._losses(self._parameters, self._buffers, inputs, targets)
        except RuntimeError as error:
            if "random operation" not in str(error):
                raise
            raise UsageError(
                "run_packed: the model draws random numbers in training, as dropout does; run "
                "its plans one by one with run_pipeline."
            ) from error
        gradients = torch.autograd.grad(losses.sum(), parameters, materialize_grads=True)
        with torch.no_grad():
            for name, gradient in zip(self._parameters, gradients, strict=True):
                if name in self._pruned:
                    gradient.masked_fill_(self._pruned[name], 0)
            if self._task.recipe.clip_norm is not None:
                _clip(gradients, self._task.recipe.clip_norm)
            self._update(gradients, lr)
        return losses.detach()

    @torch.no_grad()
    def store(self) -> None:
        """Write weights, statistics and optimizer states back into the networks."""
        for lane, (masked, optimizer) in enumerate(self._lanes):
            parameters = dict(masked.model.named_parameters())
            for name, parameter in parameters.items():
                parameter.copy_(self._parameters[name][lane])
                slots = {slot: values[name][lane] for slot, values in self._slots.items()}
                if slots:
                    optimizer.state[parameter] = {
                        slot: _laid_out_like(parameter, value) for slot, value in slots.items()
                    }
            for name, buffer in masked.model.named_buffers():
                buffer.copy_(self._buffers[name][lane])

    def _loss(
        self,
        parameters: dict[str, Tensor],
        buffers: dict[str, Tensor],
        inputs: Tensor,
        targets: Tensor,
    ) -> Tensor:
        outputs = functional_call(self._base, (parameters, buffers), (inputs,))
        return self._task.loss(outputs, targets)

    def _stack_slots(self) -> dict[str, dict[str, Tensor]]:
        recipe = self._task.recipe
        if recipe.optimizer == "sgd" and recipe.momentum == 0:
            return {}
        return {
            slot: {name: self._stack_slot(slot, name) for name in self._parameters}
            for slot in _SLOTS[recipe.optimizer]
        }

    def _stack_slot(self, slot: str, name: str) -> Tensor:
        found = []
        for masked, optimizer in self._lanes:
            parameter = dict(masked.model.named_parameters())[name]
            fresh = torch.zeros(()) if slot == "step" else torch.zeros_like(parameter)
            found.append(optimizer.state.get(parameter, {}).get(slot, fresh).to(parameter.device))
        return torch.stack(found).detach()

    def _update(self, gradients: Sequence[Tensor], lr: Tensor) -> None:
        recipe = self._task.recipe
        for (name, parameter), gradient in zip(self._parameters.items(), gradients, strict=True):
            own_lr = lr.reshape(-1, *[1] * (parameter.dim() - 1))
            if recipe.optimizer == "adamw":
                parameter.mul_(1 - own_lr * recipe.weight_decay)
            elif recipe.weight_decay:
                gradient = gradient.add(parameter, alpha=recipe.weight_decay)
            slots = {slot: values[name] for slot, values in self._slots.items()}
            change = gradient if not slots else _direction(recipe, gradient, slots)
            parameter.addcmul_(own_lr, change, value=-1)


def _direction(recipe: Recipe, gradient: Tensor, slots: dict[str, Tensor]) -> Tensor:
    """What a learning rate of one would take from the weights; the slots move on."""
    if recipe.optimizer == "sgd":
        momentum = slots["momentum_buffer"].mul_(recipe.momentum).add_(gradient)
        return gradient + recipe.momentum * momentum if recipe.nesterov else momentum
    step = slots["step"].add_(1).reshape(-1, *[1] * (gradient.dim() - 1))
    mean = slots["exp_avg"].lerp_(gradient, 1 - BETA1)
    square = slots["exp_avg_sq"].mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
    deviation = (square / (1 - BETA2**step)).sqrt_().add_(EPS)
    return mean / (1 - BETA1**step) / deviation


def _clip(gradients: Sequence[Tensor], longest: float) -> None:
    """Scale down the gradient of each network that is longer, as torch's clip_grad_norm_ does."""
    squares = [gradient.flatten(1).square().sum(1) for gradient in gradients]
    norm = torch.stack(squares).sum(0).sqrt()
    factor = (longest / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor.reshape(-1, *[1] * (gradient.dim() - 1)))


def _laid_out_like(parameter: Tensor, value: Tensor) -> Tensor:
    """A copy in the parameter's order of memory, which the optimizer's kernels go by."""
    return value.clone() if value.dim() == 0 else torch.empty_like(parameter).copy_(value)
