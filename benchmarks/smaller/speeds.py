"""How much faster the networks are that a comparison left behind, as ONNX files."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime

from benchmarks.smaller.tasks import SHAPE
from study.pruning.latency.turns import Timed, take_turns

ROUNDS = 5


def speedups(dense: Path, narrow: Mapping[str, Path], batch_size: int) -> dict[str, float]:
    """The dense network's latency over each other's, in ONNX Runtime on one thread.

    Networks take turns; the figure is the median of :data:`ROUNDS` ratios of medians.
    """
    networks = {"dense": _timed(dense, batch_size)}
    networks |= {name: _timed(path, batch_size) for name, path in narrow.items()}
    rounds = [take_turns(networks, repeats=30, warm_up=3, seed=seed) for seed in range(ROUNDS)]
    return {
        name: median(float(np.median(r["dense"]) / np.median(r[name])) for r in rounds)
        for name in narrow
    }


def _timed(path: Path, batch_size: int) -> Timed:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).normal(size=(batch_size, *SHAPE)).astype(np.float32)
    feed = {session.get_inputs()[0].name: image}

    def timed(calls: int) -> float:
        begin_ns = time.perf_counter_ns()
        for _ in range(calls):
            session.run(None, feed)
        return (time.perf_counter_ns() - begin_ns) / 1e6

    return timed
