"""Names that a study file or a command may use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from search_spaces.structures import STRUCTURES
from search_spaces.table import ALLOCATIONS
from study.configuration.loading import presets
from study.errors import UsageError
from study.plugins import names
from study.pruning.selection.saliency import SALIENCIES
from study.pruning.selection.schedule import SCHEDULES
from study.pruning.structure.scores import UNIT_SALIENCIES
from study.records import STUDY_FILE
from study.storage import Folder
from study.tasks.datasets import DATASETS
from study.tasks.models import MODELS


def names_of(what: str, storage_path: str) -> list[str]:
    """Names of one kind, sorted; plug-ins that are installed are among them."""
    if what == "presets":
        return presets()
    if what == "studies":
        folder = Folder(storage_path)
        return [name for name in folder.folders() if folder.exists(name, STUDY_FILE)]
    if what == "allocations":
        return sorted(ALLOCATIONS)
    if what == "structures":
        return list(STRUCTURES)
    if what == "tasks":
        datasets, models = names("dataset", DATASETS), names("model", MODELS)
        return [f'dataset = "{d}"' for d in datasets] + [f'model = "{m}"' for m in models]
    kinds: dict[str, tuple[str, Mapping[str, Callable[..., Any]]]] = {
        "models": ("model", MODELS),
        "datasets": ("dataset", DATASETS),
        "saliencies": ("saliency", {**SALIENCIES, **UNIT_SALIENCIES}),
        "schedules": ("schedule", SCHEDULES),
    }
    if what not in kinds:
        raise UsageError(f"there is no list of {what}")
    field, table = kinds[what]
    return names(field, table)
