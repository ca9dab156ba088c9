from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from study.pruning.masking.choosing import mask_layers
from study.pruning.training.model_state import copy_of, copy_state, put_state
from study.pruning.training.train_state import TrainState, capture, load_model


class Keeping(nn.Module):
    """Has state of every kind: buffers made when it runs, and state that is no tensor."""

    grown: Tensor
    late: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.register_buffer("late", None)
        self.register_buffer("scratch", None, persistent=False)
        self.names: list[str] = []
        self.history = torch.zeros(0)

    def forward(self, x: Tensor) -> Tensor:
        if self.late is None:
            self.late = torch.zeros(3)
        if not hasattr(self, "grown"):
            self.register_buffer("grown", torch.zeros(0))
        self.late = self.late + 1
        self.grown = torch.cat([self.grown, torch.ones(1)])
        self.names.append(f"pass {len(self.names)}")
        self.history = self.grown.clone()
        out: Tensor = self.fc(x)
        return out

    def get_extra_state(self) -> Any:
        return OrderedDict(names=self.names, history=self.history, nothing=None)

    def set_extra_state(self, state: Any) -> None:
        self.names, self.history = state["names"], state["history"]


def run(model: nn.Module, passes: int) -> TrainState:
    for _ in range(passes):
        model(torch.ones(1, 3))
    return capture(model, torch.optim.SGD(model.parameters()))


def test_state_that_is_no_tensor_is_kept_and_shares_nothing() -> None:
    model = Keeping()
    state = run(model, 2)
    run(model, 1)
    assert state.model["_extra_state"]["names"] == ["pass 0", "pass 1"]
    load_model(model, state)
    assert model.names == ["pass 0", "pass 1"]
    assert torch.equal(model.history, torch.ones(2))
    run(model, 2)
    assert state.model["_extra_state"]["names"] == ["pass 0", "pass 1"]


@pytest.mark.parametrize("is_masked", [False, True])
def test_buffers_that_are_made_later_can_be_loaded_before_they_are(is_masked: bool) -> None:
    model, fresh = Keeping(), Keeping()
    if is_masked:
        mask_layers(model), mask_layers(fresh)
    state = run(model, 3)
    load_model(fresh, state)
    assert torch.equal(fresh.get_buffer("late"), torch.full((3,), 3.0))
    assert torch.equal(fresh.get_buffer("grown"), torch.ones(3))
    run(fresh, 1)
    assert state.model["late"][0] == 3
    assert len(state.model["grown"]) == 3


def test_a_buffer_that_has_grown_goes_back() -> None:
    model = Keeping()
    state = run(model, 1)
    run(model, 4)
    load_model(model, state)
    assert torch.equal(model.grown, torch.ones(1))


@pytest.mark.parametrize("is_masked", [False, True])
def test_a_state_from_before_a_buffer_was_made_unmakes_it(is_masked: bool) -> None:
    model = Keeping()
    state = run(model, 0)
    if is_masked:
        mask_layers(model)
    run(model, 2)
    load_model(model, state)
    assert model.late is None
    assert not hasattr(model, "grown")
    assert model.names == []
    run(model, 1)
    assert torch.equal(model.grown, torch.ones(1))
    assert hasattr(model.fc, "weight_mask") == is_masked


class Secretive(nn.Linear):
    """Leaves a buffer out of its state, by its own code."""

    def __init__(self) -> None:
        super().__init__(3, 3)
        self.register_buffer("secret", torch.ones(1))

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        del destination[f"{prefix}secret"]

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        known = {**state_dict, f"{prefix}secret": self.secret}
        super()._load_from_state_dict(known, prefix, *rest)


def test_a_buffer_that_the_model_leaves_out_of_its_state_stays() -> None:
    model = Secretive()
    state = copy_state(model)
    assert set(state) == {"weight", "bias"}
    put_state(model, state)
    assert torch.equal(model.get_buffer("secret"), torch.ones(1))


@pytest.mark.parametrize("with_own_mask", [False, True])
def test_masks_are_not_put_into_a_model_that_is_not_masked(with_own_mask: bool) -> None:
    masked, plain = nn.Linear(3, 3), nn.Linear(3, 3)
    if with_own_mask:
        for layer in (masked, plain):
            layer.register_buffer("weight_mask", torch.ones(3, 3))
    mask_layers(masked)
    with pytest.raises(RuntimeError, match="Unexpected key"):
        put_state(plain, copy_state(masked))


def test_what_is_not_persistent_stays_out_of_the_state() -> None:
    model = Keeping()
    model.scratch = torch.ones(2)
    assert "scratch" not in copy_state(model)
    put_state(model, copy_state(model))
    assert "scratch" not in model.state_dict()
    assert torch.equal(model.scratch, torch.ones(2))


@pytest.mark.parametrize(
    ("other", "model"),
    [
        (nn.Linear(3, 4), nn.Linear(3, 3)),
        (nn.Linear(3, 3), nn.Linear(3, 3, bias=False)),
        (nn.Sequential(nn.Linear(3, 3)), nn.Linear(3, 3)),
    ],
)
def test_a_state_of_another_model_is_refused(other: nn.Module, model: nn.Module) -> None:
    with pytest.raises(RuntimeError, match=r"Error.*in loading state_dict"):
        put_state(model, copy_state(other))


def test_a_model_that_keeps_activations_can_be_copied() -> None:
    model = Keeping()
    model.kept = {"last": [model(torch.ones(1, 3))]}  # type: ignore[assignment]
    copied = copy_of(model)
    assert torch.equal(copied.kept["last"][0], model.kept["last"][0])  # type: ignore[index,union-attr]
    assert all(a is not b for a, b in zip(copied.parameters(), model.parameters(), strict=True))
