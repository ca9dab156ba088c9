"""The layers of every round, one row each."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from analysis.reading.files.rules import Rules
from analysis.reading.files.schema import layer_schema, round_layers_schema
from analysis.reading.files.trial_lines import read_trials
from study.files.problems import Problem, Problems
from study.records import ROUNDS_FILE, TRIALS_DIR, RoundRecord
from study.storage import Folder

RULES = Rules(RoundRecord, of_layers=True)


def read_layers(
    folder: Folder,
    name: str,
    rounds: pd.DataFrame,
    problems: Problems,
    cache: bool | None,
) -> pd.DataFrame:
    """Read the layers of the rounds that were loaded before.

    Other rounds, those that were finished since and those that could not be read, are left out, so
    that the frames agree.
    """
    ids = list(rounds["trial_id"].unique())
    columns = _flat_schema().remove(0)
    table = read_trials(
        folder, ids, "layers", round_layers_schema(), RULES, problems, cache, _flat, columns
    )
    frame: pd.DataFrame = table.to_pandas()
    frame["trial_id"] = frame["trial_id"].astype("str")
    frame["layer"] = frame["layer"].astype("str")
    frame.insert(0, "study", pd.Series(name, index=frame.index, dtype="str"))
    frame = _only_loaded(frame, rounds)
    keys = ["trial_id", "round", "layer"]
    again = frame.duplicated(keys, keep="last")
    for trial_id, round_ in frame[again][keys[:2]].drop_duplicates().itertuples(index=False):
        file = f"{TRIALS_DIR}/{trial_id}/{ROUNDS_FILE}"
        if "more than once" not in problems.get(file, ""):  # as it is of a round that is
            said = f"layers: round {round_} has one more than once, and it counts as the last"
            problems.add(file, [Problem(said)])
    return frame[~again].reset_index(drop=True) if again.any() else frame


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
    names = pd.Index(rounds["trial_id"].unique())
    wanted, have = (
        names.get_indexer(each["trial_id"]) * 2**32 + each["round"].to_numpy()
        for each in (rounds, frame)
    )
    loaded = np.isin(have, wanted)
    return frame if loaded.all() else frame[loaded].reset_index(drop=True)
