"""Controls beside replicates, and what the test split said: read when they are asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.reading.confirmation import PARTS, usual_parts, with_parts
from analysis.reading.metrics import Metrics
from study.files.documents import noted, read_document, read_lines
from study.files.problems import Problems
from study.records import (
    CONFIRMATION_FILE,
    CONTROLS,
    CONTROLS_DIR,
    ORIGIN_FILE,
    OUTCOME_FILE,
    REPLICATE,
    ROUNDS_FILE,
    TEST_FILE,
    TRIALS_DIR,
    ConfirmationRecord,
    HeldOutRecord,
    MetricRecord,
    Origin,
    RoundRecord,
    TrialOutcome,
)
from study.storage import Folder
from study.visible import visible


def read_controls(
    folder: Folder,
    study: str,
    metrics: Metrics,
    quality: MetricRecord,
    parts: int,
    problems: Problems,
) -> pd.DataFrame:
    """One row a control that reached the last round of its own plan.

    ``parts`` is how many parts the examples have by which replicates were judged; 0: as many as
    those of the control.

    Returns
    -------
    DataFrame
        control, role, of and replicate (the trial, and the one beside which the control stands),
        seed, round (of the network, whatever number the control's own has), density, each
        ``val_NAME`` and ``confirm_NAME``, examples, held_back and without (as of
        :func:`read_confirmation`; of older versions missing), train_epochs and train_samples: of a
        control that begins anew its own training, of the unpruned one the dense run too.
    """
    rows = []
    for name, origin in _origins(folder, problems):
        if origin.left_out is not None:
            continue
        place = (CONTROLS_DIR, name)
        if origin.role not in CONTROLS:
            problems["/".join(place)] = (
                "is of an older version, in which this control cut trained weights at random and "
                "fine-tuned them; it is not read. prune-study replicate runs today's"
            )
            continue
        outcome = read_document(folder, TrialOutcome, problems, *place, OUTCOME_FILE)
        records = read_lines(folder, RoundRecord, problems, *place, ROUNDS_FILE)
        if outcome is None or not records:
            continue  # still being made, or it failed before its first round
        rounds = [record.model_dump(exclude={"layers"}) for record in records]
        if rounds[-1]["round"] == outcome.rounds_planned:
            own = origin.model_dump(include={"role", "of", "replicate", "round"})
            judged = read_lines(folder, ConfirmationRecord, problems, *place, CONFIRMATION_FILE)
            own_parts = parts or usual_parts(judged, quality)
            judged = with_parts(judged, quality, own_parts, problems, *place)
            is_whole = len(judged) == len(rounds)
            on_confirmation = judged[-1].model_dump(exclude_unset=True) if is_whole else {}
            training = _own_training(own["role"], rounds)
            rows.append({**rounds[-1], **on_confirmation, **training, **own, "control": name})
        elif not any(file.startswith("/".join(place)) for file in problems):
            problems["/".join(place)] = f"ended before round {outcome.rounds_planned}"
    figures = [metric.column for metric in metrics]
    figures += [metric.confirm_column for metric in metrics]
    columns = ["control", "role", "of", "replicate", "seed", "round", "density", *figures]
    columns += ["examples", "held_back", *PARTS, "train_epochs", "train_samples"]
    frame = pd.DataFrame(rows, columns=columns)
    frame = frame.astype(dict.fromkeys(["density", *figures], "float64"))
    frame.insert(0, "study", pd.Series(study, index=frame.index, dtype="str"))
    return frame


def read_left_out(folder: Folder, study: str, problems: Problems) -> pd.DataFrame:
    """One row a control that could not be run: role, of, replicate, round, and left_out (why)."""
    columns = ["role", "of", "replicate", "round", "left_out"]
    origins = [origin for _, origin in _origins(folder, problems)]
    rows = [origin.model_dump() for origin in origins if origin.left_out is not None]
    frame = pd.DataFrame(rows, columns=columns)
    frame.insert(0, "study", pd.Series(study, index=frame.index, dtype="str"))
    return frame


def _origins(folder: Folder, problems: Problems) -> Iterator[tuple[str, Origin]]:
    """Controls by name, each with what it is."""
    names: list[str] = []
    with noted(problems, CONTROLS_DIR):
        names = folder.folders(CONTROLS_DIR)
        for name in folder.files(CONTROLS_DIR):
            problems[visible(f"{CONTROLS_DIR}/{name}")] = "is no folder of a control"
    for name in names:
        origin = read_document(folder, Origin, problems, CONTROLS_DIR, name, ORIGIN_FILE)
        if origin is not None:
            yield name, origin


def _own_training(role: Any, rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the weights of a control were trained for.

    Those of older versions that begin anew were charged for all that led to their mask.
    """
    if role == "dense" or len(rounds) == 1:
        return {}
    last, before = rounds[-1], rounds[-2]
    return {each: last[each] - before[each] for each in ("train_epochs", "train_samples")}


_REPLICATE_NAME = re.compile(rf"(.+)-round-\d+{REPLICATE}\d+")


def replicates_among(folder: Folder, ids: Sequence[str], problems: Problems) -> pd.Series:
    """Of which trial each one is a replicate; missing for those that the search asked for.

    One whose origin is lost is told by its name: it must not count as a result of the search.
    """
    of: list[str | None] = []
    for name in ids:
        if REPLICATE in name:  # the others need not be looked at: a study may have thousands
            origin = read_document(folder, Origin, problems, TRIALS_DIR, name, ORIGIN_FILE)
            named = _REPLICATE_NAME.fullmatch(name)
            of.append(origin.of if origin is not None else named[1] if named else None)
        else:
            of.append(None)
    return pd.Series(of, dtype="str")


def read_held_out(folder: Folder, study: str, metrics: Metrics, problems: Problems) -> pd.DataFrame:
    """One row a network whose test figures were read: trial_id, round, ``test_NAME`` a metric."""
    records = read_lines(folder, HeldOutRecord, problems, TEST_FILE)
    rows = [record.model_dump(exclude_unset=True) for record in records]
    figures = [metric.test_column for metric in metrics]
    frame = pd.DataFrame(
        rows, columns=["trial_id", "round", *figures, "examples", *PARTS, "read_at"]
    )
    frame = frame.astype(dict.fromkeys(figures, "float64"))
    frame.insert(0, "study", pd.Series(study, index=frame.index, dtype="str"))
    return frame


def add_test_figures(
    rounds: pd.DataFrame, folder: Folder, metrics: Metrics, problems: Problems
) -> pd.DataFrame:
    """The same rounds; those whose networks were read on the test split have its figures."""
    read = read_held_out(folder, "", metrics, problems)
    if read.empty:
        return rounds
    read = read.drop_duplicates(["trial_id", "round"], keep="last")
    figures = read.set_index(["trial_id", "round"])[[metric.test_column for metric in metrics]]
    keys = pd.MultiIndex.from_frame(rounds[["trial_id", "round"]])
    return rounds.assign(**{str(name): figures[name].reindex(keys).to_numpy() for name in figures})
