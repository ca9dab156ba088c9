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
from study.tuning.ending import StopRequestedError, StopWatch
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


@pytest.mark.parametrize("calls", range(1, 11))
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


class Asked(StopWatch):
    """Asks for an end from the start, or after so many looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def is_asked(self) -> bool:
        self.looks -= 1
        return self.looks < 0


@pytest.mark.parametrize("looks", [0, 1, 3, 5])
def test_a_trial_that_is_asked_to_stop_keeps_where_it_stands_and_goes_on_later(
    tmp_path: Path, looks: int
) -> None:
    whole, stopped = Folder(tmp_path / "whole"), Folder(tmp_path / "stopped")
    run(TrialWriter(whole, "0000", checkpoint_interval_s=0))
    with pytest.raises(StopRequestedError):
        run(TrialWriter(stopped, "0000", checkpoint_interval_s=3600, stop=Asked(looks)))
    run(TrialWriter(stopped, "0000", checkpoint_interval_s=3600))
    assert lines(tmp_path / "stopped") == lines(tmp_path / "whole")


def test_what_a_killed_worker_left_half_written_goes(tmp_path: Path) -> None:
    half = f".{'0f' * 16}.tmp"
    left = [tmp_path / "trials/0000" / each for each in (f"rounds.jsonl{half}", f"resume/p{half}")]
    left[1].parent.mkdir(parents=True)
    for path in left:
        path.write_text("{")
    kept = left[0].with_name("mine.tmp")
    kept.write_text("no writer's of ours")
    TrialWriter(Folder(tmp_path), "0000", checkpoint_interval_s=0).begin(PLAN)
    assert kept.exists()
    assert not any(path.exists() for path in left)


@pytest.mark.parametrize("first", [0, 2])
def test_rounds_go_on_by_their_numbers_wherever_they_begin(tmp_path: Path, first: int) -> None:
    folder = Folder(tmp_path)
    writer = TrialWriter(folder, "0000", checkpoint_interval_s=3600)
    records = run_pipeline(PLAN, tiny_task(), writer.begin(PLAN), observer=writer)
    next(records), next(records), next(records)
    records.close()
    rounds = tmp_path / "trials/0000/rounds.jsonl"
    rounds.write_text("".join(rounds.read_text().splitlines(keepends=True)[first:]))
    again = TrialWriter(folder, "0000", checkpoint_interval_s=3600)
    again.begin(PLAN)
    assert [record.round for record in again.finished] == list(range(first, 3))


def test_a_finished_round_is_never_run_again_whatever_the_interval(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    writer = TrialWriter(folder, "0000", checkpoint_interval_s=3600)
    records = run_pipeline(PLAN, tiny_task(), writer.begin(PLAN), observer=writer)
    next(records), next(records)
    records.close()
    again = TrialWriter(folder, "0000", checkpoint_interval_s=3600)
    start = again.begin(PLAN)
    assert [record.round for record in again.finished] == [0, 1]
    rest = run_pipeline(PLAN, tiny_task(), start, observer=again)
    assert [record.round for record in rest] == list(range(2, PLAN.rounds + 1))


def test_a_round_whose_line_was_not_written_any_more_is_in_what_was_kept(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    writer = TrialWriter(folder, "0000", checkpoint_interval_s=3600)
    records = run_pipeline(PLAN, tiny_task(), writer.begin(PLAN), observer=writer)
    next(records), next(records)
    before = folder.read("trials", "0000", "rounds.jsonl")
    folder.write(before.splitlines(keepends=True)[0], "trials", "0000", "rounds.jsonl")
    again = TrialWriter(folder, "0000", checkpoint_interval_s=3600)
    again.begin(PLAN)
    assert folder.read("trials", "0000", "rounds.jsonl") == before


@pytest.mark.parametrize("has_ended", [False, True])
def test_a_trial_whose_last_round_is_on_record_is_over_though_no_driver_has_heard_of_it(
    tmp_path: Path, has_ended: bool
) -> None:
    folder = Folder(tmp_path)
    writer = TrialWriter(folder, "0000", checkpoint_interval_s=0)
    records = run_pipeline(PLAN, tiny_task(), writer.begin(PLAN), observer=writer)
    told = [next(records) for _ in range(PLAN.rounds + 1)]
    if has_ended:
        writer.end()
    again = TrialWriter(folder, "0000", checkpoint_interval_s=0)
    assert again.is_over(PLAN)
    assert [each.round for each in again.finished] == [each.round for each in told]
    assert not TrialWriter(folder, "0000", 0).is_over(PLAN.model_copy(update={"rounds": 4}))
