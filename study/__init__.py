"""prune-study: how far a network prunes, which layers can take it, and by which schedule."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from study.commands.running import run
    from study.configuration.loading import StudyConfig, load_config
    from study.errors import NothingToReportError, UsageError

_HOMES = {
    "NothingToReportError": "errors",
    "StudyConfig": "configuration.loading",
    "UsageError": "errors",
    "load_config": "configuration.loading",
    "run": "commands.running",
}

__all__ = ["NothingToReportError", "StudyConfig", "UsageError", "load_config", "run"]


def __getattr__(name: str) -> Any:
    # Importing the package must cost nothing: torch and Ray come with the first use.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
