"""Masks that live beside the parameters they mask.

A mask is a bool buffer next to its parameter (``weight`` has ``weight_mask``), True = kept. The
weight is *exactly* zero where the mask is False, and its gradient is made zero there the moment
autograd delivers it: before clipping, before the optimizer. The ordinary forward pass of the
ordinary layer then computes ``act((W * M) x + b)``, and a training loop needs to call nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from study.errors import UsageError, unknown_name
from study.pruning.masking.gradient_masks import Places, attach, forget, guards_of

_NORMS = (
    nn.modules.batchnorm._NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.LocalResponseNorm,
    nn.RMSNorm,
)


class MaskedLayers:
    """The handle on a model's masks. It holds no state: all of it is in the model.

    Parameters
    ----------
    model
        A model on which :func:`mask_layers` has put masks.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._guards = {
            layer_name(_join(prefix, guard.name)): guard
            for prefix, module in model.named_modules()
            for guard in guards_of(module).values()
            if guard.module is module
        }

    @property
    def names(self) -> list[str]:
        """Layer names, in the order in which the model registers them."""
        return list(self._guards)

    @property
    def weights(self) -> dict[str, nn.Parameter]:
        """The masked parameters by layer name."""
        return {name: guard.parameter for name, guard in self._guards.items()}

    @property
    def masks(self) -> dict[str, Tensor]:
        """The bool masks by layer name, True = kept. To change them, :meth:`cut`."""
        return {name: guard.mask for name, guard in self._guards.items()}

    @property
    def kept(self) -> dict[str, int]:
        """Number of weights that each mask keeps."""
        return {name: int(mask.sum()) for name, mask in self.masks.items()}

    @property
    def total(self) -> dict[str, int]:
        """Number of weights in each masked parameter."""
        return {name: mask.numel() for name, mask in self.masks.items()}

    @property
    def density(self) -> float:
        """Share of all masked parameters' weights that is kept."""
        return sum(self.kept.values()) / sum(self.total.values())

    def cut(self, masks: Mapping[str, Tensor], *, optimizer: torch.optim.Optimizer | None) -> None:
        """Shrink masks: zero the weights they drop, and what an optimizer remembers of these.

        Parameters
        ----------
        masks
            New bool masks by layer name, shaped like their weights. Layers left out keep theirs.
        optimizer
            The optimizer that trains these weights: its state is cleared where a mask is False,
            or kept momentum would revive pruned weights. Pass None only where none exists yet.

        Raises
        ------
        UsageError
            If a name is unknown, a shape differs, or a mask would bring a pruned weight back.
        """
        for name, mask in masks.items():
            if name not in self._guards:
                raise unknown_name("layer", name, self._guards)
            old = self._guards[name].mask
            if mask.shape != old.shape or mask.dtype != torch.bool:
                raise UsageError(
                    f"mask of layer {name!r} is {mask.dtype} {tuple(mask.shape)}; "
                    f"it must be torch.bool {tuple(old.shape)}."
                )
            revived = int((mask & ~old).sum())
            if revived:
                raise UsageError(
                    f"mask of layer {name!r} would bring back {revived} pruned weights; "
                    "masks only shrink."
                )
        for name, mask in masks.items():
            self._guards[name].set_mask(mask)
        self.apply()
        if optimizer is not None:
            self.clear_optimizer_state(optimizer)

    @torch.no_grad()
    def apply(self) -> None:
        """Make weights exactly zero where their mask is False, after something wrote to them."""
        for guard in self._guards.values():
            guard.zero_weights()

    @torch.no_grad()
    def clear_optimizer_state(self, optimizer: torch.optim.Optimizer) -> None:
        """Zero what the optimizer remembers of pruned weights (momentum, both Adam moments)."""
        for guard in self._guards.values():
            for value in optimizer.state.get(guard.parameter, {}).values():
                if isinstance(value, Tensor) and value.shape == guard.parameter.shape:
                    value.masked_fill_(~guard.mask, 0)

    def mask_hash(self) -> str:
        """A name for this set of masks: equal masks have equal names on every machine."""
        digest = hashlib.sha256()
        for name, mask in self.masks.items():
            digest.update(f"{name}{tuple(mask.shape)}".encode())
            digest.update(mask.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def remove(self) -> None:
        """Take masks and hooks off the model; the weights keep their zeros."""
        self.apply()
        for guard in self._guards.values():
            guard.detach()
        for module in self.model.modules():
            forget(module)


def mask_layers(
    model: nn.Module,
    include: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
) -> MaskedLayers:
    """Put masks that keep everything on a model's prunable weights, in place.

    Prunable by default is every floating-point parameter with at least two dimensions whose name
    says that it is a weight and whose module is no normalisation: the weights of Linear, Conv,
    Embedding, MultiheadAttention, LSTM and of a user's own layers, but no bias, no batch norm and
    no positional table. A parameter that several modules share has one mask, under its first
    name. Weights that have a mask already keep it.

    Parameters
    ----------
    model
        Any module. It may be deep-copied, pickled, moved, compiled or loaded afterwards.
    include
        Patterns (``"conv*"``) of layer names to mask instead of the default; a parameter named in
        full here (``"pos_embed"``) is masked whatever it is called.
    exclude
        Patterns of layer names to leave alone.

    Returns
    -------
    MaskedLayers
        The handle. A layer is named like its module (``"fc1"``), or by the whole parameter name
        where a module has several (``"lstm.weight_hh_l0"``).

    Raises
    ------
    UsageError
        If a pattern matches no layer, or nothing is left to prune.
    """
    owners = _owners(model)
    candidates = {layer_name(name): owner for name, owner in owners.items()}
    by_default = [layer_name(name) for name, owner in owners.items() if _is_prunable(name, owner)]
    chosen = by_default if include is None else _match("include", include, candidates, by_default)
    left_out = set() if exclude is None else set(_match("exclude", exclude, candidates, chosen))
    chosen = [name for name in chosen if name not in left_out]
    if not chosen:
        raise UsageError(
            "The model has nothing to prune: no layer is left. Layers that could be: "
            f"{', '.join(by_default) or 'none'}."
        )
    for name in chosen:
        places = candidates[name]
        module, parameter_name = places[0]
        if getattr(module, "sparse", False):
            raise UsageError(
                f"layer {name!r} has sparse gradients, which cannot be masked; build it with "
                "sparse=False, or exclude it."
            )
        parameter = module._parameters[parameter_name]
        if parameter is not None and not parameter.requires_grad:
            raise UsageError(f"layer {name!r} is frozen (requires_grad is False); exclude it.")
        if parameter_name not in guards_of(module):
            attach(places)
    return MaskedLayers(model)


def layer_name(parameter_name: str) -> str:
    """Name of the layer to which a parameter belongs: ``"fc1.weight"`` is of layer ``"fc1"``."""
    return parameter_name.removesuffix(".weight")


def _owners(model: nn.Module) -> dict[str, Places]:
    """Every module that holds each parameter, by the parameter's first name."""
    first_names: dict[nn.Parameter, str] = {}
    owners: dict[str, Places] = {}
    for prefix, module in model.named_modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                first = first_names.setdefault(parameter, _join(prefix, name))
                owners.setdefault(first, []).append((module, name))
    return owners


def _is_prunable(name: str, owner: Places) -> bool:
    module, own_name = owner[0]
    parameter = module._parameters[own_name]
    return (
        parameter is not None
        and parameter.dim() >= 2
        and parameter.is_floating_point()
        and parameter.requires_grad
        and "weight" in own_name
        and not any(isinstance(module, _NORMS) for module, _ in owner)
    )


def _match(
    field: str,
    patterns: str | Iterable[str],
    candidates: Mapping[str, Places],
    preferred: list[str],
) -> list[str]:
    """Layers that any pattern matches; an exact name may reach beyond ``preferred``."""
    matched = set()
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        wanted = layer_name(pattern)
        hits = [name for name in preferred if fnmatchcase(name, wanted)]
        if not hits and wanted in candidates:
            hits = [wanted]
        if not hits:
            raise unknown_name(field, pattern, preferred)
        matched.update(hits)
    return [name for name in candidates if name in matched]


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name
