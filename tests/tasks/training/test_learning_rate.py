import math

import pytest
import torch
from torch import nn

from study.errors import UsageError
from study.tasks.training.learning_rate import factor, lr_at
from study.tasks.training.recipe import Recipe


def torch_rates(recipe: Recipe, per_epoch: int, scheduler: str) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=recipe.lr)
    last = recipe.epochs * per_epoch
    if scheduler == "cosine":
        course: torch.optim.lr_scheduler.LRScheduler = torch.optim.lr_scheduler.CosineAnnealingLR(
            optimizer, T_max=last, eta_min=recipe.lr * recipe.min_lr_fraction
        )
    else:
        steps = [round(share * last) for share in recipe.milestones]
        course = torch.optim.lr_scheduler.MultiStepLR(optimizer, steps, gamma=recipe.gamma)
    rates = []
    for _ in range(last):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        course.step()
    return rates


@pytest.mark.parametrize("schedule", ["cosine", "step"])
def test_the_learning_rate_is_that_of_torchs_scheduler(schedule: str) -> None:
    recipe = Recipe(epochs=4, lr=0.3, lr_schedule=schedule)
    ours = [lr_at(recipe, step, 7) for step in range(28)]
    assert ours == pytest.approx(torch_rates(recipe, 7, schedule))


def test_past_the_end_the_learning_rate_stays_at_its_last() -> None:
    recipe = Recipe(epochs=2, lr=0.1, lr_schedule="cosine")
    assert lr_at(recipe, 1000, 5) == lr_at(recipe, 9, 5)


def test_warm_up_rises_to_the_course_and_then_follows_it() -> None:
    warm = Recipe(epochs=4, lr=0.1, lr_schedule="constant", warmup_epochs=1)
    assert [lr_at(warm, step, 4) for step in range(5)] == pytest.approx(
        [0.025, 0.05, 0.075, 0.1, 0.1]
    )


@pytest.mark.parametrize("schedule", ["constant", "step", "cosine", f"{__name__}:rising"])
@pytest.mark.parametrize("warmup", [0.0, 0.5, 1.5])
def test_every_course_is_finite_and_never_above_lr(schedule: str, warmup: float) -> None:
    recipe = Recipe(epochs=3, lr=0.2, lr_schedule=schedule, warmup_epochs=warmup)
    rates = [lr_at(recipe, step, 5) for step in range(40)]
    assert all(0 < rate <= 0.2 for rate in rates)
    assert len(set(rates[14:])) == 1


def rising(step: int, steps: int) -> float:
    return (step + 1) / steps


def below(step: int, steps: int) -> float:
    return -0.1


def endless(step: int, steps: int) -> float:
    return math.inf


def test_a_function_of_ones_own_is_given_its_step_and_the_length_of_the_course() -> None:
    recipe = Recipe(epochs=2, lr=0.5, lr_schedule=f"{__name__}:rising")
    assert [lr_at(recipe, step, 2) for step in range(4)] == pytest.approx([0.125, 0.25, 0.375, 0.5])
    assert lr_at(recipe, 99, 2) == 0.5


@pytest.mark.parametrize("name", ["below", "endless"])
def test_a_function_that_gives_no_factor_is_refused(name: str) -> None:
    recipe = Recipe(lr_schedule=f"{__name__}:{name}")
    with pytest.raises(UsageError, match=f"{name}' gave .* at step 3 of 20"):
        factor(recipe.lr_schedule, recipe, 3, 20)


def test_a_function_that_is_not_there_is_named() -> None:
    recipe = Recipe(lr_schedule=f"{__name__}:risign")
    with pytest.raises(UsageError, match="Did you mean 'rising'"):
        lr_at(recipe, 0, 5)


@pytest.mark.parametrize("schedule", ["constant", "step", "cosine", f"{__name__}:rising"])
def test_without_a_dense_run_the_learning_rate_is_lr(schedule: str) -> None:
    recipe = Recipe(epochs=0, lr=0.03, lr_schedule=schedule)
    assert [lr_at(recipe, step, 10) for step in (0, 1, 1000)] == [0.03] * 3


def test_cosine_begins_at_lr_and_its_middle_is_the_mean_of_its_ends() -> None:
    recipe = Recipe(epochs=4, lr=1.0, min_lr_fraction=0.2)
    assert lr_at(recipe, 0, 10) == 1.0
    assert lr_at(recipe, 20, 10) == pytest.approx(0.6)
