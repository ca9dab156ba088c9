"""What a user's own functions are: their code, and all that it closes over or names.

Two studies may share a dense run only where these are the same. A loss that reads a weight from a
global, a transform that holds a tensor, a class with options: all of it counts. What cannot be
looked into is said to be unknown, and then nothing is shared.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from study.pruning.training.fingerprint import hash_tensors

_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(...), torch.dtype, torch.device)
_DEEPEST = 60


class UnknownError(Exception):
    """Something that decides what a task does cannot be looked into."""


def source_hash(values: Iterable[Any]) -> str | None:
    """A hash of functions, classes and objects by content; None where something is unknown."""
    try:
        return hashlib.sha256(_described(list(values), set(), 0).encode()).hexdigest()[:16]
    except UnknownError:
        return None


def _described(value: Any, open_: set[int], depth: int) -> str:
    if isinstance(value, _PLAIN):
        return repr(value)
    if id(value) in open_:
        return "again"
    if depth > _DEEPEST:
        raise UnknownError
    open_ = {*open_, id(value)}

    def inner(part: Any) -> str:
        return _described(part, open_, depth + 1)

    if isinstance(value, Tensor):
        return hash_tensors([value])
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise UnknownError
        return hash_tensors([torch.from_numpy(np.array(value))])
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{inner(k)}: {inner(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}({', '.join(map(inner, value))})"
    if isinstance(value, (set, frozenset)):
        return f"set({', '.join(sorted(map(inner, value)))})"
    if isinstance(value, ModuleType):
        return _of_module(value)
    if isinstance(value, CodeType):
        return _of_code(value, inner)
    if isinstance(value, FunctionType):
        return _of_function(value, inner)
    if isinstance(value, MethodType):
        return f"method({inner(value.__func__)}, {inner(value.__self__)})"
    if isinstance(value, functools.partial):
        return f"partial({inner(value.func)}, {inner(value.args)}, {inner(value.keywords)})"
    if isinstance(value, type):
        return _of_class(value, inner)
    if isinstance(value, BuiltinFunctionType) or type(value).__module__ == "builtins":
        name = getattr(value, "__qualname__", None)
        if name is None:
            raise UnknownError
        return f"{getattr(value, '__module__', '')}.{name}"
    return _of_object(value, inner)


def _of_module(module: ModuleType) -> str:
    if _is_of_a_package(module):
        return f"module {module.__name__}"
    try:
        return hashlib.sha256(Path(str(module.__file__)).read_bytes()).hexdigest()
    except OSError as error:
        raise UnknownError from error


def _of_code(code: CodeType, inner: Any) -> str:
    constants = inner(tuple(c for c in code.co_consts if not _is_docstring(c, code)))
    return f"code({code.co_code.hex()}, {constants}, {code.co_names}, {code.co_varnames})"


def _is_docstring(constant: Any, code: CodeType) -> bool:
    return bool(code.co_consts) and constant is code.co_consts[0] and isinstance(constant, str)


def _of_function(function: FunctionType, inner: Any) -> str:
    if _is_installed(function.__code__.co_filename):
        return f"{function.__module__}.{function.__qualname__}"
    try:
        closed_over = [cell.cell_contents for cell in function.__closure__ or ()]
    except ValueError as error:  # a cell that is still empty
        raise UnknownError from error
    globals_ = {
        name: function.__globals__[name]
        for name in sorted(_names_in(function.__code__))
        if name in function.__globals__
    }
    parts = (function.__code__, function.__defaults__, function.__kwdefaults__, closed_over)
    return f"function({', '.join(map(inner, parts))}, {inner(globals_)})"


def _names_in(code: CodeType) -> set[str]:
    inside = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return set(code.co_names).union(*map(_names_in, inside))


def _of_class(cls: type, inner: Any) -> str:
    module = sys.modules.get(cls.__module__)
    if cls.__module__ == "builtins" or _is_of_a_package(module):
        return f"{cls.__module__}.{cls.__qualname__}"
    skipped = ("__dict__", "__weakref__", "__doc__", "__module__", "__annotations__")
    own = {
        name: part
        for name, part in vars(cls).items()
        if name not in skipped and not name.startswith("__dataclass")
    }
    unwrapped = {name: getattr(part, "__func__", part) for name, part in own.items()}
    return f"class({cls.__qualname__}, {inner(cls.__bases__)}, {inner(unwrapped)})"


_TORCHS_OWN = frozenset(vars(nn.Module()))
"""What every module has: parameters and buffers, which are looked at by themselves, and hooks."""


def _own(module: nn.Module) -> dict[str, Any]:
    """Attributes that a module's author gave it, and its children."""
    own = {name: value for name, value in vars(module).items() if name not in _TORCHS_OWN}
    return {**own, "children": dict(module._modules), "training": module.training}


def _of_object(value: Any, inner: Any) -> str:
    """An object is its class and its attributes, if it keeps them where they can be seen."""
    if isinstance(value, nn.Module):
        return f"module({inner(type(value))}, {inner(value.state_dict())}, {inner(_own(value))})"
    if isinstance(value, property):
        return f"property({inner((value.fget, value.fset))})"
    if not hasattr(value, "__dict__") or hasattr(type(value), "__slots__"):
        raise UnknownError
    return f"object({inner(type(value))}, {inner(vars(value))})"


@functools.cache
def _places() -> tuple[str, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    own = Path(__file__).resolve().parents[2]
    folders = (*(sysconfig.get_path(name) for name in names), str(own))
    return (*(f"{folder}{os.sep}" for folder in folders), "<frozen")


def _is_of_a_package(module: ModuleType | None) -> bool:
    """Whether a module is Python's, an installed package's or this one's; a notebook is not."""
    if module is None:
        return False
    file = getattr(module, "__file__", None)
    return module.__name__ in sys.builtin_module_names if file is None else _is_installed(file)


def _is_installed(file: str) -> bool:
    """Whether a file is of Python, of an installed package, or of this one: its version counts."""
    return file.startswith(_places())
