import pytest
import torch
from pydantic import ValidationError
from torch import nn

from study.tasks.training.learning_rate import lr_at
from study.tasks.training.optimizers import build_optimizer
from study.tasks.training.recipe import Recipe, steps_per_epoch


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
    recipe = Recipe(epochs=4, lr=0.3, lr_schedule=schedule)  # type: ignore[arg-type]
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


@pytest.mark.parametrize(
    ("examples", "batch", "drop_last", "steps"),
    [(10, 4, False, 3), (10, 4, True, 2), (8, 4, False, 2), (8, 4, True, 2), (3, 4, True, 1)],
)
def test_a_partial_last_batch_is_a_step_unless_it_is_dropped(
    examples: int, batch: int, drop_last: bool, steps: int
) -> None:
    assert steps_per_epoch(Recipe(batch_size=batch, drop_last=drop_last), examples) == steps


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 0}, "greater than or equal to 1"),
        ({"lr": 0}, "greater than 0"),
        ({"optimizer": "sdg"}, "'sgd', 'adam' or 'adamw'"),
        ({"milestones": [1.5]}, "shares of the run"),
        ({"warmup_epochs": 30, "epochs": 20}, "longer than the 20 epochs"),
        ({"nesterov": True, "momentum": 0}, "nesterov needs momentum"),
        ({"nesterov": True, "optimizer": "adam"}, "nesterov needs momentum"),
        ({"lrate": 0.1}, "Extra inputs"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Recipe(**fields)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_the_fused_optimizer_takes_the_steps_of_the_plain_one(name: str) -> None:
    torch.manual_seed(0)
    recipe = Recipe(optimizer=name, lr=0.05, weight_decay=0.01)  # type: ignore[arg-type]
    ours, theirs = nn.Linear(5, 3), nn.Linear(5, 3)
    theirs.load_state_dict(ours.state_dict())
    plain = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01),
        "adam": lambda p: torch.optim.Adam(p, lr=0.05, weight_decay=0.01),
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.01),
    }[name](list(theirs.parameters()))
    fused = build_optimizer(recipe, ours)
    for _ in range(20):
        x = torch.randn(4, 5)
        for model, optimizer in ((ours, fused), (theirs, plain)):
            optimizer.zero_grad()
            model(x).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours.weight, theirs.weight)
