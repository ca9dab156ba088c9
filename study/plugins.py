"""Find a function by its built-in name, an entry point, or an import string."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from study.errors import UsageError, told, unknown_name


def resolve(field: str, name: str, built_in: Mapping[str, Callable[..., Any]]) -> Any:
    """Return what ``name`` stands for.

    Parameters
    ----------
    field
        What is being named, in the singular (``"saliency"``, ``"space.saliency"``); the
        entry-point group is ``prune_study.`` and its plural.
    name
        A key of ``built_in``, the name of an entry point, or ``"package.module:attribute"``.
    built_in
        The functions that come with the project.

    Raises
    ------
    UsageError
        If nothing has that name, or the import string cannot be imported.
    """
    if name in built_in:
        return built_in[name]
    if ":" in name:
        found = import_string(field, name)
        if not callable(found):
            raise UsageError(f"{field}: {name!r} is {type(found).__name__}, and not a function.")
        return found
    group = entry_points(group=_group(field))
    if name in group.names:
        try:
            return group[name].load()
        except (ImportError, AttributeError) as error:
            raise _cannot_be_imported(field, group[name].value, error) from error
    raise unknown_name(field, name, [*built_in, *group.names])


def names(field: str, built_in: Mapping[str, Callable[..., Any]]) -> list[str]:
    """Every name that :func:`resolve` knows for ``field``, import strings aside."""
    return sorted({*built_in, *entry_points(group=_group(field)).names})


def import_string(field: str, reference: str) -> Any:
    """Import ``"package.module:attribute"``.

    Raises
    ------
    UsageError
        If the module or the attribute does not exist; the message names which.
    """
    module_name, _, attribute = reference.partition(":")
    if not module_name or not attribute:
        raise UsageError(
            f"{field}: {reference!r} is not an import string. Write 'package.module:function'."
        )
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise _cannot_be_imported(field, reference, error) from error
        raise UsageError(
            f"{field}: no module named {error.name!r} (from {reference!r}). "
            "Is it in the folder of the study file, or in this one, or on PYTHONPATH?"
        ) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also of a module that calls sys.exit
        raise _cannot_be_imported(field, reference, error) from error
    target: Any = module
    for part in attribute.split("."):
        if not hasattr(target, part):
            public = [name for name in dir(target) if not name.startswith("_")]
            raise unknown_name(f"{field} ({module_name})", part, public)
        target = getattr(target, part)
    return target


def _cannot_be_imported(field: str, reference: str, error: BaseException) -> UsageError:
    return UsageError(f"{field}: {reference!r} cannot be imported{told(error)}")


_searched: list[str] = []
"""Folders of modules of import strings, the one that counts first in front."""


def search_in(*folders: str | Path) -> None:
    """Have modules of import strings found in folders too, in this process from here on.

    They come after all that is installed: a user's ``pandas.py`` is not taken for pandas.
    """
    paths = [str(Path(folder).absolute()) for folder in folders]
    _searched[:] = dict.fromkeys([*paths, *_searched])
    installed = [place for place in sys.path if place not in _searched]
    if sys.path != [*installed, *_searched]:
        sys.path[:] = [*installed, *_searched]


def refuse_namesake(field: str, reference: str, folder: str | Path) -> None:
    """Make sure that a module of an import string is the one in a folder, if there is one.

    Raises
    ------
    UsageError
        If this process has imported another of the same name before, or one is installed.
    """
    name = reference.partition(":")[0].partition(".")[0]
    here = Path(folder).absolute()
    is_here = (here / f"{name}.py").is_file() or (here / name / "__init__.py").is_file()
    if not is_here:
        return
    loaded = getattr(sys.modules.get(name), "__file__", None)
    if loaded is None:
        found = find_spec(name)
        loaded = None if found is None else found.origin
    if loaded is not None and not Path(loaded).resolve().is_relative_to(here.resolve()):
        raise UsageError(
            f"{field}: {reference!r} is in {here}, but this process has imported {loaded} under "
            "its name, or would. Begin a new process, or rename one of the two."
        )


def reference_to(function: Callable[..., Any]) -> str:
    """Write an importable function as an import string, the inverse of :func:`import_string`.

    Raises
    ------
    UsageError
        If the function is a lambda or was defined inside another function.
    """
    qualified = getattr(function, "__qualname__", "<callable>")
    if "<" in qualified:
        raise UsageError(
            f"{qualified} cannot be imported by name, so a study could not be repeated with it. "
            "Define it at the top level of a module."
        )
    return f"{function.__module__}:{qualified}"


def _group(field: str) -> str:
    noun = field.rpartition(".")[2]
    plural = {"saliency": "saliencies"}.get(noun, f"{noun}s")
    return f"prune_study.{plural}"
