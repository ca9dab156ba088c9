"""What a study would do, said before it is done."""

from __future__ import annotations

from study.config import to_toml
from study.tuning.preparing import Prepared


def describe(prepared: Prepared) -> str:
    """The resolved study file, the layers, and the most that it may cost."""
    config, layers = prepared.config, prepared.layers
    total = sum(layer.total for layer in layers)
    width = max(len(layer.name) for layer in layers)
    examples = len(prepared.task.data.train)
    epochs = prepared.task.recipe.epochs
    longest = config.space.worst_case_epochs(epochs)
    trials = config.study.num_samples
    shared = epochs + trials * (longest - epochs)
    a_round = (longest - epochs) / config.space.max_rounds
    lines = [
        to_toml(config),
        f"# {len(layers)} prunable layers, {total:,} weights",
        *(
            f"#   {layer.name:{width}}  {layer.total:>12,}  {layer.total / total:6.1%}  "
            f"{layer.kind}"
            for layer in layers
        ),
        f"# {examples:,} training and {len(prepared.task.data.validation):,} validation examples",
        f"# at most {longest:g} epochs charged to a trial: {epochs} dense, "
        f"{config.space.max_rounds} rounds of up to {a_round:g}",
        f"# at most {shared:,g} epochs trained by {trials} trials, the dense run shared",
        f"# would be written to {prepared.folder.location}",
    ]
    return "\n".join(lines)
