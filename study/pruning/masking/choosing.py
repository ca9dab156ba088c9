"""Which parameters of a model have masks, and putting them there."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from torch import nn

from study.errors import UsageError, unknown_name
from study.pruning.masking.candidates import candidates, layer_name
from study.pruning.masking.gradient_masks import Places, attach, guards_of
from study.pruning.masking.masks import MaskedLayers


def mask_layers(
    model: nn.Module,
    include: str | Iterable[str] | None = None,
    exclude: str | Iterable[str] | None = None,
) -> MaskedLayers:
    """Put masks that keep everything on a model's prunable weights, in place.

    Prunable by default is every floating-point or complex parameter with at least two dimensions
    whose name says that it is a weight and whose module is no normalisation: the weights of
    Linear, Conv, Embedding, MultiheadAttention, LSTM and of a user's own layers, but no bias, no
    batch norm, no gain (a vector, whatever its shape, in a layer that is none of torch's) and no
    positional table. A parameter that several modules share has one mask, under its first name.
    Under a weight or spectral norm it is the direction, or the unscaled weight, that is masked.
    Weights that have a mask already keep it.

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
        If a pattern matches no layer, nothing is left to prune, or a layer cannot be masked.
    """
    found = candidates(model)
    by_default = [name for name, candidate in found.items() if candidate.is_prunable]
    chosen = by_default if include is None else _match("include", include, found, by_default)
    left_out = set() if exclude is None else set(_match("exclude", exclude, found, chosen))
    chosen = [name for name in chosen if name not in left_out]
    if not chosen:
        raise UsageError(
            "The model has nothing to prune: include and exclude leave no layer. Layers that could "
            f"be: {', '.join(by_default) or 'none'}."
        )
    for name in chosen:
        if found[name].refusal is not None:
            raise UsageError(f"layer {name!r} {found[name].refusal}, or exclude it.")
    for name in chosen:
        if not _is_masked(found[name].places):
            attach(found[name].places)
    return MaskedLayers(model)


def mask_companions(masked: MaskedLayers, parameters: Iterable[str]) -> MaskedLayers:
    """Mask further parameters, everything kept: they go with the weights that they are beside.

    Parameters
    ----------
    masked
        A masked model.
    parameters
        Parameter names; what is masked already stays as it is.

    Returns
    -------
    MaskedLayers
        The handle that knows of them.
    """
    held: dict[nn.Parameter, Places] = {}
    for module in masked.model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                held.setdefault(parameter, []).append((module, name))
    names = dict(masked.model.named_parameters(remove_duplicate=False))
    for name in parameters:
        if not _is_masked(held[names[name]]):
            attach(held[names[name]], is_companion=True)
    return MaskedLayers(masked.model)


def _is_masked(places: Places) -> bool:
    module, name = places[0]
    guard = guards_of(module).get(name)
    return guard is not None and any(guard.module is holder for holder, _ in places)


def _match(
    field: str,
    patterns: str | Iterable[str],
    candidates: Iterable[str],
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
