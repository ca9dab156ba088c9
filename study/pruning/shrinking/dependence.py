"""Which values in a network depend on what it is given, followed from operation to operation.

Looking at one example, or at many, never shows that a value is the same for all inputs. So every
tensor of a forward pass has a mask beside it: True where an element may be another one for another
input. Weights are given; inputs, and whatever is not known, depend. A row of zeros depends on
nothing that comes in, nor does anything that is multiplied with a zero.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils.rnn import PackedSequence
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils.weak import WeakTensorKeyDictionary

from study.pruning.shrinking.rules import Operation, depends_after, differs, tensors_in
from study.pruning.structure.tracing import Run

_LOOKS = ("_local_scalar_dense", "equal", "is_nonzero")
_HARMLESS = ("masking_utils.py", "modeling_attn_mask_utils.py")
"""Of transformers: these ask whether a mask is needed, and compute the same with it and without."""


@dataclass(frozen=True, eq=False)
class Dependence:
    """What is known of all inputs, from one forward pass.

    Parameters
    ----------
    arriving
        Bool, (inputs,), by module: of which inputs the values may be others for other inputs.
    unclear
        Why the model may compute something else for other inputs, as where its own code looks at
        values; None where it does not.
    """

    arriving: Mapping[str, Tensor]
    unclear: str | None


def dependence(model: nn.Module, readers: Iterable[str], run: Run) -> Dependence:
    """Follow what depends on the inputs, to the modules that read it.

    Parameters
    ----------
    model
        In eval mode.
    readers
        Names of modules.
    run
        Runs it.
    """
    following = _Following(model)
    found: dict[str, Tensor] = {}
    handles = []
    for name in dict.fromkeys(readers):

        def look(module: nn.Module, args: Any, kwargs: Any, name: str = name) -> None:
            inputs = args[0] if args else kwargs["input"]
            values = inputs.data if isinstance(inputs, PackedSequence) else inputs
            with _disable_current_modes():  # this is no part of the model
                here = following.of(values).movedim(input_dimension(module, values), -1)
                here = (here.flatten(0, -2).any(dim=0) if here.dim() > 1 else here).cpu()
                found[name] = (found[name] | here) if name in found else here.clone()

        module = model.get_submodule(name)
        handles.append(module.register_forward_pre_hook(look, with_kwargs=True))
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one operation of which nothing is known
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), following, _Reading(following):
            run(model)
    except Exception as error:  # of a model whose operations are not torch's alone
        return Dependence({}, f"its operations cannot be followed ({error})")
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for handle in handles:
            handle.remove()
    if following.is_lost:
        found = {name: torch.ones_like(depends) for name, depends in found.items()}
    place = following.looks_at
    return Dependence(found, place and f"its code looks at values ({place}) and may go another way")


def input_dimension(module: Any, inputs: Tensor) -> int:
    """Along which a module's inputs have their features or channels, counted from the end."""
    is_conv = isinstance(module, nn.modules.conv._ConvNd) and inputs.dim() > 1
    return -1 - len(module.kernel_size) if is_conv else -1


class _Following(TorchDispatchMode):
    """Keeps a mask beside each tensor; that of a view is a view of the other's."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.looks_at: str | None = None
        self.is_lost = False
        self._masks = WeakTensorKeyDictionary()
        self._given: set[int] = set()
        of_modules = [value for m in model.modules() for value in vars(m).values()]
        for tensor in (*model.parameters(), *model.buffers(), *of_modules):
            if isinstance(tensor, Tensor):
                self._masks[tensor] = _like(tensor, False)
                self._given.add(tensor.untyped_storage().data_ptr())

    def of(self, tensor: Tensor) -> Tensor:
        """The mask of a tensor; one that was never seen depends."""
        mask = self._masks.get(tensor)
        if self.is_lost or mask is None or mask.shape != tensor.shape:
            mask = self._masks[tensor] = _like(tensor, True)
        return mask  # type: ignore[no-any-return]

    def note_look(self) -> None:
        """That code which is running now looks at values which depend."""
        self.looks_at = self.looks_at or _place_of_code()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = _by_name(func, args, kwargs or {})
        operation = Operation(func, named, self.of)
        given = [tensor for value in named.values() for tensor in tensors_in(value)]
        depends = any(bool(self.of(tensor).any()) for tensor in given)
        if depends and _is_look(operation, self.of):
            self.note_look()
        if _is_view(func) and operation.name != "lift_fresh":
            return self._view(operation, func(*args, **(kwargs or {})), depends)
        after: Tensor | None = None
        try:
            after = depends_after(operation)
        except Exception:  # a form of the operation that its rule does not know
            after = None
        out = func(*args, **(kwargs or {}))
        for tensor in tensors_in(out):
            if after is not None:
                mask = after
            elif given and operation.name != "lift_fresh":
                mask = torch.tensor(depends)
            else:  # such as positions, which depend on a length
                mask = differs(tensor)
            self._put(tensor, mask)
        for tensor in _written(func, named):
            if after is None:
                self._put(tensor, torch.tensor(depends))
            if tensor.untyped_storage().data_ptr() in self._given and self.of(tensor).any():
                self.is_lost = True  # what was given is no longer
        return out

    def _put(self, tensor: Tensor, after: Tensor) -> None:
        mask = self._masks.get(tensor)
        if mask is None or mask.shape != tensor.shape:
            mask = self._masks[tensor] = _like(tensor, True)
        try:
            mask.copy_(after)
        except RuntimeError:  # of another shape: a second result
            mask.fill_(True)

    def _view(self, operation: Operation, out: Any, depends: bool) -> Any:
        whole = operation.values.get("self")
        try:
            assert isinstance(whole, Tensor)
            mask = self.of(whole)
            if operation.name in ("slice", "select") and not depends:
                # Where it ends may follow from a length, as in a table of positions.
                mask |= differs(whole, [operation.values.get("dim", 0)])
            views = tensors_in(operation.again({"self": mask}))
            for tensor, view in zip(tensors_in(out), views, strict=True):
                assert tensor.shape == view.shape
                self._masks[tensor] = view
        except Exception:  # one whose mask cannot be a view: nothing written there would be seen
            self.is_lost = True
        return out


class _Reading(TorchFunctionMode):
    """Sees what is read without an operation."""

    def __init__(self, following: _Following) -> None:
        super().__init__()
        self._following = following

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (Tensor.tolist, Tensor.numpy, Tensor.__array__, Tensor.data_ptr):
            with _disable_current_modes():
                depends = bool(self._following.of(args[0]).any())
            if depends:
                self._following.note_look()
        return func(*args, **(kwargs or {}))


def _is_look(operation: Operation, of: Any) -> bool:
    """Whether Python sees values, or a size that follows from them."""
    if operation.name == "index":
        kinds = [index for index in operation.values["indices"] if index is not None]
        masks = [index for index in kinds if index.dtype in (torch.bool, torch.uint8)]
        return any(bool(of(index).any()) for index in masks)
    return operation.name in _LOOKS or operation.has_tag("dynamic_output_shape")


def _place_of_code() -> str | None:
    """File and line of the code that is running now; None where it is torch's own."""
    frame = sys._getframe(1)
    own, library = Path(__file__), Path(torch.__file__).parent
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if library in path.parents and "nn" in path.relative_to(library).parts[:1]:
            return None
        if path != own and library not in path.parents:
            is_harmless = path.name in _HARMLESS and "transformers" in path.parts
            return None if is_harmless else f"{path.name}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return "unknown code"


def _by_name(func: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    names = [argument.name for argument in func._schema.arguments]
    return {**dict(zip(names, args, strict=False)), **kwargs}


def _is_view(func: Any) -> bool:
    aliases = [each.alias_info for each in func._schema.returns]
    return any(alias is not None and not alias.is_write for alias in aliases)


def _written(func: Any, named: Mapping[str, Any]) -> list[Tensor]:
    return [
        tensor
        for argument in func._schema.arguments
        if argument.alias_info is not None and argument.alias_info.is_write
        for tensor in tensors_in(named.get(argument.name))
    ]


def _like(tensor: Tensor, depends: bool) -> Tensor:
    """A mask that is laid out as a tensor is, so that it can be viewed as that is."""
    steps = [(n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True)]
    flat = torch.full((max(sum(steps) + 1, 1),), depends, device=tensor.device)
    return flat.as_strided(tensor.shape, tensor.stride())
