"""The channels of a model that may be taken out."""

from __future__ import annotations

from torch import nn

from study.errors import UsageError
from study.pruning.masking.masks import MaskedLayers
from study.pruning.structure.checking import separable
from study.pruning.structure.tracing import Run, coupled_channels
from study.pruning.structure.units import Structure
from study.pruning.training.model_state import copy_of


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
    plain = copy_of(model).eval()
    MaskedLayers(plain).remove()
    structures, reasons = coupled_channels(copy_of(plain), run)
    found, others = separable(plain, structures, run)
    why = reasons | others
    return found, {name: why[name] for name, _ in model.named_modules() if name in why}


def prunable_channels(masked: MaskedLayers, run: Run) -> list[Structure]:
    """Those of a masked model's channels that are made by layers to prune.

    Raises
    ------
    UsageError
        If there are none; it says why, layer by layer.
    """
    structures, reasons = separable_channels(masked.model, run)
    own = masked.parameter_names
    layers = {name for name, parameter in masked.model.named_parameters() if parameter.dim() > 1}
    found = []
    for structure in structures:
        made_by = {p.tensor for p in structure.of_role("writes") if p.tensor in layers}
        left_out = made_by - set(own.values())
        if left_out:
            reasons[structure.name] = f"{', '.join(sorted(left_out))} is not to be pruned"
        else:
            found.append(structure)
    if not found:
        why = "; ".join(f"{layer}: {reason}" for layer, reason in reasons.items())
        raise UsageError(f"structure: no channels of the model can be taken out. {why}.")
    return found
