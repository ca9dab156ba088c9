import dataclasses
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from study.errors import UsageError
from study.tasks.data.structures import (
    count,
    describe,
    joined,
    leaves,
    map_leaves,
    rows,
    to_device,
    usual_type,
)


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclasses.dataclass
class Graph:
    """Checks what it is made of, and makes a part of its own."""

    nodes: Any
    edges: Any
    names: str = "none"
    size: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        assert self.nodes is not None
        self.size = 3


@dataclasses.dataclass(slots=True, frozen=True)
class Slots:
    x: Any


N = 6
tensors = st.integers(1, 3).map(lambda width: torch.arange(N * width).reshape(N, width))
structures = st.recursive(
    tensors,
    lambda inner: st.one_of(
        st.dictionaries(st.sampled_from("abc"), inner, min_size=1),
        st.lists(inner, min_size=1, max_size=3),
        st.tuples(inner, inner),
        st.builds(Pair, inner, inner),
        st.builds(Graph, inner, inner),
        st.builds(Slots, inner),
    ),
    max_leaves=8,
)


def flat(structure: Any) -> list[Any]:
    """Types and numbers of a structure, depth first."""
    if isinstance(structure, Tensor):
        return [structure.tolist()]
    if isinstance(structure, dict):
        parts: Any = structure.values()
    elif dataclasses.is_dataclass(structure):
        parts = [getattr(structure, field.name) for field in dataclasses.fields(structure)]
    elif isinstance(structure, (tuple, list)):
        parts = structure
    else:
        return [structure]
    return [type(structure), *(x for part in parts for x in flat(part))]


@given(structures, st.integers(1, N - 1))
def test_a_structure_taken_apart_and_joined_is_what_it_was(structure: Any, cut: int) -> None:
    parts = [rows(structure, torch.arange(cut)), rows(structure, torch.arange(cut, N))]
    assert flat(joined(parts, [cut, N - cut])) == flat(structure)


@given(structures)
def test_nothing_but_the_leaves_changes(structure: Any) -> None:
    assert flat(map_leaves(lambda x: x, structure)) == flat(structure)
    assert flat(to_device(structure, torch.device("cpu"))) == flat(structure)
    doubled = map_leaves(torch.add, structure, structure)
    assert [x.tolist() for x in leaves(doubled)] == [(2 * x).tolist() for x in leaves(structure)]
    assert count("x", structure) == N


@given(structures, st.lists(st.integers(0, N - 1), min_size=1, max_size=8))
def test_rows_of_every_leaf_are_those_asked_for(structure: Any, places: list[int]) -> None:
    taken = rows(structure, torch.tensor(places))
    for whole, part in zip(leaves(structure), leaves(taken), strict=True):
        assert [whole[i].tolist() for i in places] == part.tolist()


@pytest.mark.parametrize(
    ("structure", "message"),
    [
        ({"a": torch.zeros(3), "b": torch.zeros(4)}, "lengths 3, 4"),
        (torch.tensor(1.0), "lengths None"),
        ({}, "none at all"),
        ("text", "none at all"),
    ],
)
def test_what_has_no_one_length_is_refused(structure: Any, message: str) -> None:
    with pytest.raises(UsageError, match=f"train inputs: .*{message}"):
        count("train inputs", structure)


def test_one_example_is_described_in_words() -> None:
    x = torch.zeros(5, 2)
    assert describe(x) == "float32 (2,)"
    assert (
        describe({"a": x, "b": (np.zeros(5, np.uint8), 3)})
        == "{a: float32 (2,), b: (uint8 (), int)}"
    )
    assert describe(Slots(x)) == "Slots({x: float32 (2,)})"


@pytest.mark.parametrize(
    ("kind", "usual"),
    [
        (torch.float64, torch.float32),
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.int32, torch.int64),
        (torch.uint16, torch.int64),
        (torch.uint8, torch.uint8),
        (torch.bool, torch.bool),
        (torch.complex64, torch.complex64),
    ],
)
def test_types_become_those_that_losses_take(kind: torch.dtype, usual: torch.dtype) -> None:
    assert usual_type(torch.ones(2).to(kind)).dtype == usual


def test_rows_of_an_array_are_copies_that_can_be_written_to(tmp_path: Any) -> None:
    np.save(tmp_path / "x.npy", np.arange(12.0, dtype=np.float32).reshape(6, 2))
    array = np.load(tmp_path / "x.npy", mmap_mode="r")
    part = rows({"x": array}, torch.tensor([4, 1]))["x"]
    assert part.tolist() == [[8, 9], [2, 3]]
    part.zero_()
    assert array.sum() == 66
