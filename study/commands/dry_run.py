"""What a study would do, said before it is done."""

from __future__ import annotations

from study.configuration.loading import to_toml
from study.configuration.targets import note_on_target
from study.configuration.widths import note_on_widths
from study.owners import is_unused
from study.pruning.training.fingerprint import fingerprint
from study.tasks import load_task
from study.tuning.preparing import Prepared, refuse_changes
from study.tuning.search.stages.recipes import LONGER


def rehearse_again(prepared: Prepared) -> None:
    """Load the task once more, as a worker would.

    Raises
    ------
    UsageError
        If it is another one then.
    """
    seeds = prepared.plans[0].seeds
    ours = fingerprint(prepared.task, seeds)
    refuse_changes(ours, load_task(**prepared.task_arguments), seeds, "in this process")


def describe(prepared: Prepared) -> str:
    """The resolved study file, the layers, and the most that it may cost."""
    config, layers = prepared.config, prepared.layers
    total = sum(layer.total for layer in layers)
    width = max(len(layer.name) for layer in layers)
    examples = len(prepared.task.data.train)
    lines = [
        to_toml(config),
        f"# {len(layers)} prunable layers, {total:,} weights",
        *(
            f"#   {layer.name:{width}}  {layer.total:>12,}  {layer.total / total:6.1%}  "
            f"{layer.kind}"
            for layer in layers
        ),
        *_coupled(prepared),
        f"# {examples:,} training and {len(prepared.task.data.validation):,} validation examples",
        *(f"# {note}" for note in (note_on_target(config), note_on_widths(config)) if note),
        *_most_epochs(prepared),
        *_afterwards(prepared),
        f"# would be written to {prepared.folder.location}"
        + ("" if is_unused(prepared.folder) else ", which exists already: choose another --name"),
    ]
    return "\n".join(lines)


def _coupled(prepared: Prepared) -> list[str]:
    """What may be narrowed, by the names that a space's bounds may have."""
    if prepared.sets is None:
        return []
    sets = prepared.sets.layers
    width = max(len(each.name) for each in sets)
    return [
        f"# {len(sets)} coupled sets of {prepared.config.space.structure}",
        *(f"#   {each.name:{width}}  {each.total:>6,}" for each in sets),
        *(f"#   {name} stays: {reason}" for name, reason in prepared.sets.stay.items()),
    ]


def _afterwards(prepared: Prepared) -> list[str]:
    """What is trained beside the trials."""
    config, dense = prepared.config, prepared.task.recipe.epochs
    lines = []
    if config.sensitivity.scan or config.space.awaits_scan:
        others = (config.sensitivity.seeds - 1) * dense
        lines.append(f"# beside them: the scan, {others} epochs of further dense runs")
    if config.confirm.share:
        share, most = config.confirm.share, config.confirm.share / (1 - config.confirm.share)
        answer = "" if config.search.target is None else ", or what the answer takes on new seeds"
        if config.search.sampler == "stages":
            answer += ", or what trials that the search leaves would have taken"
        lines.append(
            f"# beside them: confirmation, up to {most:.0%} of what the search took ({share:.0%} "
            f"of both){answer}"
        )
    if config.report.controls:
        runs = config.report.controlled_networks * config.report.control_seeds
        lines.append(f"# beside them: controls, {runs} times 5 networks, each trained anew")
    return lines


def _most_epochs(prepared: Prepared) -> list[str]:
    """The most that training may take, charged and shared."""
    config, dense, textbook = prepared.config, prepared.task.recipe.epochs, prepared.textbook
    space, trials = config.space, config.study.num_samples
    lines, first = [], 0.0
    if textbook is not None and textbook.retrain_epochs is not None:
        first = textbook.rounds * textbook.retrain_epochs
        lines = [
            f"# the first trial is the textbook run: {dense} epochs dense, up to "
            f"{textbook.rounds} rounds of {textbook.retrain_epochs:g}"
        ]
    if config.study.train_samples_budget is not None:
        budget = config.study.train_samples_budget
        lines.append(f"# no further trial begins once the search has taken {budget:,} examples")
    if config.search.sampler == "stages":
        return [
            *lines,
            f"# at most {trials} trials: descents like it with up to {LONGER:g} times its epochs, "
            "and short ones; how many it takes is seen on the way",
        ]
    if space.function is not None:
        return [*lines, f"# {dense} epochs dense; what {space.function} adds, only it knows"]
    longest = space.worst_case_epochs(dense)
    a_round = (longest - dense) / space.max_rounds
    drawn = trials - (textbook is not None)
    shared = dense + first + drawn * (longest - dense)
    return [
        *lines,
        f"# at most {longest:g} epochs charged to a trial of the space: {dense} dense, "
        f"{space.max_rounds} rounds of up to {a_round:g}",
        f"# at most {shared:,g} epochs trained by {trials} trials, the dense run shared",
    ]
