"""The tables ``[study]``, ``[task]`` and ``[resources]``: what is run, and on what."""

from __future__ import annotations

import sys
from typing import Any, Literal

from pydantic import Field, StrictBool, field_validator, model_validator

from study.configuration.table import (
    MOST_CORES,
    MOST_EXAMPLES,
    MOST_REPEATS,
    MOST_SECONDS,
    MOST_TRIALS,
    Table,
)
from study.errors import UsageError
from study.files.locations import read_location
from study.files.writable import LONGEST_NAME
from study.plugins import import_string, reference_to
from study.tasks.training.recipe import Recipe


class StudyTable(Table):
    """The study as a whole."""

    name: str = Field(
        default="study", max_length=100, description="name of the study and of its folder"
    )
    seed: int = Field(
        default=0, ge=0, le=2**32 - 1, description="seed of the search, and of every trial"
    )
    num_samples: int = Field(
        default=16, ge=1, le=MOST_TRIALS, description="trials to run, unless a budget ends it first"
    )
    train_samples_budget: int | None = Field(
        default=None,
        ge=1,
        le=MOST_EXAMPLES,
        description="training examples after which the search begins no further trial, its dense "
        "run and scan included; trials that are under way then run to their end",
    )
    time_budget_s: float | None = Field(
        default=None, gt=0, le=MOST_SECONDS, description="seconds after which no trial goes on"
    )
    tracking: tuple[Literal["tensorboard", "mlflow", "wandb"], ...] = Field(
        default=(), description="where rounds are written to as they end, beside the records"
    )
    storage_path: str = Field(
        default="studies", description="folder or URI in which the study's folder is made"
    )

    @field_validator("name")
    @classmethod
    def _a_folder_can_have_this_name(cls, name: str) -> str:
        if not name or name.startswith(".") or any(not (c.isalnum() or c in "-_.") for c in name):
            raise ValueError(
                f"name {name!r}: only letters, digits, '-', '_' and '.' are allowed, "
                "and no '.' at the start"
            )
        if (size := len(name.encode())) > LONGEST_NAME - len("-sensitivity"):
            raise ValueError(
                f"name {name!r}: it has {size} bytes, and a folder's name at most "
                f"{LONGEST_NAME - len('-sensitivity')}; letters that are not ASCII take 2 to 4"
            )
        return name

    @field_validator("storage_path")
    @classmethod
    def _it_is_a_path_or_a_uri(cls, storage_path: str) -> str:
        read_location(storage_path)
        return storage_path


class TaskTable(Recipe):
    """What is pruned, and how it is trained."""

    dataset: str | None = Field(default=None, description="name of the dataset, or import string")
    model: str | None = Field(default=None, description="name of the model, or import string")
    object: str | None = Field(
        default=None, description="instead: import string of a function that returns a task"
    )
    module_dir: str | None = Field(
        default=None,
        description="folder in which modules of import strings are found, beside that from which "
        "the command is called; unset: that of the study file",
    )
    data_dir: str | None = Field(default=None, description="folder of the dataset's files")
    model_options: dict[str, Any] = Field(
        default_factory=dict, description="further arguments of the model, such as widths"
    )

    metrics: tuple[str, ...] = Field(
        default=(),
        description="by what networks are judged, the first most of all: names such as f1, auroc, "
        "perplexity, or import strings; unset: as the task says, accuracy of a classifier",
    )

    @field_validator("object", mode="before")
    @classmethod
    def _name_a_function(cls, value: Any) -> Any:
        return reference_to(value) if callable(value) else value

    @model_validator(mode="after")
    def _one_way_to_name_a_task(self) -> TaskTable:
        if self.object is None:
            missing = [key for key in ("dataset", "model") if getattr(self, key) is None]
            if missing:
                raise ValueError(f"set {' and '.join(missing)}, or object")
        elif self.dataset is not None or self.model is not None:
            raise ValueError("object brings its own data and model; take dataset and model out")
        return self

    def load_arguments(self) -> dict[str, Any]:
        """What :func:`study.tasks.load_task` takes; the recipe holds only what the file sets."""
        own = ("dataset", "model", "object", "module_dir", "data_dir", "model_options", "metrics")
        written = self.model_dump(mode="json", exclude_unset=True)
        return {
            **{key: getattr(self, key) for key in own},
            "object": self._object_for_workers(),
            "recipe": {key: value for key, value in written.items() if key not in own},
        }

    def _object_for_workers(self) -> Any:
        """The object by name; one of a notebook or script itself, which no worker could import."""
        if self.object is None or not self.object.startswith(f"{_MAIN}:"):
            return self.object
        if not hasattr(sys.modules[_MAIN], self.object.partition(":")[2].partition(".")[0]):
            raise UsageError(
                f"task.object: {self.object} was defined in a notebook or script, and is gone with "
                "it. Put it into a module, my_task.py, and name it my_task:"
                f"{self.object.partition(':')[2]}."
            )
        return import_string("task.object", self.object)


_MAIN = "__main__"
"""The module of a notebook's cells, and of a script that was called."""


class ResourcesTable(Table):
    """What a trial may use."""

    cpus_per_trial: float = Field(
        default=1, gt=0, le=MOST_CORES, description="CPU cores; torch threads follow"
    )
    gpus_per_trial: float = Field(
        default=0, ge=0, le=MOST_CORES, description="GPUs; fractions share one"
    )
    max_concurrent: int | None = Field(
        default=None, ge=1, le=MOST_TRIALS, description="trials at a time; unset: as many as fit"
    )
    max_failures: int = Field(
        default=0,
        ge=0,
        le=MOST_REPEATS,
        description="times that a trial is tried again after an error, which a lost node is not",
    )
    share_trajectories: StrictBool = Field(
        default=True,
        description="train each dense run once for all trials, and for all studies under the same "
        "storage_path; results are the same either way",
    )
    trajectory_store_gb: float = Field(
        default=10.0,
        gt=0,
        le=1_000_000,
        description="gigabytes of dense runs kept for other studies; those used least recently go",
    )
    checkpoint_interval_s: float = Field(
        default=60,
        gt=0,
        le=MOST_SECONDS,
        description="least seconds between mid-round checkpoints of a trial",
    )

    @field_validator("cpus_per_trial", "gpus_per_trial")
    @classmethod
    def _ray_counts_in_ten_thousandths(cls, amount: float) -> float:
        if 0 < amount < LEAST_SHARE:
            raise ValueError(f"{amount:g} is less than the {LEAST_SHARE:g} that Ray counts in")
        return amount

    @field_validator("gpus_per_trial")
    @classmethod
    def _more_than_one_is_whole(cls, gpus: float) -> float:
        if gpus > 1 and gpus != int(gpus):
            raise ValueError(
                f"{gpus:g} is no share of a GPU that Ray gives. Allowed: up to 1, or a whole number"
            )
        return gpus


LEAST_SHARE = 1e-4
"""Of a CPU or GPU; of less Ray would count none."""
