"""The smaller network that is left when units are taken out of tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from study.pruning.structure.attention import NarrowAttention, narrow, say_heads
from study.pruning.structure.units import Alive, Structure, kept_along

Places = Mapping[str, Mapping[int, Tensor]]
"""Where the entries that are left were: int64 indices by tensor and dimension."""


def places_left(structures: Sequence[Structure], alive: Alive) -> dict[str, dict[int, Tensor]]:
    """Indices of what is left, by tensor and dimension; dimensions that stay whole are not named.

    Parameters
    ----------
    structures
        The units of a model.
    alive
        Which of them are left.
    """
    found = {
        tensor: {d: kept.nonzero().flatten() for d, kept in along.items() if not bool(kept.all())}
        for tensor, along in kept_along(structures, alive).items()
    }
    return {tensor: along for tensor, along in found.items() if along}


def take(whole: Tensor, along: Mapping[int, Tensor]) -> Tensor:
    """The entries of a tensor that are left, laid out as it is."""
    part = whole
    for dimension, places in along.items():
        part = part.index_select(dimension, places.to(whole.device))
    is_channels_last = whole.dim() == 4 and not whole.is_contiguous()
    return part.contiguous(
        memory_format=torch.channels_last if is_channels_last else torch.contiguous_format
    )


def put(whole: Tensor, along: Mapping[int, Tensor], part: Tensor) -> None:
    """Write entries that are left back into the whole tensor, in place."""
    if not along:
        whole.copy_(part)
        return
    index = [torch.arange(size, device=whole.device) for size in whole.shape]
    for dimension, places in along.items():
        index[dimension] = places.to(whole.device)
    whole[torch.meshgrid(*index, indexing="ij")] = part


@torch.no_grad()
def slice_model(model: nn.Module, places: Places) -> None:
    """Make a model's tensors smaller, in place, and what its modules say of their sizes.

    Parameters
    ----------
    model
        A model without masks.
    places
        What is left, from :func:`places_left`.
    """
    modules = dict(model.named_modules())
    made: dict[nn.Parameter, nn.Parameter] = {}
    touched: dict[str, None] = {}
    for tensor, along in places.items():
        prefix, _, name = tensor.rpartition(".")
        module = modules[prefix]
        touched[prefix] = None
        if name in module._buffers:
            module._buffers[name] = take(module.get_buffer(name), along)
            continue
        whole = module._parameters[name]
        assert whole is not None
        made[whole] = nn.Parameter(take(whole.detach(), along), whole.requires_grad)
    for module in modules.values():  # wherever a parameter is held: it may be shared
        for name, parameter in module._parameters.items():
            if parameter in made:
                module._parameters[name] = made[parameter]
    for prefix in touched:
        _say_sizes(modules[prefix])
        attention = modules[prefix]
        if isinstance(attention, nn.MultiheadAttention):
            first = "in_proj_weight" if attention.in_proj_weight is not None else "q_proj_weight"
            narrow(attention, places[f"{prefix}.{first}" if prefix else first][0].cpu())
    for module in modules.values():
        say_heads(module)
        inner = [each for each in module.modules() if isinstance(each, NarrowAttention)]
        if isinstance(module, nn.TransformerEncoder) and inner:
            module.use_nested_tensor = False  # which the narrow attention does not take


def _say_sizes(module: nn.Module) -> None:
    """Let a module's attributes agree with its tensors."""
    if isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, nn.modules.conv._ConvNd):
        first, second = module.weight.shape[:2]
        if module.groups > 1 and module.groups == module.out_channels == module.in_channels:
            module.groups = module.in_channels = module.out_channels = first
        elif module.transposed:
            module.in_channels, module.out_channels = first, second * module.groups
        else:
            module.out_channels, module.in_channels = first, second * module.groups
    elif isinstance(module, nn.modules.batchnorm._NormBase):
        sized = module.weight if module.weight is not None else module.running_mean
        if sized is not None:
            module.num_features = len(sized)
    elif isinstance(module, nn.Embedding):
        module.embedding_dim = int(module.weight.shape[1])
    elif isinstance(module, nn.PReLU):
        module.num_parameters = module.weight.numel()
    elif isinstance(module, nn.RNNBase):
        module.input_size = module.get_parameter("weight_ih_l0").shape[1]
