"""What can be done with a model of the zoo: one function for each column of the table.

A check raises what a user would get, a UsageError, where something is not supported; anything else
that it raises is a fault. What it returns is told beside "yes"; None says that the model has
nothing of what the column is about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from study.errors import UsageError
from study.exporting.capturing import capture
from study.exporting.onnx_files import runner, to_onnx
from study.exporting.parity import check_parity
from study.pruning import PruningPlan, run_pipeline, shrink
from study.pruning.masking.choosing import mask_layers
from study.pruning.masking.masks import MaskedLayers
from study.pruning.states.state_files import (
    load_weights,
    progress_from_bytes,
    progress_to_bytes,
    weights_to_bytes,
)
from study.pruning.structure.cutting import alive_units, masks_of, with_companions
from study.pruning.structure.finding import Kind, prunable_units, separable_units
from study.pruning.structure.slicing import places_left, slice_model
from study.pruning.structure.units import Structure
from study.pruning.training.model_state import copy_of
from study.records import RoundRecord
from study.tasks.data.structures import leaves
from study.tasks.forward import call
from tests.zoo.entry import Entry
from tests.zoo.models import ZOO

STRUCTURES = ("channels", "weights")


def masks(entry: Entry) -> str:
    """Half of each layer's weights are cut, and stay zero when the rest is trained."""
    task, model = entry.task(), entry.model().train()
    masked = mask_layers(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(0)
    half = {n: torch.rand(m.shape, generator=generator) < 0.5 for n, m in masked.masks.items()}
    masked.cut(half, optimizer=optimizer)
    before = {name: weight.detach().clone() for name, weight in masked.weights.items()}
    inputs, targets = entry.examples(3)
    for _ in range(2):
        optimizer.zero_grad()
        task.loss(task.forward(model, inputs), targets).backward()
        optimizer.step()
    moved = 0
    for name, weight in masked.weights.items():
        assert not bool(weight[~half[name]].any()), f"{name} came back"
        moved += int((weight != before[name]).sum())
    assert moved > 0
    return ""


def channels(entry: Entry) -> str:
    """Channels are found; the network without some is the one where they are zero."""
    return _taken_out(entry, "channels")


def heads(entry: Entry) -> str | None:
    """So are heads, where there is attention."""
    structures, reasons = _separable(entry.name, "heads")
    return _taken_out(entry, "heads") if structures or reasons else None


def _taken_out(entry: Entry, kind: Kind) -> str:
    model, inputs = entry.model(), entry.examples(2)[0]
    structures = _separable(entry.name, kind)[0]
    if not structures:
        prunable_units(mask_layers(model), lambda m: call(m, inputs), kind)
    generator = torch.Generator().manual_seed(1)
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.dim() == 1 and tensor.is_floating_point():
            tensor.data += torch.rand(tensor.shape, generator=generator) / 3
    masked = with_companions(mask_layers(model), structures)
    alive = {s.name: torch.rand(s.units, generator=generator) < 0.6 for s in structures}
    for units in alive.values():
        units[0], units[-1] = True, False
    masked.cut(masks_of(masked, structures, alive), optimizer=None)
    for name, units in alive_units(masked, structures).items():
        assert torch.equal(units, alive[name])
    small = copy_of(model)
    MaskedLayers(small).remove()
    slice_model(small, places_left(structures, alive))
    assert _size(small) < _size(model)
    with torch.no_grad():
        for whole, less in zip(_run(model, inputs), _run(small, inputs), strict=True):
            torch.testing.assert_close(less, whole, rtol=1e-4, atol=1e-5)
    places = "a layer" if len(structures) == 1 else f"{len(structures)} layers"
    return f"{sum(s.units for s in structures)} in {places}"


def retrain(entry: Entry) -> str:
    """A round of a pipeline ends, with as many weights gone as were asked for."""
    records, _, note = _pipeline(entry.name, "lr_rewind")
    _reached(records[-1], note)
    return note


def rewind(entry: Entry) -> str:
    """So does one that goes back to early weights."""
    records, _, note = _pipeline(entry.name, "weight_rewind")
    _reached(records[-1], note)
    return note


def save_and_load(entry: Entry) -> str:
    """A stored network gives what it gave, in a fresh one."""
    model, outputs, note = _loaded(entry)
    with torch.no_grad():
        for found, expected in zip(_run(model, entry.examples(2)[0]), outputs, strict=True):
            torch.testing.assert_close(found, expected, rtol=0.0, atol=0.0)
    return note


def resume(entry: Entry) -> str:
    """A run that goes on from within a round is the one that never stopped, to the last bit."""
    records, keeper, note = _pipeline(entry.name, "lr_rewind")
    (data,) = keeper.within
    plan = _plan(note or "channels", "lr_rewind")
    (resumed,) = run_pipeline(plan, entry.task(), progress_from_bytes(data))
    assert _facts(resumed) == _facts(records[-1])
    return note


def shrinks(entry: Entry) -> str:
    """With 1 of 20 weights left, the network without what that killed gives the same outputs."""
    model = entry.model()
    masked = mask_layers(model)
    generator = torch.Generator().manual_seed(0)
    few = {n: torch.rand(m.shape, generator=generator) < 0.05 for n, m in masked.masks.items()}
    masked.cut(few, optimizer=None)
    found = shrink(model, entry.examples(2)[0])
    other = entry.examples(3, seed=5)[0]
    with torch.no_grad():
        for whole, less in zip(_run(model, other), _run(found.model, other), strict=True):
            torch.testing.assert_close(less, whole, rtol=1e-4, atol=1e-5)
    gone = sum(map(len, found.removed.values()))
    return f"{gone} dead units left out" if gone else "nothing dead could be left out"


def exports(entry: Entry) -> str:
    """What retraining left, without what is dead in it, gives in ONNX Runtime what it gives here.

    So for several sizes of batches; those that the network itself does not take are left out.
    """
    model, _, note = _loaded(entry)
    small = shrink(model, entry.examples(2)[0]).model
    assert note or _size(small) < _size(model)
    task = entry.task()
    captured = capture(task, small)
    run = runner(to_onnx(captured, {}), captured.interface)
    parity = check_parity("ONNX Runtime", run, captured, task)
    assert len(parity.sizes) > 1
    told = f"batches of {_listed(parity.sizes)}"
    return f"{told}, sequences of {_listed(parity.lengths)}" if parity.lengths else told


CHECKS: dict[str, Callable[[Entry], str | None]] = {
    "masks": masks,
    "channels": channels,
    "heads": heads,
    "retrain": retrain,
    "rewind": rewind,
    "save and load": save_and_load,
    "resume": resume,
    "shrink": shrinks,
    "ONNX": exports,
}


def outcome(model: str, check: str) -> str:
    """What the table says of a model in a column.

    "yes"; "no" with what a user is told; or a dash, where the model has nothing of the kind.
    """
    with _seeded():
        try:
            note = CHECKS[check](ZOO[model])
        except UsageError as error:
            return f"no: {' '.join(str(error).split())}"
    if note is None:
        return "—"
    return f"yes ({note})" if note else "yes"


def staying(model: str) -> dict[str, str]:
    """Layers whose channels must stay, and why."""
    reasons = _separable(model, "channels")[1]
    return {layer: " ".join(reason.split()) for layer, reason in reasons.items()}


@contextmanager
def _seeded() -> Iterator[None]:
    """Nothing depends on what ran before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@cache
def _separable(model: str, kind: Kind) -> tuple[list[Structure], dict[str, str]]:
    entry = ZOO[model]
    inputs = entry.examples(2)[0]
    return separable_units(entry.model(), lambda m: call(m, inputs), kind)


def _loaded(entry: Entry) -> tuple[nn.Module, list[Tensor], str]:
    """A stored network in a fresh model, what it gave when it was stored, and the note on it."""
    _, keeper, note = _pipeline(entry.name, "lr_rewind")
    data, outputs = keeper.stored[-1]
    model = entry.build()
    load_weights(mask_layers(model), data)
    return model.eval(), outputs, note


class _Keeper:
    """Keeps a checkpoint from within a round, and networks."""

    def __init__(self, entry: Entry) -> None:
        self.within: list[bytes] = []
        self.stored: list[tuple[bytes, list[Tensor]]] = []
        self._inputs = entry.examples(2)[0]

    def checkpoint(self, progress: Callable[[], Any]) -> None:
        self.within.append(progress_to_bytes(progress()))

    def round_finished(self, record: Any, masked: MaskedLayers, progress: Any) -> None:
        with torch.no_grad():
            outputs = _run(masked.model.eval(), self._inputs)
        self.stored.append((weights_to_bytes(masked, {}), outputs))


@cache
def _pipeline(model: str, retrain: str) -> tuple[list[RoundRecord], _Keeper, str]:
    """Records of a pipeline of one round, what was kept of it, and "weights" where it cut those.

    By channels where there are any to cut, else by weights.
    """
    entry = ZOO[model]
    for structure in STRUCTURES:
        keeper = _Keeper(entry)
        try:
            plan = _plan(structure, retrain)
            records = list(run_pipeline(plan, entry.task(), observer=keeper))  # type: ignore[arg-type]
        except UsageError as error:
            if structure == STRUCTURES[-1] or "no channels" not in str(error):
                raise
            continue
        return records, keeper, "" if structure == "channels" else structure
    raise AssertionError


def _plan(structure: str, retrain: str) -> PruningPlan:
    fields: dict[str, Any] = {"structure": structure, "sparsity": 0.15, "rounds": 1}
    if structure == "channels":
        fields |= {"saliency": "taylor", "allocation": "uniform"}
    if retrain == "weight_rewind":
        return PruningPlan(**fields, retrain=retrain, rewind_epoch=0.5)
    return PruningPlan(**fields, retrain=retrain, retrain_epochs=1.5)


def _run(model: nn.Module, inputs: Any) -> list[Tensor]:
    return [leaf for leaf in leaves(call(model, inputs)) if isinstance(leaf, Tensor)]


def _size(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _listed(numbers: tuple[int, ...]) -> str:
    *others, last = map(str, numbers)
    return f"{', '.join(others)} and {last}" if others else last


def _reached(record: RoundRecord, note: str) -> None:
    assert record.round == 1
    assert note or any(layer.dead_outputs for layer in record.layers)
    assert record.requested_sparsity is not None
    assert record.sparsity >= record.requested_sparsity - 0.01


def _facts(record: RoundRecord) -> str:
    return record.model_dump_json(exclude={"wall_s", "finished_at"})
