"""The walk over torch-pruning's graph against its own, and where that one does not end."""

import warnings

import pytest
import torch
import torch_pruning
from torch import Tensor, nn

from study.pruning.structure.coupling import NotSeparableError, members
from study.pruning.structure.finding import separable_channels
from tests.pruning.structure.networks import NETWORKS, network


def graph_of(model: nn.Module, inputs: Tensor) -> torch_pruning.DependencyGraph:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch_pruning.DependencyGraph().build_dependency(model, inputs, verbose=False)


@pytest.mark.parametrize("name", NETWORKS)
def test_it_finds_what_torch_pruning_finds(name: str) -> None:
    model, inputs = network(name)
    graph = graph_of(model, inputs)
    groups = list(graph.get_all_groups())
    assert groups
    for group in groups:
        found = members(graph, group[0].dep.target.module)
        assert found[0].module is group[0].dep.target.module
        assert {
            (id(m.module), m.handler): sorted(zip(m.entries, m.roots, strict=True)) for m in found
        } == {
            (id(item.dep.target.module), item.dep.handler.__name__): sorted(
                zip(item.idxs, item.root_idxs, strict=True)
            )
            for item in group
        }


class Rotated(nn.Module):
    """Halves of its channels change places, as for the positions of a Llama."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        left, right = x[..., :4], x[..., 4:]
        out: Tensor = self.last(x.sigmoid() + torch.cat([-right, left], -1))
        return out


def test_channels_that_change_places_are_refused_and_the_walk_ends() -> None:
    model, inputs = Rotated().eval(), torch.randn(2, 6)
    graph = graph_of(model, inputs)
    with pytest.raises(NotSeparableError, match="mixed with each other"):
        members(graph, model.first)
    structures, reasons = separable_channels(model, lambda m: m(inputs))
    assert structures == []
    assert list(reasons) == ["first", "last"]


def test_a_walk_that_finds_no_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs = network("chain")
    graph = graph_of(model, inputs)
    monkeypatch.setattr("study.pruning.structure.coupling.MOST_STEPS", 1)
    with pytest.raises(NotSeparableError, match="no end"):
        members(graph, model[4])
