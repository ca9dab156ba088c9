"""What a network will take, by the sum of its layers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

from torch import nn

from study.pruning.latency.backends import in_evaluation
from study.pruning.latency.layers import LayerCall, layer_calls
from study.pruning.latency.table import EMPTY, LayerTable
from study.tasks.forward import call

Name = TypeVar("Name", bound=Hashable)


def predict_latency(
    model: nn.Module,
    inputs: Any,
    table: LayerTable,
    *,
    scale: float = 1.0,
    run: Callable[[nn.Module, Any], Any] = call,
) -> float:
    """What one call of a network takes, by a table of its layers' times.

    The network is run once, to see which layers it runs and of which sizes. Layers that the table
    lacks are measured on the spot and kept. The prediction is ``empty + scale * sum``: what a call
    takes that does nothing, and what each layer takes beyond that.

    Parameters
    ----------
    model
        Without its pruned channels: a zero is counted as any other weight.
    inputs
        One batch, on the model's device; see :func:`~study.pruning.latency.measuring.\
measure_latency`.
    table
        Of this machine, and of the backend that is asked about.
    scale
        For what lies between layers: additions, reshapes, activations that are no modules, data
        that are no longer in the caches. :func:`scale_of` finds it by the dense network.
    run
        ``(model, inputs) -> outputs`` instead of ``model(inputs)``.

    Returns
    -------
    float
        Milliseconds.

    Raises
    ------
    UsageError
        If a layer that is not in the table cannot run in its backend.
    """
    return predict_latencies({"": model}.items(), inputs, table, scale=scale, run=run)[""]


def predict_latencies(
    models: Iterable[tuple[Name, nn.Module]],
    inputs: Any,
    table: LayerTable,
    *,
    scale: float = 1.0,
    run: Callable[[nn.Module, Any], Any] = call,
) -> dict[Name, float]:
    """The same of many networks, whose layers are measured together: in far less time.

    Parameters
    ----------
    models
        Each with its name. They are taken one by one, and only layers of new sizes are held.
    inputs, table, scale, run
        As of :func:`predict_latency`.

    Returns
    -------
    dict
        Milliseconds by name.
    """
    sizes: dict[Name, list[str]] = {}
    lacking: dict[str, LayerCall] = {}
    for name, model in models:
        calls = _calls(model, inputs, table, run)
        sizes[name] = [each.size for each in calls]
        fresh = (each for each in calls if each.size not in table.times)
        lacking.update((each.size, each) for each in fresh if each.size not in lacking)
    table.measure(lacking.values())
    empty_ms = table.times[EMPTY].median_ms
    return {
        name: empty_ms + scale * sum(table.times[size].median_ms for size in own)
        for name, own in sizes.items()
    }


def scale_of(
    dense: nn.Module,
    dense_ms: float,
    inputs: Any,
    table: LayerTable,
    *,
    run: Callable[[nn.Module, Any], Any] = call,
) -> float:
    """What a dense network was measured to take, over the sum of its layers.

    Parameters
    ----------
    dense
        The network that others are pruned from.
    dense_ms
        What it takes, as :func:`~study.pruning.latency.measuring.measure_latency` has found.
    inputs, table, run
        As of :func:`predict_latency`.
    """
    calls = _calls(dense, inputs, table, run)
    table.measure(calls)
    return (dense_ms - table.times[EMPTY].median_ms) / _sum_ms(calls, table)


def _calls(
    model: nn.Module, inputs: Any, table: LayerTable, run: Callable[[nn.Module, Any], Any]
) -> list[LayerCall]:
    with in_evaluation([model]):
        return layer_calls(model, inputs, run, fused=table.machine.backend == "onnxruntime")


def _sum_ms(calls: list[LayerCall], table: LayerTable) -> float:
    return sum(table.times[each.size].median_ms for each in calls)
