"""What is coupled to a layer's channels: a walk over torch-pruning's dependency graph.

Its own walk compares whole lists of channels, in their order, with those that it met before. Where
channels are rotated (the positions of a Llama) it meets ever new orders of the same channels, and
does not end. This one follows each channel once to each place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch_pruning._helpers import _HybridIndex

MOST_STEPS = 2_000
"""Steps that are followed from each channel of a layer, on average, before it is given up.

A network of dense blocks takes a few hundred; a flat image takes as many as it has places.
"""


class NotSeparableError(Exception):
    """Units of which one cannot be taken out without changing what the others do."""


@dataclass(frozen=True)
class Member:
    """Channels of a module that go with those of the first layer.

    Parameters
    ----------
    module
        A module of the model, a parameter, or an operation between modules.
    handler
        Name of the handler that torch-pruning has for them: which side of the module they are.
    entries
        Their places there.
    roots
        The channel of the first layer that each of them goes with.
    """

    module: Any
    handler: str
    entries: list[int]
    roots: list[int]


def members(graph: Any, root: Any) -> list[Member]:
    """All that goes with the outputs of a layer, which comes first.

    Parameters
    ----------
    graph
        A built ``torch_pruning.DependencyGraph``.
    root
        A module of it.

    Raises
    ------
    NotSeparableError
        If the graph is not to be followed from there, or several channels are one.
    """
    try:
        reached = _reached(graph, root)
    except NotSeparableError:
        raise
    except Exception as error:  # whatever a mapping of channels runs into
        raise NotSeparableError(
            f"torch-pruning cannot follow them ({type(error).__name__}: {error})"
        ) from error
    return [
        Member(node.module, handler.__name__, list(root_of), list(root_of.values()))
        for (node, handler), root_of in reached.items()
    ]


def _reached(graph: Any, root: Any) -> dict[tuple[Any, Any], dict[int, int]]:
    """The first layer's channel by place, by node and handler."""
    handler = graph.get_pruner_of_module(root).prune_out_channels
    start = [_HybridIndex(each, each) for each in range(graph.get_out_channels(root))]
    node = graph.module2node[root]
    reached = {(node, handler): dict(start)}
    todo = [(node, handler, start)]
    followed = 0
    while todo:
        node, handler, indices = todo.pop()
        for dependency in node.dependencies:
            if not dependency.is_triggered_by(handler):
                continue
            mapped = list(_mapped(dependency, indices))
            followed += len(mapped)
            if followed > MOST_STEPS * (len(start) + 10):
                raise NotSeparableError("torch-pruning finds no end of what is coupled to them")
            place = (dependency.target, dependency.handler)
            fresh = _add(reached.setdefault(place, {}), mapped) if mapped else []
            if fresh:
                todo.append((*place, fresh))
    return reached


def _add(root_of: dict[int, int], mapped: list[Any]) -> list[Any]:
    """Note channels at a place; those that were not known there."""
    fresh = []
    for index in mapped:
        if index.idx not in root_of:
            root_of[index.idx] = index.root_idx
            fresh.append(index)
        if index.root_idx is None or root_of[index.idx] != index.root_idx:
            raise NotSeparableError("several of them are mixed with each other on the way")
    return fresh


def _mapped(dependency: Any, indices: list[Any]) -> Iterator[Any]:
    for mapping in dependency.index_mapping:
        if mapping is not None:
            indices = mapping(indices)
    yield from indices
