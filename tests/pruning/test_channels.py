"""A pipeline that takes channels out."""

import pytest
import torch
from torch import nn

from study.errors import UsageError
from study.pruning import PruningPlan, run_pipeline
from study.pruning.masking.choosing import mask_layers
from study.pruning.states.state_files import load_weights, progress_from_bytes, weights_to_bytes
from study.pruning.training.trajectory import build_model
from tests.pruning.test_pipeline import Keeper, facts
from tests.pruning.tiny import Deep, tiny_task


def plan(**fields: object) -> PruningPlan:
    return PruningPlan.model_validate(
        {
            "structure": "channels",
            "sparsity": 0.6,
            "rounds": 2,
            "saliency": "l2",
            "retrain": "lr_rewind",
            "retrain_epochs": 1.5,
            **fields,
        }
    )


@pytest.mark.parametrize("allocation", ["uniform", "global", "global_raw", "lamp", "isomorphic"])
@pytest.mark.parametrize("saliency", ["taylor", "magnitude", "fisher", "random"])
def test_each_round_leaves_no_more_than_was_asked_for(allocation: str, saliency: str) -> None:
    asked = plan(allocation=allocation, saliency=saliency)
    records = list(run_pipeline(asked, tiny_task()))
    for record in records[1:]:
        assert record.sparsity >= record.requested_sparsity - 1e-9
        assert any(layer.dead_outputs for layer in record.layers)
        assert not record.collapsed_layers


def test_rewound_weights_keep_dead_channels_dead() -> None:
    keeper = Keeper()
    asked = plan(retrain="weight_rewind", rewind_epoch=1.0, retrain_epochs=None)
    (*_, last) = run_pipeline(asked, tiny_task(), observer=keeper)
    dead = {layer.layer: layer.dead_outputs for layer in last.layers}
    for layer, count in dead.items():
        rows = keeper.weights[-1][layer].flatten(1)
        assert int((rows == 0).all(dim=1).sum()) >= count


def test_a_run_that_goes_on_from_a_checkpoint_is_the_same() -> None:
    whole, keeper = list(run_pipeline(plan(), tiny_task())), Keeper()
    list(run_pipeline(plan(), tiny_task(), observer=keeper))
    assert len(keeper.within) == 2
    for data in [*keeper.within, *keeper.after[:-1]]:
        resumed = list(run_pipeline(plan(), tiny_task(), progress_from_bytes(data)))
        assert [facts(r) for r in resumed] == [facts(r) for r in whole[-len(resumed) :]]


def test_a_stored_network_is_read_without_knowing_of_channels() -> None:
    task, stored = tiny_task(), []

    class Storing(Keeper):
        def round_finished(self, record, masked, progress):  # type: ignore[no-untyped-def]
            outputs = masked.model.eval()(task.data.train.inputs[:4])
            stored.append((weights_to_bytes(masked, {}), outputs))

    asked = plan()
    list(run_pipeline(asked, task, observer=Storing()))
    data, outputs = stored[-1]
    model = build_model(task, asked.seeds.init)
    load_weights(mask_layers(model), data)
    torch.testing.assert_close(model.eval()(task.data.train.inputs[:4]), outputs)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"allocation": "erk"}, "no meaning with structure channels"),
        ({"structure": "weights", "allocation": "isomorphic"}, "no meaning with structure weights"),
        ({"structure": "weights", "width_multiple": 8}, "width_multiple has no meaning"),
        ({"allocation": "sensitivity"}, "need each other"),
        ({"allocation": "uniform", "scanned_drops": {"a": [[0.5, 0.1]]}}, "need each other"),
        ({"allocation": "sensitivity", "scanned_drops": {"a": [[1.0, 0.1]]}}, "below 1"),
        ({"allocation": "sensitivity", "scanned_drops": {"a": [[0.5, "nan"]]}}, "drops finite"),
    ],
)
def test_fields_that_do_not_fit_are_named(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan(**fields)


def test_a_plan_of_a_scan_narrows_what_it_says_and_its_rounds_are_shorter_plans() -> None:
    task = tiny_task(model=Deep)
    curves = {"conv.0": ((0.3, 5.0), (0.7, 9.0)), "conv.2": ((0.25, 0.0), (0.75, 0.1))}
    asked = plan(allocation="sensitivity", scanned_drops=curves, sparsity=0.7)
    records = list(run_pipeline(asked, task))
    shorter = asked.prefix(1)
    assert shorter is not None
    assert [facts(r) for r in run_pipeline(shorter, task)] == [facts(r) for r in records[:2]]
    dead = {layer.layer: layer.dead_outputs for layer in records[-1].layers}
    assert (dead["conv.0"], dead["conv.2"]) == (0, 3)
    with pytest.raises(UsageError, match="no share that was not scanned"):
        run_pipeline(plan(allocation="sensitivity", scanned_drops=curves, sparsity=0.9), task)
    with pytest.raises(UsageError, match=r"unknown name 'conv.1'.*Allowed: conv.0, conv.2"):
        run_pipeline(
            plan(allocation="sensitivity", scanned_drops={"conv.1": curves["conv.0"]}), task
        )


def test_what_is_asked_of_coupled_sets_is_told_as_a_share_of_weights() -> None:
    task = tiny_task(model=Deep)
    asked = plan(sparsity={"conv.2": 0.5}, rounds=1, schedule="one_shot")
    _, record = run_pipeline(asked, task)
    layers = {layer.layer: layer for layer in record.layers}
    assert layers["conv.2"].requested_sparsity == pytest.approx(0.5)
    assert layers["fc"].requested_sparsity == pytest.approx(0.5)
    assert layers["conv.0"].requested_sparsity == 0.0
    assert record.requested_sparsity == pytest.approx(record.sparsity)
    wide = plan(sparsity={"conv.2": 0.5}, rounds=1, schedule="one_shot", width_multiple=2)
    _, record = run_pipeline(wide, task)
    # The first convolution has three channels; none was asked of it, so it keeps its odd width.
    assert [layer.dead_outputs for layer in record.layers][:2] == [0, 2]


class Alone(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.LazyLinear(2))
        self(torch.zeros(1, 1, 6, 6))


def test_a_network_without_channels_to_take_out_is_refused_before_the_dense_run() -> None:
    with pytest.raises(UsageError, match="no channels of the model can be taken out"):
        run_pipeline(plan(), tiny_task(model=Alone))


class Attending(nn.Module):
    """The rows of an image attend to each other."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Linear(6, 8)
        self.encoder = nn.TransformerEncoderLayer(8, 4, 16, batch_first=True)
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(self.encoder(self.rows(x.flatten(1, 2))).mean(1))
        return out


@pytest.mark.parametrize(("structure", "sparsity"), [("heads", 0.2), ("units", 0.5)])
def test_heads_are_taken_out_alone_or_with_channels(structure: str, sparsity: float) -> None:
    keeper = Keeper()
    asked = plan(structure=structure, sparsity=sparsity, allocation="uniform", saliency="taylor")
    records = list(run_pipeline(asked, tiny_task(model=Attending), observer=keeper))
    for record in records[1:]:
        assert record.sparsity >= record.requested_sparsity - 1e-9
    weights = keeper.weights[-1]
    head_of = torch.arange(8) // 2
    out = (weights["encoder.self_attn.out_proj"] == 0).all(dim=0)
    rows = (weights["encoder.self_attn.in_proj_weight"] == 0).all(dim=1).view(3, 8)
    gone = {head for head in range(4) if bool(out[head_of == head].all())}
    assert (rows == out).all()
    assert gone
    assert int(out.sum()) == 2 * len(gone)
    dense = (weights["encoder.linear1"] == 0).all(dim=1)
    assert bool(dense.any()) is (structure == "units")


def test_a_model_without_attention_has_no_heads() -> None:
    with pytest.raises(UsageError, match=r"no heads .* no attention of a known kind: nn\."):
        run_pipeline(plan(structure="heads"), tiny_task(model=Alone))
