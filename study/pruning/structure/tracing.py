"""Which channels of a model are coupled, as torch-pruning's dependency graph has it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn

from study.errors import UsageError
from study.pruning.masking.gradient_masks import NORMS_BY_CHANNEL
from study.pruning.structure.coupling import Member, NotSeparableError, members
from study.pruning.structure.recurrent import Recurrent, as_single_operations, hidden_units
from study.pruning.structure.units import Part, Role, Structure
from study.tasks.data.structures import leaves

Run = Callable[[nn.Module], Any]
"""Runs a model on an example or two and gives its outputs."""

_Conv = nn.modules.conv._ConvNd


def coupled_channels(model: nn.Module, run: Run) -> tuple[list[Structure], dict[str, str]]:
    """Channels that can be taken out together, and why others cannot.

    Parameters
    ----------
    model
        A copy, in plain form, without masks: it is of no use afterwards.
    run
        Runs it.

    Returns
    -------
    list of Structure
        In the order of the model.
    dict of str to str
        Reason by the first layer of those that cannot.

    Raises
    ------
    UsageError
        If the model cannot be traced.

    References
    ----------
    Fang et al. 2023, "DepGraph: Towards Any Structural Pruning".
    """
    for parameter in model.parameters():
        if parameter.is_floating_point() or parameter.is_complex():
            parameter.requires_grad_(True)  # what is frozen has no gradient to be traced by
    as_single_operations(model)
    _pad_with_zeros(model)
    names = {module: name for name, module in model.named_modules()}
    graph = _graph(model, run)
    order = {name: place for place, name in enumerate(names.values())}
    structures, reasons = [], {}
    made: set[Any] = set()
    for layer in _layers(graph):
        if layer in made:
            continue
        name = names[layer]
        try:
            group = members(graph, layer)
            made.update(each.module for each in group if each.handler == "prune_out_channels")
            structures.append(_structure(name, group, names, graph))
        except NotSeparableError as error:
            reasons[name] = str(error)
    structures.sort(key=lambda each: order[each.name])
    structures = [_by_first_names(each, model) for each in structures]
    shared = _shared(structures)
    fine = [each for each in structures if each.name not in shared]
    return fine, reasons | shared | hidden_units(model)


def _pad_with_zeros(model: nn.Module) -> None:
    """Let convolutions pad by themselves.

    What they do before it for another padding, circular above all, has torch-pruning see copies of
    copies that mix channels; no padding does.
    """
    for module in model.modules():
        if isinstance(module, _Conv):
            module.padding_mode = "zeros"


def _by_first_names(structure: Structure, model: nn.Module) -> Structure:
    """Each part once, under the first name of its tensor: tied weights have several."""
    first_names = {parameter: name for name, parameter in model.named_parameters()}
    names = {
        name: first_names[parameter]
        for name, parameter in model.named_parameters(remove_duplicate=False)
    }
    parts: dict[tuple[str, int, tuple[int, ...]], Part] = {}
    for part in sorted(structure.parts, key=lambda each: each.role == "reads"):
        tensor = names.get(part.tensor, part.tensor)
        place = (tensor, part.dimension, tuple(part.unit_of.tolist()))
        parts.setdefault(place, replace(part, tensor=tensor))
    return replace(structure, parts=tuple(parts.values()))


def _shared(structures: Sequence[Structure]) -> dict[str, str]:
    """Why structures must stay that need the same entries of a tensor for units of their own."""
    users: dict[tuple[str, int], list[tuple[str, Part]]] = {}
    for structure in structures:
        for part in structure.parts:
            users.setdefault((part.tensor, part.dimension), []).append((structure.name, part))
    reasons: dict[str, str] = {}
    for (tensor, _), claims in users.items():
        for (one, first), (other, second) in combinations(claims, 2):
            if bool(((first.unit_of >= 0) & (second.unit_of >= 0)).any()):
                both = f"{one!r} and {other!r}" if one != other else f"{one!r} in two ways"
                reasons |= dict.fromkeys((one, other), f"{tensor} is shared by {both}")
    return reasons


def _layers(graph: Any) -> Iterator[Any]:
    for module in graph.module2node:
        if isinstance(module, (_Conv, nn.Linear)):
            yield module


def _graph(model: nn.Module, run: Run) -> Any:
    graph = torch_pruning.DependencyGraph()
    try:
        with torch.enable_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of operations that it takes for elementwise ones
            graph.build_dependency(
                model,
                example_inputs=None,
                forward_fn=lambda model, _: run(model),
                output_transform=lambda outputs: [
                    leaf
                    for leaf in leaves(outputs)
                    if isinstance(leaf, Tensor) and leaf.grad_fn is not None
                ],
                customized_pruners={nn.GRU: Recurrent(), nn.RNN: Recurrent()},
                verbose=False,
            )
    except UsageError:
        raise
    except Exception as error:  # whatever a model, or the tracing of it, may run into
        raise UsageError(
            f"structure: the model {type(model).__name__} cannot be traced: {error}"
        ) from error
    return graph


def _structure(name: str, group: Sequence[Member], names: dict[Any, str], graph: Any) -> Structure:
    sides: list[tuple[str, Member, Role, str]] = []
    together = 1
    for member in group:
        module = member.module
        if type(module).__module__.startswith("torch_pruning."):
            continue  # an operation without parameters
        reads = member.handler == "prune_in_channels" and _has_two_sides(module)
        where = graph._param_to_name[module] if isinstance(module, nn.Parameter) else names[module]
        sides.append((where, member, "reads" if reads else "writes", _kind(module)))
        if isinstance(module, _Conv) and _has_two_sides(module):
            together = max(together, module.groups)
    units = max(max(member.roots) for _, member, _, _ in sides) + 1
    if units % together:
        raise NotSeparableError(f"{units} channels do not fall into {together} groups")
    parts = []
    for where, member, role, _ in sides:
        of_root = torch.tensor(member.roots) % (units // together)
        for tensor, dimension, size in _tensors(where, member.module, role, graph):
            unit_of = torch.full((size,), -1)
            is_grouped = isinstance(member.module, _Conv) and member.module.groups > 1
            if max(member.entries) >= size and not is_grouped:
                raise NotSeparableError(f"{where!r} takes fewer than there are")
            unit_of[torch.tensor(member.entries) % size] = of_root
            parts.append(Part(tensor, dimension, unit_of, role))
    if not any(part.role == "reads" for part in parts):
        raise NotSeparableError("nothing reads them: they are the network's outputs")
    alike = "; ".join(sorted(f"{role} {kind}" for _, _, role, kind in sides))
    return Structure(name, units // together, tuple(parts), alike)


def _has_two_sides(module: nn.Module) -> bool:
    """Whether what goes in and what comes out are different channels."""
    if isinstance(module, _Conv):
        return not _is_depthwise(module)
    return isinstance(module, (nn.Linear, nn.RNNBase))


def _is_depthwise(module: _Conv) -> bool:
    return module.groups > 1 and module.groups == module.out_channels == module.in_channels


def _kind(module: Any) -> str:
    if isinstance(module, _Conv):
        depth = " depthwise" if _is_depthwise(module) else ""
        return f"{type(module).__name__}{depth} {module.kernel_size} {module.stride}"
    return type(module).__name__


def _tensors(where: str, module: Any, role: Role, graph: Any) -> list[tuple[str, int, int]]:
    """Name, dimension and its size, of each tensor of a module that lies along the channels."""
    if isinstance(module, nn.Parameter):
        dimension = graph.module2node[module].pruning_dim
        return [(where, dimension, module.shape[dimension])]
    own = dict(module.named_parameters(recurse=False)) | dict(module.named_buffers(recurse=False))
    if hasattr(module, "weight") and module.weight is not None and "weight" not in own:
        raise NotSeparableError(
            f"the weight of {where!r} is computed from other parameters, as by a weight norm"
        )

    def along(**dimensions: int) -> list[tuple[str, int, int]]:
        return [
            (f"{where}.{name}" if where else name, dimension, own[name].shape[dimension])
            for name, dimension in dimensions.items()
            if own.get(name) is not None
        ]

    if isinstance(module, (_Conv, nn.Linear)):
        turned = int(getattr(module, "transposed", False))
        if role == "reads":
            return along(weight=1 - turned)
        return along(weight=0 if isinstance(module, _Conv) and _is_depthwise(module) else turned,
                     bias=0)  # fmt: skip
    if isinstance(module, NORMS_BY_CHANNEL):
        return along(weight=0, bias=0, running_mean=0, running_var=0)
    if isinstance(module, nn.PReLU):
        return along(weight=0) if module.num_parameters > 1 else []
    if isinstance(module, nn.Embedding):
        return along(weight=1)
    if isinstance(module, nn.RNNBase) and role == "reads":
        return along(weight_ih_l0=1, weight_ih_l0_reverse=1)
    raise NotSeparableError(
        f"{where!r} ({type(module).__name__}) computes with all of them together"
    )
