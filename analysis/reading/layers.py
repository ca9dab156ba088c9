"""The layers of every round, one row each."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from analysis.reading.files.schema import layer_schema, round_layers_schema
from analysis.reading.files.trial_lines import read_trials
from study.storage import Folder


def read_layers(
    folder: Folder,
    name: str,
    rounds: pd.DataFrame,
    problems: dict[str, str],
    cache: bool | None,
) -> pd.DataFrame:
    """Read the layers of the rounds that were loaded before.

    A round that was finished since is left out, so that the frames agree.
    """
    ids = list(rounds["trial_id"].unique())
    columns = _flat_schema().remove(0)
    table = read_trials(
        folder, ids, "layers", round_layers_schema(), problems, cache, _flat, columns
    )
    frame: pd.DataFrame = table.to_pandas()
    frame["trial_id"] = frame["trial_id"].astype("str")
    frame["layer"] = frame["layer"].astype("str")
    frame.insert(0, "study", pd.Series(name, index=frame.index, dtype="str"))
    return _only_loaded(frame, rounds)


def _flat(table: pa.Table) -> pa.Table:
    column = pa.concat_arrays(table["layers"].chunks)
    trials = pa.concat_arrays(table["trial_id"].chunks)
    parents = pc.list_parent_indices(column)
    layers = pc.list_flatten(column)
    fields = {name: pc.struct_field(layers, name) for name in layer_schema().names}
    fields["layer"] = fields["layer"].dictionary_encode()
    rounds = pa.concat_arrays(table["round"].chunks)
    flat = {"trial_id": trials.take(parents), "round": rounds.take(parents), **fields}
    return pa.table(flat, schema=_flat_schema())


def _flat_schema() -> pa.Schema:
    text = pa.dictionary(pa.int32(), pa.string())
    fields = [("trial_id", text), ("round", pa.int64())]
    return pa.schema(
        fields + [(f.name, text if f.name == "layer" else f.type) for f in layer_schema()]
    )


def _only_loaded(frame: pd.DataFrame, rounds: pd.DataFrame) -> pd.DataFrame:
    last = rounds.groupby("trial_id", sort=False)["round"].max()
    late = frame["round"].to_numpy() > frame["trial_id"].map(last).to_numpy(dtype=np.float64)
    frame = frame[~late] if late.any() else frame
    keys = ["trial_id", "round", "layer"]
    if frame.duplicated(keys).any():
        frame = frame.drop_duplicates(keys, keep="last")
    return frame.reset_index(drop=True)
