import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from study.errors import UsageError
from study.tasks import DatasetSplit, Split, evaluate, make_task
from tests.tasks.judging.forms import WithLogits


def linear(classes: int = 3) -> nn.Module:
    return nn.Linear(4, classes)


X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(60) % 3


def split_of(examples: Any) -> Split:
    assert isinstance(examples, Split)
    return examples


def test_float_targets_are_held_out_by_a_seeded_shuffle() -> None:
    values = torch.arange(500.0)
    inputs = torch.randn(500, 4)
    tasks = [
        make_task(linear, (inputs, values), 0.2, split_seed=seed, loss=functional.mse_loss)
        for seed in (1, 1, 2)
    ]
    first, again, other = (split_of(task.data.validation).targets for task in tasks)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    error = float(values.std()) / 10
    for found in (first, other):
        assert len(found) == 100
        assert abs(float(found.mean() - values.mean())) < 3 * error


@pytest.mark.parametrize("targets", [Y, Y[:, None], Y.to(torch.uint8), Y.numpy().astype(np.int16)])
def test_each_class_is_held_out_in_the_same_proportion(targets: Any) -> None:
    task = make_task(linear, (X, targets), 0.2)
    assert split_of(task.data.validation).targets.flatten().bincount().tolist() == [4, 4, 4]


def test_zeros_and_ones_are_held_out_class_by_class_as_floats_too() -> None:
    targets = (torch.arange(60) < 15).float()[:, None]
    task = make_task(lambda: linear(1), (X, targets), 0.2, loss=functional.mse_loss)
    assert float(split_of(task.data.validation).targets.sum()) == 3


def test_groups_are_held_out_whole() -> None:
    groups = [f"patient {i // 6}" for i in range(60)]
    task = make_task(linear, (X, torch.arange(60)), 0.3, groups=groups)
    held_out = {groups[i] for i in split_of(task.data.validation).targets.tolist()}
    stays = {groups[i] for i in split_of(task.data.train).targets.tolist()}
    assert len(held_out) == 3
    assert not held_out & stays


def test_groups_that_say_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match=r"groups: shape \(59,\); one of each of 60"):
        make_task(linear, (X, Y), 0.3, groups=np.zeros(59))
    with pytest.raises(UsageError, match=r"^groups: shape \(59,\); one of each of 60"):
        make_task(linear, (X, Y), (X, Y), groups=np.zeros(59))
    with pytest.raises(UsageError, match=r"test_groups: shape \(59,\); one of each of 60"):
        make_task(linear, (X, Y), 0.3, (X, Y), test_groups=np.zeros(59))
    with pytest.raises(UsageError, match="test is not given"):
        make_task(linear, (X, Y), 0.3, test_groups=np.zeros(60))


def test_groups_of_data_of_their_own_are_kept_for_the_bound() -> None:
    groups = np.arange(60) // 6
    task = make_task(linear, (X, Y), (X, Y), (X, Y), groups=groups, test_groups=groups[::-1])
    np.testing.assert_array_equal(task.data.confirming_groups, groups)
    np.testing.assert_array_equal(task.data.test_groups, groups[::-1])


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Any:
        yield 1


WHOLE = TensorDataset(X, Y)


@pytest.mark.parametrize(
    ("train", "validation", "message"),
    [
        ((X, Y), 0, "validation: 0.0 is no share"),
        ((X, Y), 1, "validation: 1.0 is no share"),
        ((X, Y), 200, "validation: 200.0 is no share; it must be above 0 and below 1"),
        ((X, Y), None, "validation: None is not taken; give the share"),
        ((X, Y), True, "validation: True is not taken"),
        ((X, Y), "0.1", "validation: str is not taken; give a pair"),
        ((X, Y), 0.001, "of 60 examples .* leaves the validation split empty"),
        ((X[:1], Y[:1]), 0.5, "leaves the .* split empty"),
        ((X, Y), DataLoader(WHOLE), "validation: a DataLoader fixes its own order"),
        (DataLoader(WHOLE), 0.1, "train: a DataLoader fixes its own order"),
        (Endless(), 0.1, "train: Endless is iterable-style"),
        (X, 0.1, "train: float32 .* is not taken; give a pair"),
        ([X, Y], 0.1, "train: .* is not taken; give a pair"),
        ({"x": X, "y": Y}, 0.1, "train: .* is not taken; give a pair"),
        (None, 0.1, "train: NoneType is not taken"),
        ((X, Y, Y), 0.1, "train: .* is not taken; give a pair"),
        (TensorDataset(X[:0], Y[:0]), 0.1, "train: the data set has no example"),
        ((X[:0], Y[:0]), 0.1, "train: 0 inputs and 0 targets"),
        ((X, Y[:7]), 0.1, "train: 60 inputs and 7 targets"),
        (({"a": X, "b": X[:7]}, Y), 0.1, "train inputs: .* lengths 60, 7"),
        (([[1.0], [2.0, 3.0]], Y), 0.1, "inputs: a list of parts that differ in shape"),
        ((np.array(["a", "b"]), Y[:2]), 0.1, "inputs: an array of <U1 is no array of numbers"),
        ((np.array([{}, {}]), Y[:2]), 0.1, "inputs: an array of object"),
    ],
)
def test_data_in_no_form_that_is_taken_are_refused_in_words(
    train: Any, validation: Any, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        make_task(linear, train, validation)


def test_accuracy_by_two_ways_is_refused() -> None:
    with pytest.raises(UsageError, match="two are called 'accuracy'"):
        make_task(linear, (X, Y), 0.2, correct=lambda o, t: o.argmax(1) == t, metrics="accuracy")


def test_images_of_bytes_stay_bytes_until_the_batch() -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 3, 8, 8), dtype=np.uint8)
    task = make_task(
        lambda: nn.Sequential(nn.Conv2d(3, 2, 8), nn.Flatten()), (images, Y[:40] % 2), 0.25
    )
    assert split_of(task.data.train).inputs.dtype == torch.uint8
    prepared = task.prepared(split_of(task.data.train).inputs[:2], torch.float32)
    assert float(prepared.max()) <= 1
    assert 0 <= evaluate(task.build_model(), task.data.validation, task).metrics["accuracy"] <= 1


class Language(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.head = nn.Linear(6, 2)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        kept = self.embed(input_ids) * attention_mask[..., None]
        return WithLogits(self.head(kept.sum(1) / attention_mask.sum(1, keepdim=True)))


@dataclass
class Tokens:
    input_ids: Any
    attention_mask: Any


IDS = np.random.default_rng(0).integers(0, 11, (60, 5))
MASK = np.ones((60, 5), dtype=np.int32)


@pytest.mark.parametrize("form", [dict, Tokens, lambda **parts: tuple(parts.values())])
def test_inputs_of_several_parts_reach_a_model_that_gives_an_object(form: Any) -> None:
    inputs = form(input_ids=IDS, attention_mask=MASK)
    task = make_task(Language, (inputs, Y % 2), 0.2, metrics=["accuracy", "auroc"])
    found = evaluate(task.build_model(), task.data.validation, task)
    assert set(found.metrics) == {"accuracy", "auroc"}
    batch = task.data.train.take(torch.arange(8))
    outputs = task.forward(Language(), task.prepared(batch.inputs, torch.float32))
    task.loss(outputs, batch.targets).backward()


class Examples(Dataset[Any]):
    """As Hugging Face's: an example is a mapping with its label."""

    def __len__(self) -> int:
        return 60

    def __getitem__(self, i: int) -> Any:
        return {"input_ids": IDS[i], "attention_mask": MASK[i], "labels": int(Y[i] % 2)}


def test_a_data_set_gives_the_figures_of_its_tensors() -> None:
    inputs = {"input_ids": IDS, "attention_mask": MASK}
    in_memory = make_task(Language, (inputs, Y % 2), (inputs, Y % 2))
    loaded = make_task(Language, Examples(), Examples(), eval_batch_size=7)
    model = Language()
    one, other = (evaluate(model, t.data.validation, t) for t in (in_memory, loaded))
    assert one.metrics == other.metrics
    assert one.loss == pytest.approx(other.loss)


def test_a_share_of_a_data_set_is_held_out_without_loading_it() -> None:
    class Counted(Examples):
        def __getitem__(self, i: int) -> Any:
            raise AssertionError

    task = make_task(Language, Counted(), 0.2)
    train, validation = task.data.train, task.data.validation
    assert isinstance(train, DatasetSplit)
    assert isinstance(validation, DatasetSplit)
    assert train.chosen is not None
    assert validation.chosen is not None
    places = [*train.chosen.tolist(), *validation.chosen.tolist()]
    assert sorted(places) == list(range(60))
    assert len(validation) == 12


def test_a_data_set_of_python_numbers_can_be_trained_on() -> None:
    class Floats(Examples):
        def __getitem__(self, i: int) -> Any:
            return X[i], float(X[i].sum())

    def squared(outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.mse_loss(outputs.squeeze(1), targets)

    task = make_task(lambda: linear(1), Floats(), 0.2, loss=squared)
    batch = task.data.train.take(torch.arange(4))
    task.loss(task.forward(linear(1), batch.inputs), batch.targets).backward()


def on_disk(folder: Path, name: str, array: Any) -> Any:
    np.save(folder / name, array)
    return np.load(folder / name, mmap_mode="r")


@pytest.mark.parametrize("kind", ["int32", "uint8", "int64"])
def test_classes_on_disk_are_held_out_class_by_class_and_trained_on(
    tmp_path: Path, kind: str
) -> None:
    targets = on_disk(tmp_path, "y.npy", Y.numpy().astype(kind))
    inputs = on_disk(tmp_path, "x.npy", X.double().numpy())
    task = make_task(linear, (inputs, targets), 0.2)
    in_memory = make_task(linear, (X, Y), 0.2)
    taken = task.data.validation.take(torch.arange(12))
    assert taken.targets.long().bincount().tolist() == [4, 4, 4]
    model = linear()
    found, wanted = (evaluate(model, t.data.validation, t) for t in (task, in_memory))
    assert found == wanted
    task.loss(model(taken.inputs), taken.targets).backward()


def test_inputs_in_memory_may_have_targets_on_disk(tmp_path: Path) -> None:
    masks = on_disk(tmp_path, "m.npy", np.zeros((60, 5, 6), np.uint8))
    images = torch.randn(60, 3, 5, 6)
    task = make_task(lambda: nn.Conv2d(3, 4, 1), (images, masks), 0.2)
    assert isinstance(split_of(task.data.train).targets, np.memmap)
    found = evaluate(task.build_model(), task.data.validation, task)
    assert 0 <= found.metrics["accuracy"] <= 1


MEMORY = """
import resource, sys
import numpy as np
import torch
from torch import nn
from study.pruning.seeds import Seeds
from study.pruning.training.fingerprint import fingerprint
from study.tasks import evaluate, make_task
from study.tasks.data.splits import Draw

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

class Mean(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(1024, 2)
    def forward(self, x):
        return self.fc(x.mean(1))

def build(x, share):
    task = make_task(Mean, (x, np.arange(len(x)) % 2), share, batch_size=4)
    evaluate(task.build_model(), task.data.validation, task)
    fingerprint(task, Seeds(init=0, mask=0, data=0))
    next(iter(task.data.train.batches([Draw(torch.arange(4), 0)])))

small = np.zeros((24, 16, 1024), np.float32)
build(small, 0.25)
before = peak()
x = np.load(sys.argv[1], mmap_mode="r")
build(x, 0.02)
print(peak() - before)
"""


def test_data_on_disk_are_read_batch_by_batch(tmp_path: Path) -> None:
    """128 MB on disk, of which a few examples are looked at and 2 % are evaluated."""
    path = tmp_path / "x.npy"
    array = np.lib.format.open_memmap(path, "w+", np.float32, (2048, 16, 1024))
    array[::100] = 1.0
    array.flush()
    del array
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 40
