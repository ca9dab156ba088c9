"""What is pruned: data, models, metrics and training recipes. Needs torch, never Ray."""

from study.tasks.data.splits import Batch, Data, Split
from study.tasks.data.streaming import DatasetSplit
from study.tasks.judging.evaluation import Evaluation, evaluate
from study.tasks.judging.metrics import Metric
from study.tasks.loading import load_task
from study.tasks.making import make_task
from study.tasks.task import Task
from study.tasks.training.recipe import Recipe

__all__ = [
    "Batch",
    "Data",
    "DatasetSplit",
    "Evaluation",
    "Metric",
    "Recipe",
    "Split",
    "Task",
    "evaluate",
    "load_task",
    "make_task",
]
