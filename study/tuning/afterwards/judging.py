"""What a replicate, or a control, writes beside a trial's files: how it does on what confirms."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from study.pruning.masking.masks import MaskedLayers
from study.pruning.plan import PruningPlan
from study.pruning.states.progress import Progress
from study.records import (
    CONFIRMATION_FILE,
    RESUME_DIR,
    TRIALS_DIR,
    ConfirmationRecord,
    MetricRecord,
    RoundRecord,
)
from study.storage import Folder
from study.tasks.judging.confirming import resample
from study.tasks.task import Task
from study.tuning.trials.trial_writer import TrialWriter


class JudgingWriter(TrialWriter):
    """Writes a replicate or control, and judges each of its rounds on the examples that confirm.

    Parameters
    ----------
    study, trial_id
        As of :class:`TrialWriter`; where it stands is kept at the end of each round alone.
    task
        By whose metrics it is judged, on whose examples.
    quality
        The one that the study is about.
    is_held_back
        Whether the search did not see these.
    directory
        Folder of the study in which its folder is made.
    """

    def __init__(
        self,
        study: Folder,
        trial_id: str,
        task: Task,
        quality: MetricRecord,
        is_held_back: bool,
        directory: str = TRIALS_DIR,
    ) -> None:
        super().__init__(study, trial_id, math.inf, directory=directory)
        self._place = study.child(directory, trial_id)
        self._task, self._quality, self._is_held_back = task, quality, is_held_back
        self._judged: list[str] = []

    def is_over(self, plan: PruningPlan) -> bool:
        """As of a trial; what an older version ran was not judged, and is to be run again."""
        return self._place.exists(CONFIRMATION_FILE) and super().is_over(plan)

    def begin(self, plan: PruningPlan) -> Progress | None:
        """As of a trial; rounds that are gone on from were judged before their records."""
        if not self._place.exists(CONFIRMATION_FILE):  # an older version did not judge its rounds
            self._place.remove(RESUME_DIR)
        progress = super().begin(plan)
        finished = {record.round for record in self.finished}
        if finished and self._place.exists(CONFIRMATION_FILE):
            lines = self._place.read(CONFIRMATION_FILE).decode().splitlines()
            known = [(ConfirmationRecord.model_validate_json(line).round, line) for line in lines]
            self._judged = [line for number, line in known if number in finished]
        return progress

    def round_finished(
        self, record: RoundRecord, masked: MaskedLayers, progress: Callable[[], Progress]
    ) -> None:
        """Keep a round: first how it was judged, then its weights and its record."""
        data = self._task.data
        groups = data.confirming_groups
        found = resample(masked.model, data.confirms, self._task, self._quality, groups)
        judged = ConfirmationRecord(
            trial_id=self.trial_id,
            round=record.round,
            seed=record.seed,
            **found.columns("confirm"),
            examples=found.examples,
            groups=None if groups is None else len(np.unique(groups)),
            held_back=self._is_held_back,
            without=found.without,
            part_examples=found.part_examples,
            part_groups=found.part_groups,
        )
        self._judged.append(judged.to_json())
        self._place.write("".join(f"{line}\n" for line in self._judged), CONFIRMATION_FILE)
        super().round_finished(record, masked, progress)
