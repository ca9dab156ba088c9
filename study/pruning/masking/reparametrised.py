"""Weights that a module computes from others before each pass: weight and spectral norm.

What is masked is the tensor whose zeros are zeros of the weight: the direction of a weight norm,
the unscaled weight of a spectral norm. torch divides both by a norm, and a unit or layer of which
nothing is kept has none: 0 / 0 would make the network NaN, forwards or backwards. So these
divisions are put in brackets here; whatever is alive is computed by torch as before, bit for bit.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.nn.utils.parametrize import ParametrizationList
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm


def masked_parameter(made: ParametrizationList) -> str | None:
    """Name of the parameter in it to mask, or None where no zero of one is sure to stay one."""
    if len(made) != 1:
        return None
    if isinstance(made[0], parametrizations._WeightNorm):
        return "original1"
    return "original" if isinstance(made[0], parametrizations._SpectralNorm) else None


def computed_from(module: nn.Module, name: str) -> str:
    """Name of the tensor that a module computes with, where a parameter is made into one."""
    for hook in _hooks(module):
        if isinstance(hook, WeightNorm) and name == f"{hook.name}_v":
            return hook.name
        if isinstance(hook, SpectralNorm) and name == f"{hook.name}_orig":
            return hook.name
    return name


def is_gain(module: nn.Module, name: str) -> bool:
    """Whether a parameter is the length that a weight norm gives to a direction."""
    if isinstance(module, ParametrizationList):
        return name == "original0" and masked_parameter(module) == "original1"
    return name.endswith("_g") and any(
        isinstance(hook, WeightNorm) and name == f"{hook.name}_g" for hook in _hooks(module)
    )


def allow_dead_units(module: nn.Module) -> None:
    """Let a module that holds a masked parameter have units of which nothing is kept."""
    if isinstance(module, ParametrizationList):
        if type(module[0]) is parametrizations._WeightNorm:
            module[0].__class__ = _WeightNorm
        elif type(module[0]) is parametrizations._SpectralNorm:
            module[0].__class__ = _SpectralNorm
    for hook in _hooks(module):
        if type(hook) is WeightNorm:
            hook.__class__ = _OldWeightNorm
        elif type(hook) is SpectralNorm:
            hook.__class__ = _OldSpectralNorm


class _WeightNorm(parametrizations._WeightNorm):
    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        direction, dead = _with_length(weight_v, self.dim)
        return torch._weight_norm(direction, weight_g, self.dim).masked_fill(dead, 0)


class _SpectralNorm(parametrizations._SpectralNorm):
    def forward(self, weight: Tensor) -> Tensor:
        scaled: Tensor = super().forward(weight)
        return scaled.masked_fill(weight == 0, 0)


class _OldWeightNorm(WeightNorm):
    def compute_weight(self, module: nn.Module) -> Any:
        direction, dead = _with_length(getattr(module, f"{self.name}_v"), self.dim)
        gain = getattr(module, f"{self.name}_g")
        return torch._weight_norm(direction, gain, self.dim).masked_fill(dead, 0)


class _OldSpectralNorm(SpectralNorm):
    def compute_weight(self, module: nn.Module, do_power_iteration: bool) -> Tensor:
        weight = super().compute_weight(module, do_power_iteration)
        return weight.masked_fill(getattr(module, f"{self.name}_orig") == 0, 0)


def _with_length(direction: Tensor, dim: int | None) -> tuple[Tensor, Tensor]:
    """The direction with ones where a unit has none, and where that is: bool, one a unit."""
    if dim is None or dim == -1:
        dead = ~direction.any()
    else:
        others = [each for each in range(direction.dim()) if each != dim % direction.dim()]
        dead = ~direction.any(dim=others, keepdim=True) if others else direction == 0
    return direction.masked_fill(dead, 1), dead


def _hooks(module: nn.Module) -> list[Any]:
    is_scripted = isinstance(module, torch.jit.ScriptModule)
    return [] if is_scripted else list(module._forward_pre_hooks.values())
