"""What networks of fewer units are predicted to take, by a table whose times are known."""

import itertools
import math
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from study.errors import UsageError
from study.pruning import PruningPlan, timing
from study.pruning.latency.job import Job
from study.pruning.latency.layers import LayerCall
from study.pruning.latency.table import EMPTY, LayerTime
from study.pruning.latency_sizes import LatencySizes
from study.pruning.pipeline import Pipeline
from study.pruning.structure.allocation import cut_units
from study.pruning.structure.finding import separable_channels
from study.pruning.structure.request import UnitRequest
from study.pruning.structure.sizes import units_left
from study.pruning.timing import Timing
from study.tasks.forward import call
from tests.pruning.structure.networks import NETWORKS, network
from tests.pruning.tiny import tiny_task

EMPTY_MS = 0.25


def stairs(module: nn.Module, step: int = 8) -> float:
    """Milliseconds of a layer that processes widths by eights, as hardware does."""
    sizes = [p.shape for p in module.parameters() if p.dim() > 1]
    return 0.125 + sum(math.ceil(s[0] / step) * math.ceil(s[1] / step) for s in sizes)


class KnownTable:
    """A table that "measures" by a formula, and counts what it was asked for."""

    def __init__(self, beside: float = 0.5, step: int = 8) -> None:
        self.machine = SimpleNamespace(backend="eager")
        self.times: dict[str, LayerTime] = {}
        self.asked: list[int] = []
        self.beside, self.step = beside, step

    def measure(
        self, calls: Iterable[LayerCall], networks: Mapping[str, Job] | None = None
    ) -> None:
        found = {each.size: sum(map(self._ms, each.modules)) for each in calls}
        for name, job in (networks or {}).items():
            leaves = [m for m in job.network.modules() if not list(m.children())]
            found[name] = self.beside + 2 * sum(map(self._ms, leaves))
        self.asked.append(len(found))
        for name, ms in {**found, EMPTY: EMPTY_MS}.items():
            self.times[name] = LayerTime(median_ms=ms, spread_ms=0.0, repeats=1)

    def _ms(self, module: nn.Module) -> float:
        return stairs(module, self.step)


class Chain(nn.Module):
    """Two structures that no layer reads both of, so that their savings add up."""

    def __init__(self) -> None:
        super().__init__()
        self.a1, self.a2 = nn.Linear(5, 32), nn.Linear(32, 5)
        self.b1, self.b2 = nn.Linear(5, 40), nn.Linear(40, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.a2(self.a1(x).relu())
        out: Tensor = x + self.b2(self.b1(x).relu())
        return out


def sizes(
    model: nn.Module, inputs: Any, table: KnownTable, widths: Any = None
) -> tuple[LatencySizes, list[Any]]:
    structures, _ = separable_channels(model, lambda m: m(inputs))
    return LatencySizes(model, structures, inputs, call, table, widths), structures  # type: ignore[arg-type]


def chain_ms(a: int, b: int, beside: float = 0.5) -> float:
    """By hand: four layers in steps of eight, twice as slow within the network."""
    a_steps, b_steps = math.ceil(a / 8), math.ceil(b / 8)
    return EMPTY_MS + beside + 2 * (4 * 0.125 + 2 * a_steps + 2 * b_steps)


def test_a_prediction_is_the_sum_of_the_layers_on_the_line_of_two_networks() -> None:
    found, structures = sizes(Chain().eval(), torch.zeros(1, 5), KnownTable())
    assert [s.name for s in structures] == ["a1", "b1"]
    for a, b in itertools.product((32, 24, 9, 1), (40, 16, 3)):
        assert found.total({"a1": a, "b1": b}) == pytest.approx(chain_ms(a, b))
    assert found.saved({"a1": 32, "b1": 40}, "a1", 8) == pytest.approx(4.0)
    assert found.saved({"a1": 32, "b1": 40}, "a1", 7) == pytest.approx(0.0)


@pytest.mark.parametrize("name", [n for n in NETWORKS if n != "tagger"])
def test_layers_have_the_sizes_that_the_smaller_network_runs(name: str) -> None:
    model, inputs = network(name)
    table = KnownTable()
    found, structures = sizes(model, inputs, table)
    generator = torch.Generator().manual_seed(1)
    left = {s.name: int(torch.randint(1, s.units + 1, (), generator=generator)) for s in structures}
    total = found.total(left)
    small = found._network_of(left)
    # A formula that knows nothing of tables: the smaller network's own modules as they run.
    ran: list[nn.Module] = []
    handles = [
        m.register_forward_hook(lambda m, *_: ran.append(m))
        for m in small.modules()
        if not list(m.children())
    ]
    small(inputs)
    for handle in handles:
        handle.remove()
    noted = sum(sum(map(stairs, each.modules)) for each in found._calls(left))
    if "transformer" not in name:  # whose attention reads its children instead of calling them
        assert noted == pytest.approx(sum(map(stairs, ran)))
    offset, slope = found._line or (math.nan, math.nan)
    assert total == pytest.approx(offset + slope * noted)


def test_all_that_cuts_can_lead_to_is_measured_at_once() -> None:
    table = KnownTable()
    model, inputs = network("residual")
    _, structures = sizes(model, inputs, KnownTable())
    widths = {s.name: list(range(s.units, 0, -2)) for s in structures}
    found, _ = sizes(model, inputs, table, widths)
    found.total({s.name: s.units for s in structures})
    assert len(table.asked) == 3  # all; a narrow network's own; the two that are measured whole
    for combination in itertools.islice(itertools.product(*widths.values()), 0, None, 37):
        found.total(dict(zip(widths, combination, strict=True)))
    assert len(table.asked) == 3


def test_the_knapsack_under_a_latency_budget_is_the_best_of_all_widths() -> None:
    found, structures = sizes(Chain().eval(), torch.zeros(1, 5), KnownTable())
    generator = torch.Generator().manual_seed(3)
    alive = {s.name: torch.ones(s.units, dtype=torch.bool) for s in structures}
    scores = {s.name: torch.rand(s.units, generator=generator).double() for s in structures}
    whole = found.total({"a1": 32, "b1": 40})
    for share in (0.97, 0.95, 0.91):
        asked = UnitRequest(structures, alive, scores, found, 1 - share, found)
        kept = cut_units("knapsack", asked)
        assert found.total(units_left(kept)) <= share * whole * (1 + 1e-9)
        value = sum(float(scores[n][kept[n]].sum()) for n in kept)
        sums = {n: own.sort(descending=True).values.cumsum(0).tolist() for n, own in scores.items()}
        best = max(
            sums["a1"][a - 1] + sums["b1"][b - 1]
            for a, b in itertools.product(range(1, 33), range(1, 41))
            if chain_ms(a, b) <= share * chain_ms(32, 40) * (1 + 1e-9)
        )
        assert value == pytest.approx(best)


@pytest.mark.parametrize("allocation", ["uniform", "global", "lamp", "knapsack", "isomorphic"])
def test_no_more_is_left_than_the_share_of_latency_that_was_asked_for(allocation: str) -> None:
    model, inputs = network("residual")
    found, structures = sizes(model, inputs, KnownTable())
    alive = {s.name: torch.ones(s.units, dtype=torch.bool) for s in structures}
    scores = {s.name: torch.rand(s.units).double() for s in structures}
    exponent = 1.0 if allocation in ("global", "lamp") else 0.0
    asked = UnitRequest(structures, alive, scores, found, 0.1, found, exponent)
    left = units_left(cut_units(allocation, asked))
    assert found.total(left) <= 0.9 * found.total({s.name: s.units for s in structures})


PLAN = {"structure": "channels", "sparsity": 0.2, "budget": "latency_ms", "retrain_epochs": 0}


def test_a_plan_that_cuts_by_latency_needs_to_know_how_it_is_measured() -> None:
    with pytest.raises(UsageError, match=r"budget latency_ms: nothing says how"):
        Pipeline(PruningPlan(**PLAN), tiny_task(), None)  # type: ignore[arg-type]
    by_cost = PruningPlan(structure="channels", sparsity=0.2, cost="latency_ms", cost_exponent=1.0)
    with pytest.raises(UsageError, match=r"cost latency_ms: nothing says how"):
        Pipeline(by_cost, tiny_task(), None)


def test_a_pipeline_ends_at_its_share_of_latency_and_records_the_prediction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(timing, "LayerTable", lambda *_, **__: KnownTable(step=1))
    plan = PruningPlan(**PLAN)  # type: ignore[arg-type]
    dense, record = list(Pipeline(plan, tiny_task(), None, Timing("eager", repeats=2)).rounds(None))
    by_layer = {layer.layer: layer for layer in record.layers}
    units = by_layer["conv"].outputs - by_layer["conv"].dead_outputs
    # conv, norm, dropout and fc beyond an empty call; what is beside them, and twice as slow.
    expected = {n: EMPTY_MS + 0.5 + 2 * (4 * 0.125 + n + 3 * 36 * n) for n in (4, units)}
    assert dense.predicted_latency_ms == pytest.approx(expected[4])
    assert record.predicted_latency_ms == pytest.approx(expected[units])
    assert expected[units] <= 0.8 * expected[4] < expected[units] + 2 * (1 + 3 * 36)
    assert record.latency_ms > 0
    assert math.isnan(record.requested_sparsity)


def test_what_cannot_be_reached_is_said_before_the_dense_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(timing, "LayerTable", lambda *_, **__: KnownTable(beside=10_000.0, step=1))
    with pytest.raises(UsageError, match=r"leaves 0.94 of .* latency at least .*, by prediction"):
        Pipeline(PruningPlan(**PLAN), tiny_task(), None, Timing("eager"))  # type: ignore[arg-type]


@pytest.mark.parametrize("allocation", ["uniform", "knapsack"])
def test_what_is_missed_by_less_than_predictions_are_wrong_is_left_to_the_clock(
    allocation: str,
) -> None:
    model = Chain().eval()
    left, structures = sizes(model, torch.randn(2, 5), KnownTable())
    whole = {structure.name: structure.units for structure in structures}
    least = left.total(dict.fromkeys(whole, 1)) / left.total(whole)

    def cut(share: float) -> dict[str, int]:
        alive = {name: torch.ones(units, dtype=torch.bool) for name, units in whole.items()}
        scores = {name: torch.rand(units) for name, units in whole.items()}
        request = UnitRequest(structures, alive, scores, left, 1.0 - share, left)
        return units_left(cut_units(allocation, request))

    assert left.total(cut(least * 0.95)) == pytest.approx(least * left.total(whole))
    with pytest.raises(UsageError, match="are not wrong by more than 10%"):
        cut(least * 0.85)
