"""An optimizer's step without what ``torch.optim`` does around its kernel in every call."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

SLOTS = {
    torch.optim.SGD: ("momentum_buffer",),
    torch.optim.Adam: ("exp_avg", "exp_avg_sq", "step"),
    torch.optim.AdamW: ("exp_avg", "exp_avg_sq", "step"),
}


def make_update(optimizer: torch.optim.Optimizer) -> Update | PlainUpdate:
    """The quickest way to take an optimizer's steps."""
    groups = optimizer.param_groups
    plain = type(optimizer) in SLOTS and len(groups) == 1 and bool(groups[0].get("fused"))
    same_kernel = plain and not any(groups[0].get(option) for option in _OTHER_KERNELS)
    if type(optimizer) is torch.optim.Adam and groups[0].get("decoupled_weight_decay"):
        same_kernel = False
    return Update(optimizer) if same_kernel else PlainUpdate(optimizer)


_OTHER_KERNELS = ("amsgrad", "maximize", "differentiable", "capturable")


class PlainUpdate:
    """An optimizer's own steps, with the learning rate of all its groups set.

    Parameters
    ----------
    optimizer
        Any whose step needs no closure.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer

    def zero_grad(self) -> None:
        """Forget all gradients."""
        self._optimizer.zero_grad(set_to_none=True)

    def step(self, lr: float) -> None:
        """Change the parameters by their gradients."""
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self._optimizer.step()


class Update:
    """Steps as an optimizer does, bit for bit, and in the same state.

    Hooks, profiling marks and the collection of parameters and state take ``step()`` 20 to 40
    microseconds, a tenth of a small network's training step. Here parameters and state are
    collected once, and the same kernel is called.

    Parameters
    ----------
    optimizer
        With one group of parameters and fused kernels, and without hooks.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        (self._group,) = optimizer.param_groups
        self._parameters: list[Tensor] = self._group["params"]
        self._state: list[list[Tensor]] | None = None

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    def step(self, lr: float) -> None:
        """Change the parameters by their gradients."""
        group = self._group
        group["lr"] = lr
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        state = self._state
        if state is None or len(gradients) < len(self._parameters):
            # The first time, there may be no state; of unused parameters there is never one.
            self._optimizer.step()
            self._state = self._collect()
            return
        with torch.no_grad():
            if type(self._optimizer) is torch.optim.SGD:
                sgd(
                    self._parameters,
                    gradients,
                    state[0],  # type: ignore[arg-type]  # a list of tensors or None
                    fused=True,
                    lr=lr,
                    momentum=group["momentum"],
                    weight_decay=group["weight_decay"],
                    dampening=group["dampening"],
                    nesterov=group["nesterov"],
                    maximize=group["maximize"],
                )
                return
            beta1, beta2 = group["betas"]
            step = adam if type(self._optimizer) is torch.optim.Adam else adamw
            step(
                self._parameters,
                gradients,
                state[0],
                state[1],
                [],
                state[2],
                fused=True,
                lr=lr,
                beta1=beta1,
                beta2=beta2,
                eps=group["eps"],
                weight_decay=group["weight_decay"],
                amsgrad=group["amsgrad"],
                maximize=group["maximize"],
            )

    def _collect(self) -> list[list[Tensor]] | None:
        slots, of = SLOTS[type(self._optimizer)], self._optimizer.state
        lists = [[of.get(p, {}).get(slot) for p in self._parameters] for slot in slots]
        complete = all(isinstance(value, Tensor) for values in lists for value in values)
        return lists if complete else None
