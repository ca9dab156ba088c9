"""Which channels of a model are coupled, as torch-pruning's dependency graph has it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn

from study.errors import UsageError
from study.pruning.structure.units import Part, Role, Structure
from study.tasks.data.structures import leaves

Run = Callable[[nn.Module], Any]
"""Runs a model on an example or two and gives its outputs."""

_Conv = nn.modules.conv._ConvNd
_NORMS_BY_CHANNEL = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)


class NotSeparableError(Exception):
    """Units of which one cannot be taken out without changing what the others do."""


def coupled_channels(model: nn.Module, run: Run) -> tuple[list[Structure], dict[str, str]]:
    """Channels that can be taken out together, and why others cannot.

    Parameters
    ----------
    model
        In plain form, without masks; it is put into eval mode and its gradients are cleared.
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
    names = {module: name for name, module in model.named_modules()}
    for module, name in names.items():
        if getattr(module, "padding_mode", "") == "circular":  # torch-pruning never comes to an end
            raise UsageError(f"structure: {name!r} pads circularly, which cannot be traced.")
    graph = _graph(model, run)
    order = {name: place for place, name in enumerate(names.values())}
    structures, reasons = [], {}
    for group in graph.get_all_groups():
        name = names[group[0].dep.target.module]
        try:
            structures.append(_structure(name, group, names, graph))
        except NotSeparableError as error:
            reasons[name] = str(error)
    return sorted(structures, key=lambda each: order[each.name]), reasons


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
                verbose=False,
            )
    except UsageError:
        raise
    except Exception as error:  # whatever a model, or the tracing of it, may run into
        raise UsageError(
            f"structure: the model {type(model).__name__} cannot be traced: {error}"
        ) from error
    return graph


def _structure(name: str, group: Any, names: dict[Any, str], graph: Any) -> Structure:
    members: list[tuple[str, Any, Role, list[int], list[int], str]] = []
    together = 1
    for item in group:
        module = item.dep.target.module
        if type(module).__module__.startswith("torch_pruning."):
            continue  # an operation without parameters
        reads = item.dep.handler.__name__ == "prune_in_channels" and _has_two_sides(module)
        role: Role = "reads" if reads else "writes"
        where = graph._param_to_name[module] if isinstance(module, nn.Parameter) else names[module]
        members.append((where, module, role, item.idxs, item.root_idxs, _kind(module)))
        if isinstance(module, _Conv) and _has_two_sides(module):
            together = max(together, module.groups)
    units = max(max(roots) for *_, roots, _ in members) + 1
    if units % together:
        raise NotSeparableError(f"{units} channels do not fall into {together} groups")
    parts = []
    for where, module, role, entries, roots, _ in members:
        of_root = torch.tensor(roots) % (units // together)
        for tensor, dimension, size in _tensors(where, module, role, graph):
            unit_of = torch.full((size,), -1)
            unit_of[torch.tensor(entries) % size] = of_root
            parts.append(Part(tensor, dimension, unit_of, role))
    if not any(part.role == "reads" for part in parts):
        raise NotSeparableError("nothing reads them: they are the network's outputs")
    alike = "; ".join(sorted(f"{role} {kind}" for _, _, role, _, _, kind in members))
    return Structure(name, units // together, tuple(parts), alike)


def _has_two_sides(module: nn.Module) -> bool:
    """Whether what goes in and what comes out are different channels."""
    if isinstance(module, _Conv):
        return not _is_depthwise(module)
    return isinstance(module, (nn.Linear, nn.LSTM, nn.GRU, nn.RNN))


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
    if isinstance(module, _NORMS_BY_CHANNEL):
        return along(weight=0, bias=0, running_mean=0, running_var=0)
    if isinstance(module, nn.PReLU):
        return along(weight=0) if module.num_parameters > 1 else []
    if isinstance(module, nn.Embedding):
        return along(weight=1)
    if isinstance(module, nn.LSTM) and role == "reads":
        return along(weight_ih_l0=1, weight_ih_l0_reverse=1)
    raise NotSeparableError(
        f"{where!r} ({type(module).__name__}) computes with all of them together"
    )
