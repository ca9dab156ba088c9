"""What a study found, as frames; the large ones are read when they are first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from analysis.reading.controls import read_controls, read_held_out
from analysis.reading.files.problems import told_problems
from analysis.reading.layers import read_layers
from analysis.reading.objectives import Objectives, objectives_of
from analysis.reading.sensitivity import read_sensitivity
from study.storage import Folder


@dataclass(eq=False)
class Results:
    """What a study found.

    Parameters
    ----------
    name
        Name of the study, or of the studies.
    trials
        One row a trial: its plan, its status, how it ended, and the figures of its last round.
    rounds
        One row a round of a trial, the dense round 0 included.
    events
        What happened to the study, in order.
    config
        The resolved study file; of several studies, by name.
    provenance
        Where and with what it ran; of several studies, by name.
    problems
        Files that could not be read, and why.
    folders
        Where it was read from.
    parts
        With several studies, the results of each.
    cache
        Whether what is read later leaves a copy beside the study, as in :func:`analysis.load`.
    """

    name: str
    trials: pd.DataFrame = field(repr=False)
    rounds: pd.DataFrame = field(repr=False)
    events: pd.DataFrame = field(repr=False)
    config: dict[str, Any] = field(repr=False)
    provenance: dict[str, Any] = field(repr=False)
    problems: dict[str, str]
    folders: tuple[Folder, ...]
    parts: Mapping[str, Results] = field(default_factory=dict, repr=False)
    cache: bool | None = field(default=None, repr=False)

    @cached_property
    def layers(self) -> pd.DataFrame:
        """One row a layer and round: trial_id, round, layer, kept, total, density, dead_outputs.

        It is read from the study's folder at first use.
        """
        if self.parts:
            return self._joined("layers")
        with told_problems(self.name, self.problems):
            return read_layers(self.folders[0], self.name, self.rounds, self.problems, self.cache)

    @cached_property
    def sensitivity(self) -> pd.DataFrame:
        """One row a level of a layer in the sensitivity scan; empty where none was made."""
        if self.parts:
            return self._joined("sensitivity")
        with told_problems(self.name, self.problems):
            return read_sensitivity(self.folders[0], self.name, self.problems)

    @cached_property
    def controls(self) -> pd.DataFrame:
        """One row a control of a replicated network; empty where none was run."""
        if self.parts:
            return self._joined("controls")
        with told_problems(self.name, self.problems):
            return read_controls(self.folders[0], self.name, self.problems)

    @cached_property
    def held_out(self) -> pd.DataFrame:
        """One row a network that was read on the test split: trial_id, round, test_accuracy."""
        if self.parts:
            return self._joined("held_out")
        return read_held_out(self.folders[0], self.name, self.problems)

    @property
    def objectives(self) -> Objectives:
        """Columns of ``rounds`` that the study optimises, and their directions."""
        if self.parts:
            return next(iter(self.parts.values())).objectives
        return objectives_of(self.config)

    def folder_of(self, trial_id: str) -> Folder:
        """The folder of the study that a trial is of."""
        for name, part in self.parts.items():
            if trial_id.startswith(f"{name}/"):
                return part.folders[0]
        return self.folders[0]

    def __repr__(self) -> str:
        networks = int((self.rounds["round"] > 0).sum())
        return f"<Results of {self.name!r}: {len(self.trials)} trials, {networks} pruned networks>"

    def _joined(self, name: str) -> pd.DataFrame:
        frames = []
        for study, part in self.parts.items():
            frames.append(name_study(getattr(part, name), study))
        filled = [frame for frame in frames if len(frame)]
        return pd.concat(filled, ignore_index=True) if filled else frames[0]


def name_study(frame: pd.DataFrame, study: str) -> pd.DataFrame:
    """The rows of one study among several: its name in front, and before each trial's."""
    named = frame.drop(columns="study", errors="ignore")
    if "trial_id" in named:
        named = named.assign(trial_id=study + "/" + named["trial_id"].astype("str"))
    if "replicate_of" in named:
        named = named.assign(replicate_of=study + "/" + named["replicate_of"])
    named.insert(0, "study", pd.Series(study, index=named.index, dtype="str"))
    return named
