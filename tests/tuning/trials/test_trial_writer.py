"""A worker that dies within a trial: the next one goes on where it stood."""

from collections.abc import Callable
from pathlib import Path

import pytest

from study.pruning.masking.masks import MaskedLayers
from study.pruning.pipeline import run_pipeline
from study.pruning.plan import PruningPlan
from study.pruning.states.progress import Progress
from study.records import RoundRecord
from study.storage import Folder
from study.tuning.trials.trial_writer import TrialWriter
from tests.pruning.tiny import tiny_task

PLAN = PruningPlan(
    sparsity=0.9, rounds=3, retrain="weight_rewind", rewind_epoch=1, retrain_epochs=3
)


class DyingError(Exception):
    """Stands for a kill."""


class DyingWriter(TrialWriter):
    """Dies after so many calls."""

    def __init__(self, study: Folder, calls: int) -> None:
        super().__init__(study, "0000", checkpoint_interval_s=0)
        self.calls = calls

    def checkpoint(self, progress: Callable[[], Progress]) -> None:
        super().checkpoint(progress)
        self._tick()

    def round_finished(
        self, record: RoundRecord, masked: MaskedLayers, progress: Callable[[], Progress]
    ) -> None:
        super().round_finished(record, masked, progress)
        self._tick()

    def _tick(self) -> None:
        self.calls -= 1
        if self.calls == 0:
            raise DyingError


def lines(folder: Path) -> list[str]:
    found = (folder / "trials" / "0000" / "rounds.jsonl").read_text().splitlines()
    records = [RoundRecord.model_validate_json(line) for line in found]
    return [record.model_dump_json(exclude={"wall_s", "finished_at"}) for record in records]


def run(writer: TrialWriter) -> None:
    for _ in run_pipeline(PLAN, tiny_task(), writer.begin(PLAN), observer=writer):
        pass
    writer.end()


@pytest.mark.parametrize("calls", range(1, 14))
def test_wherever_a_worker_dies_the_records_become_the_same(tmp_path: Path, calls: int) -> None:
    whole = Folder(tmp_path / "whole")
    run(TrialWriter(whole, "0000", checkpoint_interval_s=0))
    broken = Folder(tmp_path / "broken")
    with pytest.raises(DyingError):
        run(DyingWriter(broken, calls))
    assert broken.exists("trials", "0000", "resume")
    run(TrialWriter(broken, "0000", checkpoint_interval_s=0))
    assert lines(tmp_path / "broken") == lines(tmp_path / "whole")
    assert not broken.exists("trials", "0000", "resume")


def test_checkpoints_wait_for_their_interval(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    writer = TrialWriter(folder, "0000", checkpoint_interval_s=3600)
    for _ in run_pipeline(PLAN, tiny_task(), writer.begin(PLAN), observer=writer):
        assert not folder.exists("trials", "0000", "resume")
