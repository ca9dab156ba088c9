"""The pruning pipeline: needs torch, never Ray."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from study.pruning.masking.masks import MaskedLayers, mask_layers
    from study.pruning.packed.pipelines import run_packed
    from study.pruning.pipeline import run_pipeline
    from study.pruning.plan import PruningPlan
    from study.pruning.training.trajectory import train_dense

_HOMES = {
    "MaskedLayers": "masking.masks",
    "PruningPlan": "plan",
    "mask_layers": "masking.masks",
    "run_packed": "packed.pipelines",
    "run_pipeline": "pipeline",
    "train_dense": "training.trajectory",
}

__all__ = [
    "MaskedLayers",
    "PruningPlan",
    "mask_layers",
    "run_packed",
    "run_pipeline",
    "train_dense",
]


def __getattr__(name: str) -> Any:
    # Plans are read where there is no torch, so the pipeline is imported when it is asked for.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
