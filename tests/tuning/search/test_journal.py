"""Optuna's journal in a study folder."""

from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from study.storage import Folder
from study.tuning.search.journal import FolderJournal


def studied(folder: Folder, trials: int) -> FolderJournal:
    journal = FolderJournal(folder)
    study = optuna.create_study(
        study_name="x", storage=JournalStorage(journal), load_if_exists=True
    )
    study.optimize(lambda trial: trial.suggest_float("a", 0, 1), n_trials=trials)
    journal.flush()
    return journal


def test_optuna_reads_it_as_its_own(tmp_path: Path) -> None:
    studied(Folder(tmp_path), 3)
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "optuna.journal")))
    own = optuna.load_study(study_name="x", storage=storage)
    assert [trial.state.name for trial in own.trials] == ["COMPLETE"] * 3


def test_it_goes_on_where_it_ended(tmp_path: Path) -> None:
    studied(Folder(tmp_path), 2)
    journal = studied(Folder(tmp_path), 3)
    study = optuna.load_study(study_name="x", storage=JournalStorage(journal))
    assert [trial.number for trial in study.trials] == list(range(5))


def test_a_line_that_a_crash_tore_off_is_skipped(tmp_path: Path) -> None:
    studied(Folder(tmp_path), 2)
    file = tmp_path / "optuna.journal"
    file.write_bytes(file.read_bytes() + b'{"op_code": 4, "worker\xff')
    studied(Folder(tmp_path), 1)
    study = optuna.load_study(
        study_name="x", storage=JournalStorage(FolderJournal(Folder(tmp_path)))
    )
    assert len(study.trials) == 3


def test_nothing_is_written_before_it_is_flushed(tmp_path: Path) -> None:
    journal = FolderJournal(Folder(tmp_path))
    optuna.create_study(study_name="x", storage=JournalStorage(journal))
    assert not (tmp_path / "optuna.journal").exists()
    journal.flush()
    assert (tmp_path / "optuna.journal").exists()
