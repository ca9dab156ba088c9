from pathlib import Path

import pytest
from pydantic import ValidationError

from study.tasks.training.recipe import Recipe, steps_per_epoch


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
        ({"epochs": -1}, "greater than or equal to 0"),
        ({"lr": 0}, "greater than 0"),
        ({"optimizer": "sdg"}, "Did you mean 'sgd'"),
        ({"milestones": [1.5]}, "shares of the run"),
        ({"warmup_epochs": 30, "epochs": 20}, "longer than the 20 epochs"),
        ({"nesterov": True, "momentum": 0}, "nesterov needs momentum"),
        ({"nesterov": True, "optimizer": "adam"}, "nesterov needs momentum"),
        ({"lr_schedule": "cosin"}, "Did you mean 'cosine'"),
        ({"warmup_epochs": 1, "epochs": 0}, "longer than the 0 epochs"),
        ({"class_weights": [1.0, 0.0]}, "must be above 0"),
        ({"eval_batch_size": 0}, "greater than or equal to 1"),
        ({"optimizer_options": {"lr": 1.0}}, "field of its own, task.lr"),
        ({"optimizer_options": {"weight_decay": 1.0}}, r"task\.weight_decay"),
        ({"distill": {"weight": 2.0}}, "less than or equal to 1"),
        ({"lrate": 0.1}, "Extra inputs"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Recipe(**fields)


def test_weights_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Recipe(weights="net.pt").weights == str(tmp_path / "net.pt")


def test_a_recipe_survives_its_own_json() -> None:
    recipe = Recipe(epochs=0, class_weights=(1.0, 2.0), milestones=(0.1,), weights="x.pt")
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
