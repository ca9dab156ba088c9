"""How long the searcher takes to draw the next plan, after 100, 1,000 and 10,000 observations.

Observations are networks of random plans with made-up results, told to the study at once; the
journal is in a file, as in a study.
"""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from benchmarks.measuring import Figure
from search_spaces import Layer, SearchSpace
from study.tuning.search.drawing import draw_plan
from study.tuning.search.samplers import make_sampler
from study.tuning.search.searcher import PlanSearcher

LAYERS = tuple(Layer(f"fc{number}", 10_000 * number, "linear") for number in range(1, 6))
SPACE = SearchSpace(rounds=(1, 6), retrain_epochs=(1, 8), rewind_epoch=(0, 4))


def measure(quick: bool = False) -> list[Figure]:
    """Milliseconds of one draw."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    figures = []
    for sampler in ("tpe", "nsga2", "random"):
        for count in (100, 1_000) if quick else (100, 1_000, 10_000):
            with tempfile.TemporaryDirectory() as scratch:
                backend = JournalFileBackend(str(Path(scratch) / "journal"))
                study = _told(sampler, count, JournalStorage(backend))
                times = _draws_ms(study, 5 if count == 10_000 else 15)
            figures.append(Figure.of(f"{sampler} after {count:,} observations", "ms", times))
    return figures


def _told(sampler: str, count: int, storage: JournalStorage) -> optuna.Study:
    study = optuna.create_study(
        storage=storage,
        sampler=make_sampler(sampler, 0),
        directions=["maximize", "minimize"],
    )
    source = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trials = []
    for _ in range(count):
        asked = source.ask()
        plan = draw_plan(SPACE, asked, LAYERS, 0)
        density = 0.01 ** (plan.rounds / 6)
        trials.append(
            optuna.trial.create_trial(
                params=asked.params,
                distributions=asked.distributions,
                values=[0.98 - 0.01 * math.sqrt(1 / density), density],
            )
        )
    study.add_trials(trials)
    return study


def _draws_ms(study: optuna.Study, repeats: int) -> list[float]:
    searcher = PlanSearcher(study, SPACE, LAYERS, ["val_accuracy", "density"], 0, {})
    times = []
    for number in range(repeats + 1):
        begin = time.perf_counter()
        searcher.suggest(str(number))
        times.append((time.perf_counter() - begin) * 1000)
    return times[1:]  # the first one reads the whole journal
