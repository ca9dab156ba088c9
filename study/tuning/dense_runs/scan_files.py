"""A scan as a study's folder keeps it: when it is finished, and layer by layer before."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from study.configuration.searching import SensitivityTable
from study.errors import UsageError
from study.pruning.sensitivity.found import Scan, ScannedLayer
from study.records import SCANNED_LAYERS_FILE, SENSITIVITY_FILE, SensitivityRecord
from study.storage import Folder
from study.tuning.ending import StopRequestedError, StopWatch

_SPENT, _LAYERS = b"train_samples", b"layers"


def to_parquet(records: Sequence[SensitivityRecord], train_samples: int = 0) -> bytes:
    """A scan as a table, with what it cost; columns that no record fills are left out."""
    return _packed(records, {_SPENT: str(train_samples)})


def stored_scan(study: Folder) -> Scan | None:
    """The scan that a study keeps; None where it has none yet.

    Raises
    ------
    UsageError
        If its file is damaged.
    """
    if not study.exists(SENSITIVITY_FILE):
        return None
    records, facts = _unpacked(study, SENSITIVITY_FILE)
    return Scan(records, int(facts.get(_SPENT, b"0")))


def write_scan(study: Folder, found: Scan) -> None:
    """Keep a finished scan; its layers need not be kept one by one any more."""
    if found.records:
        study.write(to_parquet(found.records, found.train_samples), SENSITIVITY_FILE)
    study.remove(SCANNED_LAYERS_FILE)


class ScannedLayers:
    """The layers of a scan that are finished, for whoever goes on with it.

    Records go through Parquet, which has infinities and NaN as they are: a scan that was cut off
    comes to the same figures to the bit.

    Parameters
    ----------
    study
        Folder of the study.
    wanted
        What is scanned; layers that were scanned at other levels, or with another recovery, are
        scanned again.
    stop
        Says when to end the scan.

    Raises
    ------
    UsageError
        If the file of an earlier attempt is damaged.
    """

    def __init__(self, study: Folder, wanted: SensitivityTable, stop: StopWatch) -> None:
        self._study, self._stop = study, stop
        self._found: dict[tuple[int, str], ScannedLayer] = {}
        if not study.exists(SCANNED_LAYERS_FILE):
            return
        records, facts = _unpacked(study, SCANNED_LAYERS_FILE)
        for seed, layer, evaluated, trained in json.loads(facts.get(_LAYERS, b"[]")):
            own = tuple(each for each in records if (each.seed, each.layer) == (seed, layer))
            tried = [(each.sparsity, each.recovery_epochs) for each in own]
            if tried == [(level, wanted.recovery_epochs) for level in wanted.levels]:
                self._found[seed, layer] = ScannedLayer(layer, own, evaluated, trained)

    def of(self, seed: int) -> OfSeed:
        """Those of one dense network, as a scan of it asks for them."""
        return OfSeed(self, seed)

    def known(self, seed: int, layer: str) -> ScannedLayer | None:
        """A layer that is finished."""
        return self._found.get((seed, layer))

    def look(self) -> None:
        """Look whether the scan is to end.

        Raises
        ------
        StopRequestedError
            If it is.
        """
        if self._stop.is_asked():
            raise StopRequestedError

    def keep(self, seed: int, found: ScannedLayer) -> None:
        """Keep a layer that is finished, with all before it: a reader meets no torn file."""
        self._found[seed, found.layer] = found
        records = [record for each in self._found.values() for record in each.records]
        layers = [
            [own_seed, layer, each.evaluated, each.trained]
            for (own_seed, layer), each in self._found.items()
        ]
        self._study.write(_packed(records, {_LAYERS: json.dumps(layers)}), SCANNED_LAYERS_FILE)


class OfSeed:
    """The finished layers of one dense network: a :class:`~.found.Watcher` of its scan."""

    def __init__(self, layers: ScannedLayers, seed: int) -> None:
        self._layers, self._seed = layers, seed

    def known(self, layer: str) -> ScannedLayer | None:
        """A layer that need not be scanned again."""
        return self._layers.known(self._seed, layer)

    def level_tried(self) -> None:
        """Look whether the scan is to end."""
        self._layers.look()

    def layer_scanned(self, found: ScannedLayer) -> None:
        """Keep it."""
        self._layers.keep(self._seed, found)


def _packed(records: Sequence[SensitivityRecord], facts: dict[bytes, str]) -> bytes:
    buffer = io.BytesIO()
    table = pa.Table.from_pylist([record.model_dump(exclude_none=True) for record in records])
    pq.write_table(table.replace_schema_metadata(facts), buffer)
    return buffer.getvalue()


def _unpacked(study: Folder, name: str) -> tuple[tuple[SensitivityRecord, ...], dict[bytes, bytes]]:
    try:
        table = pq.read_table(io.BytesIO(study.read(name)))
        rows = map(_filled, table.to_pylist())
        return tuple(map(SensitivityRecord.model_validate, rows)), table.schema.metadata or {}
    except (pa.ArrowException, ValueError) as error:
        raise UsageError(
            f"{study.location}/{name} is damaged: {error}. Remove it, and the layers are scanned "
            "again."
        ) from error


def _filled(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}
