"""Modules of a user's own with one thing wrong in each, or nothing."""

from __future__ import annotations

RIGHT = """
import torch
from study.tasks import make_task
from study.tasks.judging.metrics import Metric

def model(*_, **__):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 8), torch.nn.Linear(8, 2))

def data():
    drawn = torch.Generator().manual_seed(0)
    return torch.randn(64, 4, generator=drawn), torch.arange(64) % 2

def loss(outputs, targets):
    return torch.nn.functional.cross_entropy(outputs, targets)

def metric(outputs, targets):
    return (outputs.argmax(-1) == targets).float()

def forward(model, inputs):
    return model(inputs)

def transform(inputs):
    return inputs

def augment(inputs, targets):
    return inputs, targets

class Examples(torch.utils.data.Dataset):
    def __init__(self):
        self.inputs, self.targets = data()
    def __len__(self):
        return 64
    def __getitem__(self, index):
        return self.inputs[index], self.targets[index]

def task():
    return make_task(model, data(), 0.25, loss=loss, correct=metric, forward=forward,
                     transform=transform, augment=augment, epochs=2, batch_size=16)

def streamed():
    return make_task(model, Examples(), Examples(), epochs=2, batch_size=16)
"""
"""A task that can be studied."""

PARTS = {
    "def model(*_, **__):": "model",
    "def data():": "object",
    "def loss(outputs, targets):": "loss",
    "def metric(outputs, targets):": "metric",
    "def forward(model, inputs):": "model",
    "def transform(inputs):": "transform",
    "def augment(inputs, targets):": "augment",
    "def task():": "object",
}
"""Where it is put, and what a message then names beside the error and the line."""

STREAMED = {
    "    def __init__(self):": "object",
    "    def __len__(self):": "object",
    "    def __getitem__(self, index):": "training examples",
}
"""The same in a data set's methods."""

RAISED = (
    ("raise ValueError('a word of my own')", "a word of my own"),
    ("raise KeyError('a word')", "KeyError"),
    ("raise StopIteration", "StopIteration"),
    ("raise SystemExit(0)", "SystemExit"),
    ("raise MemoryError", "MemoryError"),
    ("raise RuntimeError('line one\\nline two')", "line one"),
    ("raise RuntimeError('\\x1b]0;owned\\x07')", "RuntimeError"),
    ("raise BaseException('bare')", "bare"),
    ("raise GeneratorExit", "GeneratorExit"),
    ("1 / 0", "division by zero"),
    ("nothing_of_this_name", "NameError"),
    ("import no_such_module_at_all", "no_such_module_at_all"),
    ("assert False, 'never'", "never"),
    ("(lambda f: f(f))(lambda f: f(f))", "RecursionError"),
)
"""Errors, and what of each is repeated."""

BROKEN = (
    ("def task(:\n    pass\n", "SyntaxError"),
    ("def task():\nreturn 1\n", "IndentationError"),
    ("x = '\n", "SyntaxError"),
    ("raise RuntimeError('at import')\n", "at import"),
    ("import sys\nsys.exit(3)\n", "SystemExit"),
    ("import no_such_module_at_all\n", "no_such_module_at_all"),
    ("from study.tasks import no_such_function\n", "no_such_function"),
    ("def f(): f()\nf()\n", "RecursionError"),
    ("tusk = 1\n", "task"),
    ("", "task"),
    ("task = 5\n", "object"),
    ("task = None\n", "object"),
    ("def task(): return None\n", "object"),
    ("def task(x): return x\n", "object"),
    ("def task(): return task\n", "object"),
    ("class task: pass\n", "object"),
    ("async def task(): return 1\n", "object"),
    ("\x00", "object"),
    ("# coding: nonsense\n", "object"),
    ("é = '\udcff'\n", "object"),
)
"""Whole modules that have no task, and what is named."""
