"""A scan that is cut off goes on at the layer where it stood, to the same figures."""

from pathlib import Path
from typing import Literal

import pytest

from study.configuration.searching import SensitivityTable
from study.errors import UsageError
from study.pruning.plan import PruningPlan
from study.pruning.sensitivity.channels import scan_channels
from study.pruning.sensitivity.found import Scan, ScannedLayer, Watcher
from study.pruning.sensitivity.weights import scan
from study.pruning.training.trajectory import dense_steps, train_dense
from study.records import SCANNED_LAYERS_FILE
from study.storage import Folder
from study.tuning.dense_runs.scan_files import ScannedLayers, stored_scan, write_scan
from study.tuning.ending import StopRequestedError, StopWatch
from tests.pruning.sensitivity.test_channels import chain_task

WANTED = SensitivityTable(levels=(0.5, 0.9), recovery_epochs=0.5)
PLAN = PruningPlan(sparsity=0.0, structure="channels", seed=3)

Kind = Literal["weights", "channels"]


class Counting:
    """Counts the levels that are tried."""

    def __init__(self, within: Watcher) -> None:
        self.within, self.tried = within, 0

    def known(self, layer: str) -> ScannedLayer | None:
        return self.within.known(layer)

    def level_tried(self) -> None:
        self.tried += 1
        self.within.level_tried()

    def layer_scanned(self, found: ScannedLayer) -> None:
        self.within.layer_scanned(found)


class Asked(StopWatch):
    """Asks for an end after so many looks."""

    def __init__(self, looks: float) -> None:
        self.looks = looks

    def is_asked(self) -> bool:
        self.looks -= 1
        return self.looks < 0


def scanned(kind: Kind, watcher: Watcher | None) -> Scan:
    task = chain_task()
    state = train_dense(task, PLAN.seeds, []).states[dense_steps(task)]
    asked = {"levels": WANTED.levels, "recovery_epochs": WANTED.recovery_epochs}
    if kind == "weights":
        return scan(task, state, PLAN.seeds, seed=3, watcher=watcher, **asked)  # type: ignore[arg-type]
    return scan_channels(task, state, PLAN, watcher=watcher, **asked)  # type: ignore[arg-type]


def layers(folder: Folder, looks: float = float("inf"), **changes: object) -> Counting:
    wanted = WANTED.model_copy(update=changes)
    return Counting(ScannedLayers(folder, wanted, Asked(looks)).of(3))


@pytest.mark.parametrize("kind", ["weights", "channels"])
def test_a_scan_that_was_cut_off_goes_on_with_the_next_layer(kind: Kind, tmp_path: Path) -> None:
    folder, whole = Folder(tmp_path), scanned(kind, None)
    assert len({each.layer for each in whole.records}) > 1
    with pytest.raises(StopRequestedError):
        scanned(kind, layers(folder, looks=3))  # within the second layer
    again = layers(folder)
    assert scanned(kind, again) == whole
    assert again.tried == len(whole.records) - 2
    write_scan(folder, whole)
    assert stored_scan(folder) == whole
    assert not folder.exists(SCANNED_LAYERS_FILE)


def test_layers_of_another_seed_or_other_levels_are_not_taken(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    whole = scanned("weights", layers(folder))
    first = whole.records[0].layer
    assert layers(folder).known(first) is not None
    assert layers(folder, levels=(0.5,)).known(first) is None
    assert layers(folder, recovery_epochs=1.0).known(first) is None
    assert ScannedLayers(folder, WANTED, Asked(0)).of(4).known(first) is None


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / SCANNED_LAYERS_FILE).write_bytes(b"PAR1 and no more")
    with pytest.raises(UsageError, match=r"scanned_layers.parquet is damaged.*Remove it"):
        layers(Folder(tmp_path))
