import numpy as np
import pytest
import torch
from torch import Tensor, nn

from study.errors import UsageError
from study.tasks import Recipe, Task, evaluate, make_task


def numbers(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return generator.normal(size=(n, 5)), generator.integers(0, 3, n)


def linear() -> nn.Module:
    return nn.Linear(5, 3)


def test_arrays_become_tensors_and_a_share_becomes_a_stratified_split() -> None:
    task = make_task(linear, numbers(), 0.25, epochs=3, lr=0.05)
    assert len(task.data.train) == 30
    assert len(task.data.validation) == 10
    assert task.data.train.inputs.dtype == torch.float32
    assert task.data.train.targets.dtype == torch.int64
    assert task.recipe == Recipe(epochs=3, lr=0.05)
    assert task.data.classes == 3


def test_without_a_test_split_asking_for_it_is_an_error() -> None:
    with pytest.raises(UsageError, match="no test split"):
        make_task(linear, numbers(), 0.25).data.load_test()


def test_inputs_and_targets_of_different_length_are_refused() -> None:
    inputs, targets = numbers()
    with pytest.raises(UsageError, match="40 inputs and 39 targets"):
        make_task(linear, (inputs, targets[:-1]))


@pytest.mark.parametrize("share", [0.0, 1.0, 1.5])
def test_a_share_outside_zero_and_one_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match="is no share; it must be above 0 and below 1"):
        make_task(linear, numbers(), share)


@pytest.mark.parametrize("device", ["cuda:0", "gpu"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    if device.startswith("cuda") and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UsageError, match=r"task\.device"):
        make_task(linear, numbers(), 0.25, device=device)


def test_evaluation_weighs_a_partial_last_batch_by_its_examples() -> None:
    task = make_task(linear, numbers(), 0.25, label_smoothing=0.1)
    model = linear().train()
    split = task.data.train
    whole = nn.functional.cross_entropy(model(split.inputs), split.targets)
    correct = (model(split.inputs).argmax(1) == split.targets).float().mean()
    found = evaluate(model, split, task, batch_size=7)
    assert found.samples == 30
    assert found.loss == pytest.approx(whole.item(), rel=1e-6)
    assert found.metrics["accuracy"] == pytest.approx(correct.item())
    assert model.training


def test_evaluation_leaves_batch_norm_statistics_alone() -> None:
    model = nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 3))
    task = make_task(linear, numbers(), 0.25)
    before = model[0].running_mean.clone()  # type: ignore[operator, union-attr]
    evaluate(model, task.data.train, task)
    assert torch.equal(model[0].running_mean, before)  # type: ignore[arg-type]


def test_evaluation_leaves_a_frozen_module_in_its_own_mode() -> None:
    model = nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 3)).train()
    model[0].eval()
    task = make_task(linear, numbers(), 0.25)
    evaluate(model, task.data.train, task)
    assert [module.training for module in model.modules()] == [True, False, True]


def squared(outputs: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.mse_loss(outputs, targets)


def test_a_loss_of_ones_own_can_want_one_hot_rows() -> None:
    inputs, targets = numbers()
    task = make_task(
        linear, (inputs, np.eye(3)[targets]), (inputs, np.eye(3)[targets]), loss=squared
    )
    assert isinstance(task, Task)
    found = evaluate(linear(), task.data.validation, task)
    assert 0 <= found.metrics["accuracy"] <= 1
    assert found.loss > 0
