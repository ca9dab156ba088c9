"""What is pruned: data, models and training recipes. Needs torch, never Ray."""

from study.tasks.data import Data, Split
from study.tasks.evaluation import Evaluation, evaluate
from study.tasks.loading import load_task
from study.tasks.recipe import Recipe
from study.tasks.task import Task, make_task

__all__ = [
    "Data",
    "Evaluation",
    "Recipe",
    "Split",
    "Task",
    "evaluate",
    "load_task",
    "make_task",
]
