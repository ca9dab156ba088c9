"""All that training changes, copied and put back."""

import torch

from study.pruning.training.steps import Segment, train
from study.pruning.training.train_state import capture
from tests.pruning.tiny import tiny_task
from tests.pruning.training.test_steps import fresh


def test_a_captured_state_is_not_changed_by_later_steps() -> None:
    model, optimizer = fresh()
    train(model, optimizer, tiny_task(), Segment(4, 0, True, 0), data_seed=1)
    state = capture(model, optimizer)
    copied = {name: value.clone() for name, value in {**state.model, **state.optimizer}.items()}
    train(model, optimizer, tiny_task(), Segment(4, 4, True, 4), data_seed=1)
    now = {**state.model, **state.optimizer}
    assert all(torch.equal(now[name], value) for name, value in copied.items())
