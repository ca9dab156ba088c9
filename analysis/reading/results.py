"""What a study found, as frames; the large ones are read when they are first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import pandas as pd

from analysis.reading.confirmation import read_confirmation
from analysis.reading.controls import read_controls, read_held_out, read_left_out
from analysis.reading.files.problems import told_problems
from analysis.reading.layers import read_layers
from analysis.reading.metrics import CLASSIFIER, Metrics, shared_quality
from analysis.reading.objectives import Objectives, objectives_of
from analysis.reading.sensitivity import read_sensitivity
from analysis.reading.structures import has_units
from study.files.problems import Problems
from study.objectives import Constraint, quality_of, size_of
from study.records import MetricRecord
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
    metrics
        By what networks are judged, each with its columns ``val_NAME`` and ``test_NAME``.
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
    problems: Problems
    folders: tuple[Folder, ...]
    metrics: Metrics = field(default=CLASSIFIER, repr=False)
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
            return read_sensitivity(
                self.folders[0], self.name, self.metrics, self.quality, self.rounds, self.problems
            )

    @cached_property
    def controls(self) -> pd.DataFrame:
        """One row a control of a replicated network; empty where none was run."""
        if self.parts:
            return self._joined("controls")
        judged = self.confirmation["without"]
        parts = 0 if judged.empty else len(judged.iloc[0][self.quality.name])
        with told_problems(self.name, self.problems):
            return read_controls(
                self.folders[0], self.name, self.metrics, self.quality, parts, self.problems
            )

    @cached_property
    def confirmation(self) -> pd.DataFrame:
        """One row a round of a replicate, on the examples that confirm; empty without replicates.

        trial_id, replicate_of, round, seed, examples, held_back, ``confirm_NAME``, without.
        """
        if self.parts:
            return self._joined("confirmation")
        again = self.trials.loc[self.trials["replicate_of"].notna(), "trial_id"]
        with told_problems(self.name, self.problems):
            found = read_confirmation(
                self.folders[0], self.name, again, self.metrics, self.quality, self.problems
            )
        origin = self.trials.set_index("trial_id")["replicate_of"]
        return found.assign(replicate_of=found["trial_id"].map(origin))

    @cached_property
    def left_out(self) -> pd.DataFrame:
        """One row a control that could not be run, and why: role, of, replicate, round."""
        if self.parts:
            return self._joined("left_out")
        with told_problems(self.name, self.problems):
            return read_left_out(self.folders[0], self.name, self.problems)

    @cached_property
    def held_out(self) -> pd.DataFrame:
        """One row a network that was read on the test split: trial_id, round, ``test_NAME``."""
        if self.parts:
            return self._joined("held_out")
        with told_problems(self.name, self.problems):
            return read_held_out(self.folders[0], self.name, self.metrics, self.problems)

    @property
    def objectives(self) -> Objectives:
        """Columns of ``rounds`` that the study optimises, and their directions.

        Of several studies that optimise different ones: the quality and the size of all.
        """
        if not self.parts:
            return objectives_of(self.config, self.quality)
        every = [part.objectives for part in self.parts.values()]
        if all(objectives == every[0] for objectives in every):
            return every[0]
        return {self.quality.column: self.quality.direction, self.size: "min"}

    @property
    def quality(self) -> MetricRecord:
        """What networks are judged by: the first metric that the study optimises.

        Raises
        ------
        UsageError
            If studies that were loaded together are judged by different ones.
        """
        if self.parts:
            return shared_quality({name: part.quality for name, part in self.parts.items()})
        return quality_of(self.metrics, self.config.get("objectives") or {})

    @property
    def size(self) -> str:
        """The column that the study makes small; of several that differ in it, density."""
        if not self.parts:
            return size_of(self.config.get("objectives") or {})
        sizes = {part.size for part in self.parts.values()}
        return sizes.pop() if len(sizes) == 1 else "density"

    @property
    def structures(self) -> tuple[str, ...]:
        """What plans of one study may remove, as they spell it; of a table by layer, all of it."""
        found = self.config.get("space", {}).get("structure", "weights")
        if isinstance(found, Mapping):
            return tuple(dict.fromkeys(found.values()))
        return (found,) if isinstance(found, str) else tuple(found)

    @property
    def scanned(self) -> str:
        """What a scan of the layers takes out; a study of several structures has none."""
        return self.structures[0]

    @property
    def takes_units_out(self) -> bool:
        """Whether any of them takes whole channels or heads out."""
        return any(map(has_units, self.structures))

    def structure_of(self, trial_id: str) -> str:
        """What a trial removes, in words; of a study that does not say, what its space does."""
        own = self.trials.loc[self.trials["trial_id"] == trial_id, "structure"].dropna()
        return ", ".join(self.structures) if own.empty else str(own.iloc[0])

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """What a network of one study must meet to be recommended."""
        search = self.config.get("search", {})
        target = search.get("target")
        written = (*(search.get("constraints") or ()), *([] if target is None else [target]))
        return () if self.parts else tuple(Constraint.parse(text) for text in written)

    @property
    def target(self) -> Constraint | None:
        """The size at which one study seeks the best network; None: it is after a front."""
        target = None if self.parts else self.config.get("search", {}).get("target")
        return None if target is None else Constraint.parse(target)

    def direction_of(self, column: str) -> Literal["max", "min"]:
        """Whether more of a column is better, or less."""
        metric = self.metric_of(column)
        if metric is not None:
            return metric.direction
        more = ("sparsity", "compression_ratio", "theoretical_speedup", "speedup_measured")
        return "max" if column in more else "min"

    def metric_of(self, column: str) -> MetricRecord | None:
        """The metric that a column of ``rounds`` holds, if it holds one."""
        named = (each for each in self.metrics if column in (each.column, each.test_column))
        return next(named, None)

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
    if "replicate" in named:  # of controls
        pairs = named[["of", "replicate"]].astype("str")
        named = named.assign(
            of=study + "/" + pairs["of"], replicate=study + "/" + pairs["replicate"]
        )
    named.insert(0, "study", pd.Series(study, index=named.index, dtype="str"))
    return named
