"""2:4: layers that a plan has pruned run in torch's semi-structured kernels, right and how fast.

torch has two sorts of them: of cuSPARSELt, and of CUTLASS, which it has for GPUs of compute
capability 8.x alone. They take half-precision weights whose sides are multiples of 32 and 64 here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.sparse import SparseSemiStructuredTensor, to_sparse_semi_structured

from benchmarks.measuring import Figure, ratios
from benchmarks.on_gpu.setting import Found, Last, Setting, apart
from study.pruning import PruningPlan, run_pipeline
from study.pruning.selection.regular_masks import n_of_m

CALL = "torch.sparse.to_sparse_semi_structured"
SAME = 0.005
"""Relative: both add up float16 products in float32, in another order, and round to float16."""

BATCHES = (64, 1_024, 8_192)


def check(setting: Setting) -> Found:
    """Prune a network to 2:4 and run its layers; then time a large layer."""
    width = setting.pick(1_024, 64)
    task = setting.task(
        "mlp", (1, 32, 32), setting.pick(1_024, 32), {"widths": [width, width]}, epochs=1,
        batch_size=32, lr=0.02,
    )  # fmt: skip
    plan, last = PruningPlan(structure="2:4", retrain_epochs=1), Last()
    list(run_pipeline(plan, task, observer=last))
    weights = {
        name: weight.detach()
        for name, weight in last.masked.weights.items()
        if name in ("fc1", "fc2")
    }
    figures = [
        Figure.of(
            f"{name}, {_shape(weight)}, pruned by a plan: groups of 4 inputs with more than 2 kept",
            "groups",
            [int(((weight.reshape(len(weight), -1, 4) != 0).sum(2) > 2).sum())],
            "<= 0",
        )
        for name, weight in weights.items()
    ]
    kinds, notes = _kinds(setting)
    for kind in kinds:
        for name, weight in weights.items():
            figures.append(_parity(f"{kind}, {name}, {_shape(weight)}", kind, weight))
        figures += _speed(setting, kind, _large(setting))
    return Found(tuple(figures), skipped=() if kinds else (CALL,), notes=notes)


def _kinds(setting: Setting) -> tuple[list[str], tuple[str, ...]]:
    """Which kernels there are here, and why not the others."""
    if not setting.on_gpu:
        return [], ()
    major, minor = torch.cuda.get_device_capability(setting.device)
    reasons = {}
    if not torch.backends.cusparselt.is_available():
        reasons["cuSPARSELt"] = "this torch is built without it"
    elif major < 8:
        reasons["cuSPARSELt"] = f"needs compute capability 8.0, not {major}.{minor}"
    if major != 8:
        reasons["CUTLASS"] = f"needs compute capability 8.x, not {major}.{minor}"
    kinds = [kind for kind in ("cuSPARSELt", "CUTLASS") if kind not in reasons]
    return kinds, tuple(f"No kernels of {kind}: {why}." for kind, why in reasons.items())


@contextmanager
def _kernels(kind: str) -> Iterator[None]:
    """Have torch take kernels of one kind; it has no public switch."""
    before = SparseSemiStructuredTensor._FORCE_CUTLASS
    SparseSemiStructuredTensor._FORCE_CUTLASS = kind == "CUTLASS"
    try:
        yield
    finally:
        SparseSemiStructuredTensor._FORCE_CUTLASS = before


def _layer(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A dense layer of these, whatever kind of tensor the weight is."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer.weight = nn.Parameter(weight, requires_grad=False)
    layer.bias = nn.Parameter(bias, requires_grad=False)
    return layer


def _pair(kind: str, weight: Tensor) -> dict[str, nn.Linear]:
    """The layer in float16, dense with its zeros, and compressed."""
    half = weight.half().contiguous()
    bias = torch.linspace(-1, 1, len(half), device=half.device, dtype=half.dtype)
    with _kernels(kind):
        compressed = to_sparse_semi_structured(half)
    return {"dense": _layer(half, bias), "sparse": _layer(compressed, bias)}


def _parity(who: str, kind: str, weight: Tensor) -> Figure:
    pair = _pair(kind, weight)
    inputs = torch.randn(256, weight.shape[1], device=weight.device, dtype=torch.float16)
    with torch.inference_mode():
        found = pair["sparse"](inputs)
    expected = functional.linear(
        inputs.double(), weight.half().double(), pair["dense"].bias.double()
    )
    return Figure.of(
        f"{who}: outputs against float64", "relative", [apart(found, expected)], f"<= {SAME}"
    )


def _large(setting: Setting) -> Tensor:
    """A weight of a size that fills a GPU, pruned to 2:4 by magnitude."""
    weight = torch.randn(4_096, 4_096, device=setting.device)
    return weight * n_of_m(weight.abs(), torch.ones_like(weight, dtype=torch.bool))


def _speed(setting: Setting, kind: str, weight: Tensor) -> list[Figure]:
    figures = [_parity(f"{kind}, large layer, {_shape(weight)}", kind, weight)]
    pair = _pair(kind, weight)
    for batch in BATCHES:
        inputs = torch.randn(batch, weight.shape[1], device=weight.device, dtype=torch.float16)
        times = setting.latencies_ms(pair, inputs, {})
        figures += [
            Figure.of(f"{_shape(weight)} in float16, batch {batch}: dense", "ms", times["dense"]),
            Figure.of(
                f"{kind}, {_shape(weight)}, batch {batch}",
                "x as fast as dense",
                ratios(times["dense"], times["sparse"]),
            ),
        ]
    return figures


def _shape(weight: Tensor) -> str:
    return " x ".join(map(str, weight.shape))
