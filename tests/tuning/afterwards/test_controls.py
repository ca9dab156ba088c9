"""Controls of a network, against a training loop of the test's own."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load
from torch import Tensor, nn

from study.configuration.loading import load_config
from study.pruning import PruningPlan, run_pipeline
from study.pruning.seeds import derive_seed
from study.pruning.selection.ranking import pruned_count
from study.pruning.states.state_files import weights_to_bytes
from study.pruning.training.steps import epoch_order
from study.pruning.training.trajectory import build_model, train_dense
from study.records import CONTROLS, RoundRecord
from study.tasks import Task, load_task
from study.tuning.afterwards.controls import (
    _sparsity_that_keeps,
    start_of,
    unpruned,
    untrained,
    why_left_out,
)
from tests.conftest import SMALL

EPOCHS, LR, WARMUP = 4, 0.1, 0.5


def own_course(step: int, steps: int) -> float:
    return 1 - step / steps


COURSES: dict[str, Callable[[int, int], float]] = {
    "constant": lambda step, steps: 1.0,
    "cosine": lambda step, steps: 0.01 + 0.99 * (1 + math.cos(math.pi * step / steps)) / 2,
    "step": lambda step, steps: 0.1 ** ((step >= steps / 2) + (step >= 3 * steps / 4)),
    f"{__name__}:own_course": own_course,
}
"""Factor of the learning rate, each written out once more."""

PLAN = PruningPlan(
    sparsity=0.9, rounds=2, retrain="finetune", retrain_epochs=1.25, retrain_lr=0.02, seed=3,
    layer_floor=0.05, optimizer_state="keep", exclude=("fc3",),
)  # fmt: skip


def small_task(**recipe: Any) -> Task:
    return load_task(
        **load_config({**SMALL, "task": {**SMALL["task"], **recipe}}).task.load_arguments()
    )


class Keeper:
    """The state file of the last round."""

    file = b""

    def checkpoint(self, progress: object) -> None: ...

    def round_finished(self, record: RoundRecord, masked: Any, progress: object) -> None:
        self.file = weights_to_bytes(masked, {})


def run_control(
    task: Task, role: str
) -> tuple[RoundRecord, dict[str, Tensor], RoundRecord, dict[str, Tensor]]:
    """A network and one of its controls, each as its record and state file."""
    dense = train_dense(task, PLAN.seeds)
    network = Keeper()
    record = list(run_pipeline(PLAN, task, dense, network))[-1]
    plan = untrained(PLAN, record, task)[role]
    control = Keeper()
    (made,) = run_pipeline(plan, task, start_of(role, plan, task, dense, network.file), control)
    return record, load(network.file), made, load(control.file)


def train_by_hand(
    task: Task, model: nn.Module, masks: dict[str, Tensor], steps: int, course: str
) -> None:
    """SGD on the masked weights alone, with a warm-up of half an epoch."""
    examples, size = len(task.data.train), task.recipe.batch_size
    per_epoch = math.ceil(examples / size)
    optimizer = torch.optim.SGD(model.parameters(), momentum=0.9)
    weights = {name: weight for name, weight in model.named_parameters() if name in masks}
    for step in range(-1, steps):
        if step >= 0:
            epoch, place = divmod(step, per_epoch)
            order = epoch_order(PLAN.seeds.data, epoch, examples)
            batch = task.data.train.take(order[place * size : (place + 1) * size])
            rise = min(1.0, (step + 1) / round(WARMUP * per_epoch))
            optimizer.param_groups[0]["lr"] = LR * COURSES[course](step, steps) * rise
            inputs = task.prepared(batch.inputs, torch.float32)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs), batch.targets).backward()
            optimizer.step()
        with torch.no_grad():
            for name, weight in weights.items():
                weight *= masks[name]


@pytest.mark.parametrize(
    ("role", "course"),
    [*((role, "cosine") for role in CONTROLS[:-1]), *(("reinit_long", each) for each in COURSES)],
)
def test_controls_are_what_a_loop_of_ones_own_trains(role: str, course: str) -> None:
    task = small_task(lr=LR, lr_schedule=course, warmup_epochs=WARMUP)
    network, before, control, found = run_control(task, role)
    masks = {
        f"{name.removeprefix('mask.')}.weight": mask
        for name, mask in found.items()
        if name.startswith("mask.")
    }
    assert len(masks) == 2  # of three layers one is left dense
    for layer in network.layers:
        assert int(masks[f"{layer.layer}.weight"].sum()) == layer.kept
    own = all((before[f"mask.{layer.layer}"] == found[f"mask.{layer.layer}"]).all()
              for layer in network.layers)  # fmt: skip
    assert own == role.startswith("reinit")
    per_epoch = math.ceil(len(task.data.train) / task.recipe.batch_size)
    epochs = network.train_epochs if role == "reinit_long" else EPOCHS
    assert network.train_epochs == pytest.approx(EPOCHS + 2 * 1.25, abs=1 / per_epoch)
    assert control.train_epochs == pytest.approx(epochs)
    init = (
        PLAN.seeds.init if role == "shuffled_initial" else derive_seed(PLAN.seeds.init, "reinit", 1)
    )
    model = build_model(task, init)
    train_by_hand(task, model, masks, round(epochs * per_epoch), course)
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(found[f"model.{name}"], weight, rtol=1e-3, atol=1e-5)


def test_shuffled_masks_are_drawn_anew_for_each_seed_and_the_same_for_both_controls() -> None:
    task = small_task(epochs=1)
    (network,) = (r for r in run_pipeline(PLAN, task) if r.round == 2)
    hashes = {}
    for seed in (3, 4):
        plans = untrained(PLAN.model_copy(update={"seed": seed}), network, task)
        for role in ("shuffled_initial", "shuffled_reinit"):
            dense = train_dense(task, plans[role].seeds)
            start = start_of(role, plans[role], task, dense, b"")
            hashes[seed, role] = next(iter(run_pipeline(plans[role], task, start))).mask_hash
    assert len(hashes) == 4
    assert hashes[3, "shuffled_initial"] == hashes[3, "shuffled_reinit"] != network.mask_hash
    assert hashes[4, "shuffled_initial"] != hashes[3, "shuffled_initial"]


@given(st.integers(1, 10**8).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_sparsity_keeps_exactly_as_many(counts: tuple[int, int]) -> None:
    kept, total = counts
    sparsity = _sparsity_that_keeps(kept, total)
    assert 0 <= sparsity < 1
    assert total - pruned_count(sparsity, total) == kept


def always_the_same() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Linear(8, 10))


def test_why_controls_are_left_out_is_said() -> None:
    task = small_task(epochs=1)
    (network,) = (r for r in run_pipeline(PLAN, task) if r.round == 2)
    assert why_left_out(PLAN, network, task) is None
    told = why_left_out(PLAN, None, task)
    assert told is not None
    assert "diverged" in told
    bare = replace(task, recipe=task.recipe.model_copy(update={"epochs": 0}))
    told = why_left_out(PLAN, network, bare)
    assert told is not None
    assert told.startswith("task.epochs is 0")
    given_ = replace(task, recipe=task.recipe.model_copy(update={"weights": "some.safetensors"}))
    told = why_left_out(PLAN, network, given_)
    assert told is not None
    assert told.startswith("task.weights is set")
    told = why_left_out(PLAN, network, replace(task, build_model=always_the_same))
    assert told is not None
    assert "the same weights whatever the seed" in told


@pytest.mark.parametrize("way", ["finetune", "lr_rewind", "weight_rewind", "reinit"])
def test_the_unpruned_control_trains_as_long(way: str) -> None:
    rewind = {"rewind_epoch": 1.0} if "weight" in way else {}
    plan = PruningPlan.model_validate(
        {"sparsity": {"*": 0.9}, "rounds": 2, "retrain": way, **rewind}
    )
    task = small_task()
    own, control = list(run_pipeline(plan, task)), list(run_pipeline(unpruned(plan), task))
    assert [r.train_samples for r in own] == [r.train_samples for r in control]
    assert control[-1].density == 1.0


def test_where_nothing_is_pruned_no_scores_are_moved() -> None:
    plan = PruningPlan(sparsity=0.9, allocation="lamp", score_offsets={"no_such_layer": 1.0})
    assert unpruned(plan).score_offsets == {}


@pytest.mark.parametrize("role", ["shuffled_initial", "shuffled_reinit"])
def test_a_control_of_a_network_without_channels_draws_as_many_of_each_layer(role: str) -> None:
    task = small_task()
    plan = PruningPlan(structure="channels", sparsity=0.6, rounds=2, retrain_epochs=1, seed=3)
    dense, keeper = train_dense(task, plan.seeds), Keeper()
    (*_, network) = run_pipeline(plan, task, dense, observer=keeper)
    control = untrained(plan, network, task)[role]
    start = start_of(role, control, task, dense, keeper.file)
    (drawn,) = run_pipeline(control, task, start)
    kept = [(layer.kept, layer.outputs - layer.dead_outputs) for layer in network.layers]
    assert [(each.kept, each.outputs - each.dead_outputs) for each in drawn.layers] == kept
    assert drawn.mask_hash != network.mask_hash


@pytest.mark.parametrize("role", ["shuffled_initial", "shuffled_reinit"])
@pytest.mark.parametrize("structure", ["2:4", "blocks", "channels+weights"])
def test_a_control_draws_in_the_form_of_its_network(structure: str, role: str) -> None:
    task = small_task()
    fields: dict[str, Any] = {} if structure == "2:4" else {"sparsity": 0.6}
    if structure == "blocks":
        fields["block"] = (2, 4)
    plan = PruningPlan(structure=structure, rounds=2, retrain_epochs=1, seed=3, **fields)
    dense, keeper = train_dense(task, plan.seeds), Keeper()
    (*_, network) = run_pipeline(plan, task, dense, observer=keeper)
    control = untrained(plan, network, task)[role]
    (drawn,) = run_pipeline(control, task, start_of(role, control, task, dense, keeper.file))
    assert [each.kept for each in drawn.layers] == [each.kept for each in network.layers]
    assert drawn.mask_hash != network.mask_hash
    assert control.structure == ("weights" if structure == "channels+weights" else structure)
    assert unpruned(plan).structure == "weights"
    (*_, whole) = run_pipeline(unpruned(plan), task, dense)
    assert (whole.density, whole.train_samples) == (1.0, network.train_samples)
