"""The channels and heads of a model that may be taken out."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from torch import nn

from study.errors import UsageError
from study.pruning.masking.masks import MaskedLayers
from study.pruning.structure.attention import attention_heads
from study.pruning.structure.checking import separable
from study.pruning.structure.tracing import Run, coupled_channels
from study.pruning.structure.units import Structure
from study.pruning.training.model_state import copy_of

Kind = Literal["channels", "heads", "units"]
"""What may be taken out; units are channels and heads together."""


_UNKNOWN: dict[Kind, str] = {
    "channels": "It has none",
    "heads": "It has no attention of a known kind: nn.MultiheadAttention; a module that states "
    "head_dim, with dense layers q_proj, k_proj, v_proj and o_proj or out_proj; or one that states "
    "num_heads and head_dim, with qkv and proj",
    "units": "It has none",
}


def separable_channels(model: nn.Module, run: Run) -> tuple[list[Structure], dict[str, str]]:
    """Channels that can be taken out without changing what the others compute.

    Parameters
    ----------
    model
        Any model, with masks or without. It is not changed.
    run
        Runs a model on an example or two, and gives its outputs.

    Returns
    -------
    list of Structure
        In the order of the model.
    dict of str to str
        Why the channels of the other layers must stay, by layer, in the order of the model. Of
        layers that are coupled one is named.

    Raises
    ------
    UsageError
        If the model cannot be traced.
    """
    return separable_units(model, run, "channels")


def separable_units(
    model: nn.Module, run: Run, kind: Kind
) -> tuple[list[Structure], dict[str, str]]:
    """The same for channels, for heads, or for both ("units")."""
    plain = copy_of(model).eval()
    MaskedLayers(plain).remove()
    structures: list[Structure] = []
    reasons: dict[str, str] = {}
    if kind != "heads":
        structures, reasons = coupled_channels(copy_of(plain), run)
    if kind != "channels":
        heads, others = attention_heads(plain)
        structures, reasons = structures + heads, reasons | others
    found, others = separable(plain, structures, run)
    why = reasons | others
    return found, {name: why[name] for name, _ in model.named_modules() if name in why}


def prunable_units(
    masked: MaskedLayers, run: Run, kind: Kind, made_by: Collection[str] | None = None
) -> list[Structure]:
    """The first part of :func:`units_to_prune`."""
    return units_to_prune(masked, run, kind, made_by)[0]


def units_to_prune(
    masked: MaskedLayers, run: Run, kind: Kind, made_by: Collection[str] | None = None
) -> tuple[list[Structure], dict[str, str]]:
    """Those of a masked model's channels or heads that are made and read by layers to prune.

    Parameters
    ----------
    masked
        The model.
    run
        Runs a model on an example or two.
    kind
        What is looked for.
    made_by
        Layers to prune that may lose units; None is all of them. Any of the others may lose what
        reads these.

    Returns
    -------
    list of Structure
        In the order of the model; at least one.
    dict of str to str
        Why the units of other layers must stay, by layer.

    Raises
    ------
    UsageError
        If there are none; it says why, layer by layer.
    """
    structures, reasons = separable_units(masked.model, run, kind)
    own = masked.parameter_names
    layers = {name for name, parameter in masked.model.named_parameters() if parameter.dim() > 1}
    chosen = set(own) if made_by is None else set(made_by)
    stay = {parameter: layer for layer, parameter in own.items() if layer not in chosen}
    found = []
    for structure in structures:
        makers = {p.tensor for p in structure.of_role("writes") if p.tensor in layers}
        read_by = {part.tensor for part in structure.of_role("reads")}
        left_out = (makers | read_by) - set(own.values())
        others = sorted(stay[maker] for maker in makers & set(stay))
        if left_out:
            reasons[structure.name] = f"{', '.join(sorted(left_out))} is not to be pruned"
        elif others:
            reasons[structure.name] = f"{', '.join(others)} is to lose no {kind}"
        else:
            found.append(structure)
    if not found:
        why = "; ".join(f"{layer}: {reason}" for layer, reason in reasons.items())
        raise UsageError(
            f"structure: no {kind} of the model can be taken out. {why or _UNKNOWN[kind]}."
        )
    return found, reasons
