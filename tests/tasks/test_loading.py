import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from study.errors import UsageError
from study.tasks import Data, Task, load_task, make_task


def own_task() -> Task:
    inputs, targets = torch.randn(30, 4), torch.arange(30) % 2
    return make_task(lambda: nn.Linear(4, 2), (inputs, targets), 0.3, epochs=7, lr=0.3)


def no_task() -> str:
    return "not a task"


def test_digits_and_an_mlp_are_found_by_name() -> None:
    task = load_task(
        dataset="digits", model="mlp", model_options={"widths": [8]}, recipe={"epochs": 3}
    )
    assert [len(task.data.train), len(task.data.validation), len(task.data.load_test())] == [
        1258,
        269,
        270,
    ]
    assert task.recipe.epochs == 3
    assert [name for name, _ in task.build_model().named_children()] == [
        "flatten",
        "fc1",
        "relu1",
        "fc2",
    ]


def test_a_users_own_function_is_found_and_its_recipe_overridden_key_by_key() -> None:
    task = load_task(object=f"{__name__}:own_task", recipe={"epochs": 2})
    assert (task.recipe.epochs, task.recipe.lr) == (2, 0.3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dataset": "digitz", "model": "mlp"}, "Did you mean 'digits'"),
        ({"dataset": "digits", "model": "lenet50"}, "Did you mean 'lenet5'"),
        ({"dataset": "digits", "model": "mlp", "data_dir": "/nowhere"}, "no folder /nowhere"),
        ({"dataset": "digits", "model": "lenet5"}, "at least 16 x 16"),
        ({"dataset": "digits", "model": "mlp", "model_options": {"width": 3}}, "model_options"),
        ({"dataset": "cifar10", "model": "mlp"}, "needs the folder"),
        ({"object": "nowhere.at_all:task"}, "no module named 'nowhere'"),
        ({"object": f"{__name__}:own_tsak"}, "Did you mean 'own_task'"),
        ({"object": f"{__name__}:no_task"}, "gave str, not a Task"),
        ({"object": "no_colon"}, "set dataset and model|not an import string"),
        ({}, "set dataset and model"),
    ],
)
def test_what_cannot_be_loaded_is_said_clearly(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_task(**arguments)  # type: ignore[arg-type]


def failing_task() -> Task:
    raise RuntimeError("boom")


def failing_data(folder: Path | None) -> Data:
    sys.exit(4)


def no_data(folder: Path | None) -> int:
    return 5


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


def unspeakable_data(folder: Path | None) -> Data:
    raise UnspeakableError


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("failing_data", r"failed, in line \d+ of .*test_loading.py: SystemExit: 4"),
        ("no_data", "gave int, not study.tasks.Data"),
        ("unspeakable_data", "UnspeakableError: no message"),
    ],
)
def test_a_users_data_that_fail_are_named(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"task.dataset: .*{message}"):
        load_task(dataset=f"{__name__}:{name}", model="mlp")


def misspelt_recipe() -> Task:
    inputs, targets = torch.randn(30, 4), torch.arange(30) % 2
    return make_task(lambda: nn.Linear(4, 2), (inputs, targets), 0.3, epoch=7)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("failing_task", r"failed, in line \d+ of .*test_loading\.py: RuntimeError: boom"),
        ("misspelt_recipe", r"failed, in line \d+ of .*test_loading\.py: .*epoch"),
    ],
)
def test_a_users_function_that_fails_is_named(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"(?s){name}.*{message}"):
        load_task(object=f"{__name__}:{name}")


TASK_IN_A_FILE = """
import torch
from study.tasks import make_task

def task():
    data = torch.randn(30, 4), torch.arange(30) % 2
    return make_task(lambda: torch.nn.Linear(4, 2), data, 0.3, name="{name}")
"""


def test_a_module_is_found_in_the_folder_that_is_named_and_no_namesake_is_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "task_in_a_file.py").write_text(TASK_IN_A_FILE.format(name=name))
    reference = "task_in_a_file:task"
    with pytest.raises(UsageError, match="no module named 'task_in_a_file'"):
        load_task(object=reference)
    assert load_task(object=reference, module_dir=tmp_path / "first").name == "first"
    with pytest.raises(UsageError, match=r"(?s)second.*has imported .*first"):
        load_task(object=reference, module_dir=tmp_path / "second")
    monkeypatch.delitem(sys.modules, "task_in_a_file")
    assert load_task(object=reference, module_dir=tmp_path / "second").name == "second"
