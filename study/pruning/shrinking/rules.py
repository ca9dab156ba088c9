"""What depends on the inputs after an operation, given what did before it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

SAME = 1e-6
"""Largest difference, relative to the largest value, of what counts as the same."""


@dataclass(frozen=True, eq=False)
class Operation:
    """An operation on tensors, before it is run.

    Parameters
    ----------
    func
        An ``OpOverload``.
    values
        Its arguments by name.
    of
        The mask of a tensor: True where an element depends on the inputs.
    """

    func: Any
    values: dict[str, Any]
    of: Callable[[Tensor], Tensor]

    @property
    def name(self) -> str:
        """Of the operation, in place or not."""
        return str(self.func._schema.name).removeprefix("aten::").removesuffix("_")

    def mask(self, argument: str) -> Tensor:
        """Of an argument; of a number, that it does not depend."""
        value = self.values.get(argument)
        return self.of(value) if isinstance(value, Tensor) else torch.tensor(False)

    def again(self, changed: dict[str, Any]) -> Any:
        """What the operation makes of other arguments."""
        return self.func(**{**self.values, **changed})

    def has_tag(self, name: str) -> bool:
        """Whether torch says so of the operation."""
        return getattr(torch.Tag, name) in self.func.tags


Rule = Callable[[Operation], Tensor]


def depends_after(operation: Operation) -> Tensor | None:
    """Where what an operation makes depends: a mask that can be broadcast to it.

    None where no rule is known: then all of it depends, if anything that goes in does.
    """
    name = operation.name
    if operation.has_tag("nondeterministic_seeded"):
        return torch.tensor(True)
    if name in _RULES:
        return _RULES[name](operation)
    if operation.has_tag("pointwise"):
        return _by_element(operation)
    return None


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors of an argument or result."""
    if isinstance(value, Tensor):
        return [value]
    return (
        [t for part in value for t in tensors_in(part)] if isinstance(value, (list, tuple)) else []
    )


def differs(values: Tensor, dimensions: Collection[int] | None = None) -> Tensor:
    """Bool: where values along some dimensions, or all, are not the same; these stay, with size 1.

    What was not followed is compared too: it depends anyway.
    """
    along = range(values.dim()) if dimensions is None else dimensions
    where = sorted({d % values.dim() for d in along}) if values.dim() else []
    if not where or not values.numel():
        return torch.zeros([1] * values.dim(), dtype=torch.bool, device=values.device)
    if values.is_complex():
        values = torch.view_as_real(values)
    values = values.double() if values.is_floating_point() else values.long()
    least, most = values.amin(where, keepdim=True), values.amax(where, keepdim=True)
    return ~(most - least <= SAME * torch.maximum(least.abs(), most.abs()))


def _by_element(op: Operation) -> Tensor:
    found = torch.tensor(False)
    for value in op.values.values():
        for tensor in tensors_in(value):
            found = found | op.of(tensor)
    return found


def _product(op: Operation) -> Tensor:
    """What is multiplied with a zero is zero."""
    one, other = op.values["self"], op.values["other"]
    first, second = op.mask("self"), op.mask("other")
    zero_first = ~first & torch.as_tensor(one == 0)
    zero_second = ~second & torch.as_tensor(other == 0) & (op.name == "mul")
    found: Tensor = (first & ~zero_second) | (second & ~zero_first)
    return found


def _chosen(op: Operation) -> Tensor:
    condition = op.values["condition"]
    one, other = op.values["self"], op.values["other"]
    first, second = op.mask("self"), op.mask("other")
    depends = first | second | torch.as_tensor(one != other)
    return torch.where(op.mask("condition"), depends, torch.where(condition, first, second))


def _filled(op: Operation) -> Tensor:
    values, where, value = op.values["self"], op.values["mask"], op.values["value"]
    before, filling = op.mask("self"), op.mask("value")
    depends = before | filling | torch.as_tensor(values != value)
    return torch.where(op.mask("mask"), depends, torch.where(where, filling, before))


def _uses(values: Tensor, mask: Tensor) -> Tensor:
    return ((values != 0) | mask).float()


def _matrices(left: str, right: str, added: str | None = None) -> Rule:
    def rule(op: Operation) -> Tensor:
        a, b = op.mask(left), op.mask(right)
        found = a.float() @ _uses(op.values[right], b)
        found = found + _uses(op.values[left], a) @ b.float()
        return (found > 0.5) if added is None else (found > 0.5) | op.mask(added)

    return rule


def _convolution(op: Operation) -> Tensor:
    inputs, weight = op.mask("input"), op.mask("weight")
    if bool(weight.any()):
        return torch.ones((), dtype=torch.bool, device=inputs.device)
    used = _uses(op.values["weight"], weight)
    found: Tensor = op.again({"input": inputs.float(), "weight": used, "bias": None})
    bias = op.mask("bias")
    return (found > 0.5) | (bias.any() if bias.numel() else bias)


def _moved(*arguments: str) -> Rule:
    """Of operations that only put elements elsewhere, and zeros beside them."""

    def rule(op: Operation) -> Tensor:
        changed: dict[str, Any] = {}
        for name in arguments or ("self",):
            value = op.values[name]
            if isinstance(value, Tensor):
                changed[name] = op.of(value).float()
            else:
                changed[name] = [op.of(each).float() for each in value]
        found: Tensor = op.again(changed)
        return found > 0.5

    return rule


def _copied(op: Operation) -> Tensor:
    return op.mask("src" if "src" in op.values else "self")


def _by_channel(op: Operation) -> Tensor:
    """Of pooling and resizing: a channel's values come from this channel alone."""
    mask = op.mask("self")
    places = next(number for number in (1, 2, 3) if f"{number}d" in op.name)
    return mask.flatten(mask.dim() - places).any(-1)[(..., *[None] * places)]


def _normalised(op: Operation) -> Tensor:
    """Of a norm by channel: its statistics are given, or are those of the channel."""
    mask = op.mask("input")
    by_channel = [-1] + [1] * (mask.dim() - 2)
    if op.values.get("training", False) or op.values.get("running_mean") is None:
        mask = mask.any(dim=[d for d in range(mask.dim()) if d != 1], keepdim=True)
    for name in ("weight", "bias", "running_mean", "running_var"):
        if isinstance(op.values.get(name), Tensor):
            mask = mask | op.mask(name).view(by_channel)
    return mask


def _reduced(op: Operation) -> Tensor:
    """Of means and extremes: what differs on the way may depend on how much of it there is."""
    return _over(op, differs(op.values["self"], _dimensions(op)))


def _summed(op: Operation) -> Tensor:
    """Of sums: what is not zero adds up to more, the more there is."""
    zero = op.values["self"] == 0
    return _over(op, ~zero)


def _over(op: Operation, more: Tensor) -> Tensor:
    mask, dimensions = op.mask("self"), _dimensions(op)
    found = (mask | more).any(dim=dimensions, keepdim=True) if mask.dim() else mask
    is_kept = bool(op.values.get("keepdim", False)) or not mask.dim()
    return found if is_kept else found.squeeze(tuple(dimensions))


def _dimensions(op: Operation) -> list[int]:
    whole, asked = op.values["self"].dim(), op.values.get("dim")
    if asked is None or (isinstance(asked, Sequence) and not asked):
        return list(range(whole))
    given = [asked] if isinstance(asked, int) else list(asked)
    return sorted({d % whole for d in given}) if whole else []


def _looked_up(argument: str, at: Callable[[Operation], tuple[list[int], list[Tensor]]]) -> Rule:
    """Of an index: where that depends, all that it may meet counts."""

    def rule(op: Operation) -> Tensor:
        source, mask = op.values[argument], op.mask(argument)
        dimensions, indices = at(op)
        if any(bool(op.of(index).any()) for index in indices):
            mask = mask.any(dim=dimensions, keepdim=True) | differs(source, dimensions)
        found = op.again({argument: mask.expand(source.shape).float()})
        first: Tensor = found[0] if isinstance(found, tuple) else found
        return first > 0.5

    return rule


def _of_index(op: Operation) -> tuple[list[int], list[Tensor]]:
    places: list[int] = []
    dimension = 0
    for index in op.values["indices"]:
        wide = index.dim() if index is not None and index.dtype in (torch.bool, torch.uint8) else 1
        places += range(dimension, dimension + wide) if index is not None else []
        dimension += wide
    return places, [index for index in op.values["indices"] if index is not None]


def _of_dimension(op: Operation) -> tuple[list[int], list[Tensor]]:
    return [op.values["dim"] % max(op.values["self"].dim(), 1)], [op.values["index"]]


_RULES: dict[str, Rule] = {
    "_prelu_kernel": _by_element,
    "mul": _product,
    "div": _product,
    "where": _chosen,
    "masked_fill": _filled,
    "mm": _matrices("self", "mat2"),
    "bmm": _matrices("self", "mat2"),
    "mv": _matrices("self", "vec"),
    "addmm": _matrices("mat1", "mat2", "self"),
    "baddbmm": _matrices("batch1", "batch2", "self"),
    "convolution": _convolution,
    "embedding": _looked_up("weight", lambda op: ([0], [op.values["indices"]])),
    "index": _looked_up("self", _of_index),
    "index_select": _looked_up("self", _of_dimension),
    "gather": _looked_up("self", _of_dimension),
    "_pack_padded_sequence": _looked_up("input", lambda op: ([0, 1], [op.values["lengths"]])),
    **dict.fromkeys(("native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm",
                     "_native_batch_norm_legit_no_training", "_native_batch_norm_legit",
                     "_batch_norm_no_update", "_batch_norm_with_update"), _normalised),
    **dict.fromkeys(("mean", "amax", "amin", "max", "min", "median"), _reduced),
    **dict.fromkeys(("sum", "linalg_vector_norm", "norm"), _summed),
    **dict.fromkeys(("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "avg_pool1d", "avg_pool2d",
                     "avg_pool3d", "adaptive_max_pool2d", "adaptive_max_pool3d",
                     "max_pool2d_with_indices", "max_pool3d_with_indices", "upsample_nearest1d",
                     "upsample_nearest2d", "upsample_nearest3d", "upsample_linear1d",
                     "upsample_bilinear2d", "upsample_bicubic2d", "upsample_trilinear3d",
                     "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa",
                     "_upsample_nearest_exact2d"), _by_channel),
    **dict.fromkeys(("_unsafe_view", "_reshape_copy", "repeat", "flip", "roll",
                     "constant_pad_nd", "reflection_pad1d", "reflection_pad2d",
                     "reflection_pad3d", "replication_pad1d", "replication_pad2d",
                     "replication_pad3d", "pixel_shuffle", "pixel_unshuffle", "tril", "triu",
                     "im2col", "glu"), _moved()),
    **dict.fromkeys(("cat", "stack"), _moved("tensors")),
    **dict.fromkeys(("copy", "_to_copy", "hardswish", "log_sigmoid_forward", "elu", "lift"),
                    _copied),
    **dict.fromkeys(("fill", "zero", "zeros_like", "ones_like", "full_like", "new_zeros",
                     "new_ones", "new_full"), lambda op: op.mask("value")),
}  # fmt: skip
