"""A race of recipes as one program: whole descents side by side, against one after the other.

The recipes differ in what a race tries: share that a round cuts, epochs a round, way of retraining
and allocation. Each packed descent must come to what it comes to alone, up to rounding; the goal
for the speed is that of ``benchmarks/packed_trials.py``. How much of the time goes to putting
batches together one by one is measured too, for that is work of the CPU.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from itertools import product

from benchmarks.measuring import Figure, ratios
from benchmarks.on_gpu.setting import Found, Setting, plain_float32
from study.pruning import PruningPlan, run_packed, run_pipeline, train_dense
from study.pruning.packed.pipelines import _Lane
from study.pruning.training.trajectory import Trajectory
from study.records import RoundRecord
from study.tasks import Task

FINAL_DENSITY = 0.2
REWIND_EPOCH = 0.5
SAME = 0.01
"""By how much a validation loss may differ, relative to it, after hundreds of steps.

On a CPU it is 5e-5 at most at the whole size; with a learning rate of 0.1 it would be 1e-2.
"""


def recipes(cuts: Sequence[float], epochs: Sequence[float]) -> list[PruningPlan]:
    """Descents to one density, two ways and two allocations of each cut and length."""
    return [
        PruningPlan(
            sparsity=1 - FINAL_DENSITY,
            rounds=round(math.log(FINAL_DENSITY) / math.log(1 - cut)),
            retrain_epochs=length,
            retrain=way,
            rewind_epoch=REWIND_EPOCH,
            allocation=allocation,
        )
        for cut, length, way, allocation in product(
            cuts, epochs, ("lr_rewind", "weight_rewind"), ("global", "lamp")
        )
    ]


def check(setting: Setting) -> Found:
    """Race on a dense network and on a convolutional one."""
    cases: dict[str, tuple[tuple[int, ...], int]] = setting.pick(
        {"lenet300": ((1, 28, 28), 1_920), "small_cnn": ((1, 16, 16), 1_920)},
        {"mlp": ((8, 8), 320)},
    )
    plans = setting.pick(recipes((0.36, 0.54), (1, 2)), recipes((0.55,), (1, 2))[::3])
    lr = setting.pick(0.02, 0.1)
    figures: list[Figure] = []
    for model, (shape, examples) in cases.items():
        task = setting.task(model, shape, examples, epochs=2, batch_size=32, lr=lr)
        dense = train_dense(task, plans[0].seeds, [REWIND_EPOCH])
        figures += _race(setting, task, plans, dense)
        figures.append(_batches(setting, task, plans[0], dense))
    return Found(tuple(figures))


def _race(
    setting: Setting, task: Task, plans: list[PruningPlan], dense: Trajectory
) -> list[Figure]:
    starts = [dense] * len(plans)
    found: dict[int, list[RoundRecord]] = {place: [] for place in range(len(plans))}
    with plain_float32():
        for place, record in run_packed(plans, task, starts):
            found[place].append(record)
        alone = [list(run_pipeline(plan, task, dense)) for plan in plans]
    pairs = [
        (mine, theirs)
        for place, records in found.items()
        for mine, theirs in zip(records, alone[place], strict=True)
    ]
    loss = max(abs(mine.val_loss - theirs.val_loss) / theirs.val_loss for mine, theirs in pairs)
    kept = sum(mine.nonzero_parameters != theirs.nonzero_parameters for mine, theirs in pairs)

    together_s, alone_s = [], []
    for _ in range(setting.pick(2, 1)):  # what the device does for the first time is behind it
        together_s.append(_seconds(setting, lambda: list(run_packed(plans, task, starts))))
        alone_s.append(
            _seconds(setting, lambda: [list(run_pipeline(plan, task, dense)) for plan in plans])
        )
    who, goal = f"{task.name}, {len(plans)} recipes", setting.pick(">= 10", "")
    return [
        Figure.of(f"{who}: validation loss, largest change", "relative", [loss], f"<= {SAME}"),
        Figure.of(f"{who}: rounds with another size", "rounds", [kept], "<= 0"),
        Figure.of(f"{who}: one program", "s", together_s),
        Figure.of(f"{who}: one program", "x one by one", ratios(alone_s, together_s), goal),
    ]


def _seconds(setting: Setting, call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    setting.wait()
    return time.perf_counter() - began


def _batches(setting: Setting, task: Task, plan: PruningPlan, dense: Trajectory) -> Figure:
    """What it takes to put together the batch of one descent, of each of which there are many."""
    lane = _Lane(0, plan, task, dense)
    lane.measure_and_cut()

    times = setting.times_ms({"batch": lane.batch}, calls=setting.pick(100, 2))
    return Figure.of(f"{task.name}: batch of one recipe", "ms", times["batch"])
