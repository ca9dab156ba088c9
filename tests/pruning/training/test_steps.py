import pytest
import torch
from torch import nn

from study.pruning import PruningPlan, run_pipeline
from study.pruning.training.steps import Segment, epoch_order, samples_in, train
from study.pruning.training.train_state import capture, load_model, load_optimizer
from study.tasks import make_task
from study.tasks.training.learning_rate import lr_at
from study.tasks.training.optimizers import build_optimizer
from tests.pruning.tiny import Deep, Tiny, images, tiny_task

WHOLE = Segment(steps=16, lr_step=0, lr_moves=True, data_step=0)


def fresh(optimizer: str = "sgd") -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = Tiny()
    return model, build_optimizer(tiny_task(optimizer=optimizer).recipe, model)


def states_equal(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_training_is_that_of_a_plain_loop() -> None:
    """The oracle: no augmentation, no dropout, and torch's own scheduler."""
    inputs, targets = images(50, 0)
    task = make_task(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 3)), (inputs, targets), images(30, 1),
        epochs=3, batch_size=16, lr=0.1, weight_decay=1e-3, clip_norm=1.0, label_smoothing=0.1,
    )  # fmt: skip
    torch.manual_seed(0)
    ours = task.build_model()
    theirs = task.build_model()
    theirs.load_state_dict(ours.state_dict())
    segment = Segment(steps=12, lr_step=0, lr_moves=True, data_step=0)
    train(ours, build_optimizer(task.recipe, ours), task, segment, data_seed=7)

    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    course = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 12, eta_min=0.001)
    for epoch in range(3):
        order = epoch_order(7, epoch, 50)
        for begin in range(0, 50, 16):
            index = order[begin : begin + 16]
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(
                theirs(inputs[index]), targets[index], label_smoothing=0.1
            )
            loss.backward()
            nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
            optimizer.step()
            course.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("optimizer_name", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("cut_at", [1, 4, 6, 15])
def test_training_that_is_cut_anywhere_goes_on_bit_for_bit(
    optimizer_name: str, cut_at: int
) -> None:
    task = tiny_task(optimizer=optimizer_name)
    whole, optimizer = fresh(optimizer_name)
    train(whole, optimizer, task, WHOLE, data_seed=1)

    first, optimizer = fresh(optimizer_name)
    train(first, optimizer, task, Segment(cut_at, 0, True, 0), data_seed=1)
    state = capture(first, optimizer)
    torch.manual_seed(999)
    second, optimizer = fresh(optimizer_name)
    load_model(second, state)
    load_optimizer(optimizer, second, state)
    train(second, optimizer, task, WHOLE, data_seed=1, first=cut_at)
    assert states_equal(whole, second)


def test_training_leaves_the_callers_random_numbers_alone() -> None:
    model, optimizer = fresh()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(model, optimizer, tiny_task(), WHOLE, data_seed=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_another_data_seed_trains_another_model() -> None:
    models = []
    for seed in (1, 2):
        model, optimizer = fresh()
        train(model, optimizer, tiny_task(), WHOLE, data_seed=seed)
        models.append(model)
    assert not states_equal(*models)


def test_an_epoch_sees_every_example_once_and_epochs_differ() -> None:
    first, second = epoch_order(3, 0, 50), epoch_order(3, 1, 50)
    assert sorted(first.tolist()) == list(range(50))
    assert not torch.equal(first, second)
    assert torch.equal(first, epoch_order(3, 0, 50))


@pytest.mark.parametrize(
    ("segment", "samples"),
    [
        (Segment(4, 0, True, 0), 50),
        (Segment(3, 0, True, 0), 48),
        (Segment(1, 0, True, 3), 2),
        (Segment(6, 0, True, 2), 16 + 2 + 50),
        (Segment(0, 0, True, 5), 0),
    ],
)
def test_a_partial_last_batch_counts_for_the_examples_in_it(segment: Segment, samples: int) -> None:
    task = tiny_task()
    assert samples_in(task, segment) == samples


def test_the_learning_rate_moves_or_stays_as_the_segment_says() -> None:
    task = tiny_task()
    for segment, expected in (
        (Segment(2, 5, True, 0), lr_at(task.recipe, 6, 4)),
        (Segment(2, 5, False, 0), lr_at(task.recipe, 5, 4)),
    ):
        model, optimizer = fresh()
        train(model, optimizer, task, segment, data_seed=1)
        assert optimizer.param_groups[0]["lr"] == expected


def test_the_end_of_every_epoch_is_told() -> None:
    model, optimizer = fresh()
    ends: list[int] = []
    segment = Segment(9, 0, True, 2)
    train(model, optimizer, tiny_task(), segment, data_seed=1, after_epoch=ends.append)
    assert ends == [2, 6]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_compiled_step_gives_the_same_up_to_rounding() -> None:
    plan = PruningPlan(sparsity=0.8, rounds=2, retrain_epochs=1)
    plain = list(run_pipeline(plan, tiny_task(model=Deep, epochs=2)))
    compiled = list(run_pipeline(plan, tiny_task(model=Deep, epochs=2, compile=True)))
    for mine, theirs in zip(compiled, plain, strict=True):
        assert mine.val_loss == pytest.approx(theirs.val_loss, rel=1e-3)
        assert mine.nonzero_parameters == theirs.nonzero_parameters
