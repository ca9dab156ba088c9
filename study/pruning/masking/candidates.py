"""Which parameters of a model can be masked, which are by default, and what they are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import ParametrizationList

from study.errors import UsageError
from study.pruning.masking.gradient_masks import Places
from study.pruning.masking.reparametrised import computed_from, is_gain, masked_parameter

_NORMS = (
    nn.modules.batchnorm._NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.LocalResponseNorm,
    nn.RMSNorm,
)
_MULTIPLY = (
    nn.Linear,
    nn.Bilinear,
    nn.modules.conv._ConvNd,
    nn.Embedding,
    nn.EmbeddingBag,
    nn.MultiheadAttention,
    nn.RNNBase,
    nn.RNNCellBase,
)
"""Modules whose weights are matrices, however narrow: of others a vector is taken for a gain."""


@dataclass
class Candidate:
    """A parameter that might be masked.

    Parameters
    ----------
    tensor
        Name of the tensor that the module computes with: ``"weight"``, also where the parameter
        is called otherwise because the module is parametrised.
    owners
        The modules that compute with it.
    places
        Where the parameter itself is held.
    refusal
        Why it cannot be masked; None if it can.
    """

    tensor: str
    owners: list[nn.Module] = field(default_factory=list)
    places: Places = field(default_factory=list)
    refusal: str | None = None

    @property
    def parameter(self) -> nn.Parameter:
        """The parameter."""
        module, name = self.places[0]
        parameter = module._parameters[name]
        assert parameter is not None
        return parameter

    @property
    def is_prunable(self) -> bool:
        """Whether it is masked unless somebody says otherwise."""
        parameter = self.parameter
        is_matrix = sum(size > 1 for size in parameter.shape) > 1 or any(
            isinstance(owner, _MULTIPLY) for owner in self.owners
        )
        return (
            parameter.dim() >= 2
            and is_matrix
            and (parameter.is_floating_point() or parameter.is_complex())
            and parameter.requires_grad
            and "weight" in self.tensor
            and not any(isinstance(owner, _NORMS) for owner in self.owners)
        )


def candidates(model: nn.Module) -> dict[str, Candidate]:
    """Every parameter that might be masked, by the layer name of its first place.

    Raises
    ------
    UsageError
        If a tensor of the model has no values yet.
    """
    modules = dict(model.named_modules())
    first_names: dict[nn.Parameter, str] = {}
    found: dict[str, Candidate] = {}
    for prefix, module in modules.items():
        _refuse_without_values(prefix, module)
        for name, parameter in module._parameters.items():
            if parameter is None or is_gain(module, name):
                continue
            owner_prefix, tensor = owner_of(prefix, module, name)
            layer = first_names.setdefault(parameter, layer_name(join(owner_prefix, tensor)))
            candidate = found.setdefault(layer, Candidate(tensor))
            candidate.owners.append(modules[owner_prefix])
            candidate.places.append((module, name))
            candidate.refusal = candidate.refusal or _refusal(module, name, parameter)
    return found


def owner_of(prefix: str, module: nn.Module, name: str) -> tuple[str, str]:
    """Name of the module that computes with a parameter, and of the tensor that it makes of it."""
    if isinstance(module, ParametrizationList):
        first = "original" if module.is_tensor else "original0"
        if name == (masked_parameter(module) or first):
            owner, _, tensor = prefix.rpartition(".")
            return owner.removesuffix("parametrizations").removesuffix("."), tensor
    return prefix, computed_from(module, name)


def layer_name(parameter_name: str) -> str:
    """Name of the layer to which a parameter belongs: ``"fc1.weight"`` is of layer ``"fc1"``."""
    return parameter_name.removesuffix(".weight")


def join(prefix: str, name: str) -> str:
    """A name within a module of that name; the model itself has none."""
    return f"{prefix}.{name}" if prefix else name


def _refusal(module: nn.Module, name: str, parameter: nn.Parameter) -> str | None:
    if isinstance(module, torch.jit.ScriptModule):
        return "is scripted (TorchScript), which takes no masks; mask the module it was made of"
    if isinstance(module, ParametrizationList) and masked_parameter(module) is None:
        kinds = ", ".join(type(each).__name__.lstrip("_") for each in module)
        return (
            f"is parametrised ({kinds}): zeros of what is trained are none of the weight; take it "
            "off with torch.nn.utils.parametrize.remove_parametrizations"
        )
    if getattr(module, "sparse", False):
        return "has sparse gradients, which cannot be masked; build it with sparse=False"
    if not parameter.requires_grad:
        return "is frozen (requires_grad is False)"
    return None


def _refuse_without_values(prefix: str, module: nn.Module) -> None:
    tensors: Mapping[str, Tensor | None] = {**module._parameters, **module._buffers}
    for name, tensor in tensors.items():
        where = f"{join(prefix, name)!r} of {type(module).__name__}"
        if tensor is None:
            continue
        if is_lazy(tensor):
            raise UsageError(
                f"model: {where} has no shape yet; run one batch of inputs through the model "
                "where it is built, in model()."
            )
        if tensor.is_meta:
            raise UsageError(
                f"model: {where} is on the meta device and has no values; build it on a real one."
            )
