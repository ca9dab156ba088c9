"""The scan of channels, against networks that were narrowed by hand."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from study.errors import UsageError
from study.pruning import PruningPlan, mask_layers, train_dense
from study.pruning.sensitivity.channels import scan_channels
from study.pruning.training.train_state import TrainState, load_model
from study.pruning.training.trajectory import build_model
from study.tasks import Task, evaluate, make_task
from tests.pruning.tiny import images, tiny_task

LEVELS = (0.0, 0.25, 0.5, 0.6, 0.75, 0.99)


def plan(**fields: object) -> PruningPlan:
    return PruningPlan.model_validate({"sparsity": 0.0, "structure": "channels", **fields})


def chain_task() -> Task:
    """A chain, so that what comes before a cut need not run again."""

    def model() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(),
            nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(216, 3),
        )  # fmt: skip

    return make_task(model, images(60, 0), images(30, 1), epochs=3, batch_size=16, lr=0.05)


def dense_state(task: Task) -> TrainState:
    states = train_dense(task, plan().seeds).states
    return states[max(states)]


def by_hand(task: Task, state: TrainState, writer: str, reader: str, left: int) -> dict[str, float]:
    """Figures of a plain model that does not read the channels of least absolute weights."""
    model = build_model(task, 0)
    load_model(model, state)
    made, read = (model.get_parameter(f"{name}.weight") for name in (writer, reader))
    columns = read.detach().view(len(read), len(made), -1)
    score = made.abs().flatten(1).sum(1) + columns.abs().sum((0, 2))
    gone = score.argsort()[: len(made) - left]
    with torch.no_grad():
        columns[:, gone] = 0
    return dict(evaluate(model, task.data.validation, task).metrics)


def test_each_level_is_the_network_without_the_channels_of_least_weights() -> None:
    task = tiny_task()
    state = dense_state(task)
    found = scan_channels(task, state, plan(), levels=LEVELS).records
    assert [record.units_left for record in found] == [4, 3, 2, 2, 1, 1]
    for record in found:
        assert (record.layer, record.units) == ("conv", 4)
        expected = by_hand(task, state, "conv", "fc", record.units_left or 0)
        assert record.val_accuracy == pytest.approx(expected["accuracy"])
        assert record.accuracy_drop == pytest.approx(found[0].val_accuracy - record.val_accuracy)
    assert found[0].accuracy_drop == 0


def test_each_layer_of_a_chain_is_narrowed_alone() -> None:
    task = chain_task()
    state = dense_state(task)
    for record in scan_channels(task, state, plan(), levels=(0.5, 0.9)).records:
        reader = {"0": "3", "3": "6"}[record.layer]
        expected = by_hand(task, state, record.layer, reader, record.units_left or 0)
        assert record.val_accuracy == pytest.approx(expected["accuracy"])


def test_evaluating_the_suffix_alone_gives_the_same_to_the_last_bit() -> None:
    task = chain_task()
    state = dense_state(task)
    quick = scan_channels(task, state, plan(), levels=LEVELS)
    plain = scan_channels(task, state, plan(), levels=LEVELS, suffix_only=False)
    assert quick.records == plain.records
    assert quick.train_samples > plain.train_samples  # the inputs are made once a layer


def test_what_a_level_saves_is_what_the_narrower_network_lacks() -> None:
    task = chain_task()
    for record in scan_channels(task, dense_state(task), plan(), levels=(0.0, 0.5)).records:
        a, b = 4, 6
        if record.sparsity:
            a, b = (2, 6) if record.layer == "0" else (4, 3)

        def macs(a: int, b: int) -> int:
            return 36 * (9 * a + 9 * a * b) + 36 * b * 3

        def parameters(a: int, b: int) -> int:
            return (9 * a + a) + 2 * a + (9 * a * b + b) + (36 * b * 3 + 3)

        assert record.macs == macs(4, 6)
        assert record.macs_saved == macs(4, 6) - macs(a, b)
        assert record.parameters == parameters(4, 6)
        assert record.parameters_saved == parameters(4, 6) - parameters(a, b)
        assert record.predicted_saved_ms is None


def counted(task: Task) -> tuple[Task, list[int]]:
    """The task, with the size of every batch noted that is trained on or evaluated."""
    seen: list[int] = []

    def forward(model: nn.Module, inputs: Tensor) -> Tensor:
        if len(inputs) > 2 or model.training:  # on two in eval mode the channels are found
            seen.append(len(inputs))
        outputs: Tensor = model(inputs)
        return outputs

    return replace(task, own_forward=forward), seen


def test_what_is_evaluated_is_charged_as_a_third_and_no_network_is_tried_twice() -> None:
    task, seen = counted(tiny_task())
    state = dense_state(task)
    seen.clear()
    found = scan_channels(task, state, plan(), levels=LEVELS)
    assert sum(seen) == 30 * (1 + 3)  # as it is, and with 3, 2 and 1 channels
    assert found.train_samples == round(sum(seen) / 3)
    seen.clear()
    found = scan_channels(task, state, plan(), levels=(0.5,), recovery_epochs=1.5)
    assert found.train_samples == (sum(seen) - 60) + 20


def test_a_look_at_gradients_is_charged_in_full() -> None:
    task = tiny_task()
    state = dense_state(task)
    plain = scan_channels(task, state, plan(), levels=(0.5,))
    found = scan_channels(task, state, plan(saliency="taylor"), levels=(0.5,))
    assert found.train_samples - plain.train_samples == 50  # all training examples


def test_a_recovery_starts_anew_at_each_level_and_helps() -> None:
    task = tiny_task()
    state = dense_state(task)
    together = scan_channels(task, state, plan(), levels=(0.5, 0.75), recovery_epochs=2).records
    alone = scan_channels(task, state, plan(), levels=(0.75,), recovery_epochs=2).records
    assert together[1:] == alone
    plain = scan_channels(task, state, plan(), levels=(0.75,)).records
    assert alone[0].val_loss < plain[0].val_loss


def test_a_scan_can_start_from_a_narrower_network() -> None:
    task = chain_task()
    model = build_model(task, 0)
    masked = mask_layers(model)
    load_model(model, dense_state(task))
    rows = torch.zeros_like(masked.masks["0"])
    rows[:2] = True
    columns = torch.ones_like(masked.masks["3"])
    columns[:, 2:] = False
    masked.cut({"0": rows, "3": columns}, optimizer=None)
    with torch.no_grad():
        model.get_parameter("0.bias")[2:] = 0
        for name in ("weight", "bias"):
            model.get_parameter(f"1.{name}")[2:] = 0
    state = TrainState({k: v.clone() for k, v in model.state_dict().items()}, {})
    base = evaluate(model, task.data.validation, task).metrics["accuracy"]
    left = {}
    for record in scan_channels(task, state, plan(), levels=(0.25, 0.5, 0.75)).records:
        left[record.layer, record.sparsity] = record.units_left
        assert record.val_accuracy + record.accuracy_drop == pytest.approx(base)
        if record.layer == "0" and record.sparsity <= 0.5:
            assert (record.accuracy_drop, record.macs_saved) == (0, 0)
    assert left["0", 0.25] == left["0", 0.5] == 2
    assert (left["0", 0.75], left["3", 0.5]) == (1, 3)


def test_widths_are_multiples_and_levels_that_leave_the_same_are_one() -> None:
    task = chain_task()
    found = scan_channels(
        task, dense_state(task), plan(width_multiple=2), levels=(0.0, 0.3, 0.5, 0.9)
    ).records
    assert [record.units_left for record in found] == [4, 2, 2, 2, 6, 4, 2, 2]
    assert found[1].val_loss == found[3].val_loss


def test_a_network_that_diverged_is_charged_for_the_look_at_it() -> None:
    task = tiny_task()
    broken = TrainState({k: v * torch.nan for k, v in dense_state(task).model.items()}, {})
    found = scan_channels(task, broken, plan(), levels=LEVELS)
    assert (found.records, found.train_samples) == ((), 10)


def test_what_looks_at_the_weights_before_training_needs_them() -> None:
    task = tiny_task()
    states = train_dense(task, plan().seeds).states
    moved = plan(saliency="movement")
    with pytest.raises(UsageError, match="before training"):
        scan_channels(task, states[max(states)], moved, levels=(0.5,))
    assert scan_channels(task, states[max(states)], moved, levels=(0.5,), start=states[0]).records


@pytest.mark.parametrize("level", [-0.1, 1.0])
def test_a_level_outside_zero_and_one_is_refused(level: float) -> None:
    task = tiny_task()
    with pytest.raises(UsageError, match="at least 0 and below 1"):
        scan_channels(task, dense_state(task), plan(), levels=(level,))
