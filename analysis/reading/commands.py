"""Commands that go on with a study, as they are typed where its report was made."""

from __future__ import annotations

import os
from pathlib import Path
from shlex import quote

from analysis.reading.results import Results
from analysis.reading.structures import has_units
from study.files.locations import hide_secrets
from study.files.named_code import OF_PLAN, code_of_plan, code_of_study

_IMPORTS = ("confirm", "export", "replicate", "sensitivity")
"""Commands that build networks, and so import what a study names."""


def command(results: Results, verb: str, more: str = "", trial_id: str | None = None) -> str:
    """A command on a study's folder, which works where the analysis is called.

    Parameters
    ----------
    results
        What :func:`analysis.load` returned. Of several studies the folder is called DIR, unless
        a trial says which of them is meant.
    verb
        Such as ``"confirm"``.
    more
        What follows the folder.
    trial_id
        A trial: it is named by the command.

    Returns
    -------
    str
        With ``--trust-code`` where the command would import code that the study names.
    """
    parts = ["prune-study", verb, place_of(results, trial_id)]
    if trial_id is not None:
        parts.append(f"--trial {quote(trial_id)}")
    if more:
        parts.append(more)
    if verb in _IMPORTS and _names_code(results, trial_id):
        parts.append("--trust-code")
    return " ".join(parts)


def export_command(results: Results, trial_id: str, round_: int) -> str:
    """The command that hands a network over, without what is dead in it where units were cut."""
    shrink = " --shrink" if has_units(results.structure_of(trial_id)) else ""
    return command(results, "export", f"--round {round_} -o network.onnx{shrink}", trial_id)


def place_of(results: Results, trial_id: str | None = None) -> str:
    """A study's folder as a shell takes it; see :func:`short_place`."""
    place = short_place(results, trial_id)
    home, below = ("~/", place[2:]) if place.startswith("~/") else ("", place)
    return home + quote(below)


def short_place(results: Results, trial_id: str | None = None) -> str:
    """A study's folder: short, and without the user's name where it can be.

    Relative to the working folder if it is below it, from ``~`` if it is below the user's home.
    """
    if results.parts and trial_id is None:
        return "DIR"
    folder = results.folders[0] if trial_id is None else results.folder_of(trial_id)
    if folder.local_path is None:
        return hide_secrets(folder.location)
    path = Path(folder.location)
    try:
        short = path.relative_to(Path.cwd()).as_posix()
    except (ValueError, OSError):  # somewhere else, or the working folder is gone
        home = Path(os.path.expanduser("~"))  # noqa: PTH111  (Path's own raises if there is none)
        below = home.is_absolute() and home != path and path.is_relative_to(home)
        return f"~/{path.relative_to(home).as_posix()}" if below else str(path)
    return f"./{short}" if short.startswith(("-", "~")) else short


def _names_code(results: Results, trial_id: str | None) -> bool:
    """Whether the command would refuse to go on without ``--trust-code``."""
    if results.parts and trial_id is None:
        return False  # of some study
    config = results.config
    for name, part in results.parts.items():
        if str(trial_id).startswith(f"{name}/"):
            config = part.config
    trials = results.trials
    own = trials if trial_id is None else trials[trials["trial_id"] == trial_id]
    columns = [field for field in OF_PLAN if field in own]
    named = [*code_of_study(config)]
    for plan in own[columns].drop_duplicates().to_dict("records"):
        named += code_of_plan("", {str(field): value for field, value in plan.items()})
    return bool(named)
