"""A smaller network in place of one with dead rows and columns: the same, up to rounding."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from study.pruning import PruningPlan, run_pipeline
from study.pruning.compact.carrying import SmallerCopy
from study.pruning.compact.layers import KeptWeights
from study.pruning.compact.network import Limits, compact_copy, smaller_forms
from study.pruning.masking.choosing import mask_layers
from study.pruning.masking.masks import MaskedLayers
from study.pruning.states.state_files import progress_from_bytes
from study.pruning.training.train_state import capture
from study.tasks.training.optimizers import build_optimizer
from study.tasks.training.recipe import Recipe
from tests.pruning.test_pipeline import Keeper, facts
from tests.pruning.tiny import Deep, Tiny, tiny_task

UNITS = Limits(linear_units=1.0, conv_units=1.0, channels_last=5, sparse_density=0.0)
SPARSE = Limits(linear_units=1.0, conv_units=1.0, sparse_density=1.0, sparse_weights=1)

RECIPES = [
    {"optimizer": "sgd", "lr": 0.1, "weight_decay": 0.01},
    {"optimizer": "sgd", "lr": 0.1, "nesterov": True, "clip_norm": 0.5},
    {"optimizer": "adam", "lr": 0.01},
    {"optimizer": "adamw", "lr": 0.01, "weight_decay": 0.1},
]


def network(dead: str, channels_last: bool = False) -> MaskedLayers:
    """Two convolutions with a norm between them, and two dense layers, with something dead."""
    torch.manual_seed(0)
    # No bias before the norm: its gradient is rounding alone, which Adam makes steps of.
    model = nn.Sequential(
        nn.Conv2d(2, 6, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 5, 3, dilation=2),
        nn.Flatten(),
        nn.Linear(20, 8),
        nn.Tanh(),
        nn.Linear(8, 3),
    )
    if channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    masked = mask_layers(model)
    masks = {name: torch.rand(mask.shape) < 0.7 for name, mask in masked.masks.items()}
    for mask in masks.values():
        if dead in ("rows", "both"):
            mask[::2] = False
        if dead in ("columns", "both"):
            mask[:, 1::2] = False
        if dead == "all":
            mask[:] = False
    masked.cut(masks, optimizer=None)
    return masked


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(5):
        inputs = torch.randn(16, 2, 11, 11, generator=generator)
        targets = torch.randint(3, (16,), generator=generator)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return losses


@pytest.mark.parametrize("limits", [UNITS, SPARSE], ids=["units", "sparse"])
@pytest.mark.parametrize("dead", ["rows", "columns", "both", "all"])
@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_it_takes_the_steps_of_the_whole_network(
    dead: str, recipe: dict[str, Any], limits: Limits
) -> None:
    plain, masked = network(dead), network(dead)
    made = Recipe(**recipe)
    expected, optimizer = (build_optimizer(made, each.model) for each in (plain, masked))
    for each, its_optimizer in ((plain, expected), (masked, optimizer)):
        steps(each.model, its_optimizer)  # so that there is a state to go on with
    forms = smaller_forms(masked, limits)
    assert set(forms) == set(masked.names)
    are_sparse = [name for name, form in forms.items() if isinstance(form, KeptWeights)]
    assert are_sparse == (["5", "7"] if limits is SPARSE and dead != "all" else [])
    compact = compact_copy(masked, optimizer, made, limits)
    torch.testing.assert_close(
        steps(compact.model, compact.optimizer, 1), steps(plain.model, expected, 1)
    )
    compact.store()
    mine, theirs = capture(masked.model, optimizer), capture(plain.model, expected)
    torch.testing.assert_close(dict(mine.model), dict(theirs.model))
    torch.testing.assert_close(dict(mine.optimizer), dict(theirs.optimizer))


@pytest.mark.parametrize("limits", [UNITS, SPARSE], ids=["units", "sparse"])
@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_a_weight_that_is_a_transposed_view_is_taken_out_and_put_back(
    recipe: dict[str, Any], limits: Limits
) -> None:
    plain, masked = network("both"), network("both")
    for each in (plain, masked):
        layer = each.model.get_submodule("5")
        turned = layer.weight.detach().t().contiguous().t()  # type: ignore[union-attr,operator]
        layer.weight = nn.Parameter(turned)
        assert not layer.weight.is_contiguous()
        each.apply()
    made = Recipe(**recipe)
    expected, optimizer = (build_optimizer(made, each.model) for each in (plain, masked))
    for each, its_optimizer in ((plain, expected), (masked, optimizer)):
        steps(each.model, its_optimizer)
    compact = compact_copy(masked, optimizer, made, limits)
    torch.testing.assert_close(
        steps(compact.model, compact.optimizer, 1), steps(plain.model, expected, 1)
    )
    compact.store()
    mine, theirs = capture(masked.model, optimizer), capture(plain.model, expected)
    torch.testing.assert_close(dict(mine.model), dict(theirs.model))
    torch.testing.assert_close(dict(mine.optimizer), dict(theirs.optimizer))


class Counted(nn.Module):
    """Counts its calls, once as extra state and once in a buffer that it makes when it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        if not hasattr(self, "counter"):
            self.register_buffer("counter", torch.zeros((), dtype=torch.int64))
        self.calls, self.counter = self.calls + 1, self.counter + 1
        return x

    def get_extra_state(self) -> dict[str, int]:
        return {"calls": self.calls}

    def set_extra_state(self, state: dict[str, int]) -> None:
        self.calls = state["calls"]


def test_buffers_made_in_a_pass_and_extra_state_are_written_back() -> None:
    masked = network("both")
    assert isinstance(masked.model, nn.Sequential)
    masked.model.append(Counted())
    recipe = Recipe(lr=0.1)
    optimizer = build_optimizer(recipe, masked.model)
    compact = compact_copy(masked, optimizer, recipe, UNITS)
    steps(compact.model, compact.optimizer)
    compact.store()
    assert masked.model[-1].calls == 5
    assert int(masked.model.get_buffer("8.counter")) == 5


@pytest.mark.filterwarnings("ignore:.*is deprecated:FutureWarning")
@pytest.mark.parametrize("norm", [nn.utils.weight_norm, nn.utils.parametrizations.spectral_norm])
def test_layers_that_compute_their_weight_are_left_as_they_are(norm: Any) -> None:
    model = nn.Sequential(norm(nn.Linear(4, 4)), nn.Linear(4, 4))
    masked = mask_layers(model)
    masked.cut({n: torch.zeros_like(m) for n, m in masked.masks.items()}, optimizer=None)
    assert set(smaller_forms(masked, UNITS)) == {"1"}


def test_a_network_that_is_one_layer_is_left_as_it_is() -> None:
    masked = mask_layers(nn.Linear(4, 4))
    masked.cut({"weight": torch.zeros(4, 4, dtype=torch.bool)}, optimizer=None)
    assert smaller_forms(masked, UNITS) == {}


@pytest.mark.parametrize("dead", ["rows", "columns", "both", "all"])
def test_channels_that_are_last_in_memory_stay_there(dead: str) -> None:
    plain, masked = (network(dead, channels_last=True) for _ in range(2))
    recipe = Recipe(lr=0.1)
    expected, optimizer = (build_optimizer(recipe, each.model) for each in (plain, masked))
    compact = compact_copy(masked, optimizer, recipe, UNITS)
    assert compact.model.get_submodule("3").weight.shape != masked.weights["3"].shape
    torch.testing.assert_close(
        steps(compact.model, compact.optimizer), steps(plain.model, expected)
    )
    compact.store()
    torch.testing.assert_close(masked.model.state_dict(), plain.model.state_dict())


@pytest.mark.parametrize("limits", [UNITS, SPARSE], ids=["units", "sparse"])
@pytest.mark.parametrize("dead", ["rows", "columns", "both", "all"])
def test_what_is_pruned_stays_exactly_zero(dead: str, limits: Limits) -> None:
    masked = network(dead)
    recipe = Recipe(lr=0.1)
    optimizer = build_optimizer(recipe, masked.model)
    compact = compact_copy(masked, optimizer, recipe, limits)
    steps(compact.model, compact.optimizer)
    compact.store()
    for name, mask in masked.masks.items():
        weight = masked.weights[name]
        assert not weight[~mask].any()
        assert not optimizer.state[weight]["momentum_buffer"][~mask].any()


def test_it_is_really_smaller() -> None:
    masked = network("both")
    recipe = Recipe()
    optimizer = build_optimizer(recipe, masked.model)
    compact = compact_copy(masked, optimizer, recipe, UNITS)
    shapes = {name: tuple(p.shape) for name, p in compact.model.named_parameters()}
    assert shapes["0.weight"] == (3, 1, 3, 3)
    assert shapes["5.weight"] == (4, 10)
    assert shapes["5.bias"] == (8,)
    sparse = compact_copy(masked, optimizer, recipe, SPARSE)
    assert sparse.model.get_parameter("5.weight").shape == (masked.kept["5"],)


def test_the_network_is_left_alone_until_what_was_learned_is_stored() -> None:
    masked = network("both")
    recipe = Recipe(lr=0.1)
    optimizer = build_optimizer(recipe, masked.model)
    before = deepcopy(masked.model.state_dict())
    compact = compact_copy(masked, optimizer, recipe, UNITS)
    steps(compact.model, compact.optimizer)
    torch.testing.assert_close(masked.model.state_dict(), before, rtol=0, atol=0)
    compact.store()
    assert not torch.equal(masked.model.state_dict()["5.bias"], before["5.bias"])


def test_a_dense_layer_over_sequences_is_sparse_over_each_of_their_elements() -> None:
    torch.manual_seed(0)
    masked = mask_layers(nn.Sequential(nn.Linear(6, 4)))
    masked.cut({"0": torch.rand(4, 6) < 0.4}, optimizer=None)
    optimizer = build_optimizer(Recipe(), masked.model)
    compact = compact_copy(masked, optimizer, Recipe(), SPARSE)
    inputs = torch.randn(5, 3, 6, requires_grad=True)
    expected = torch.autograd.grad(masked.model(inputs).square().sum(), inputs)
    found = torch.autograd.grad(compact.model(inputs).square().sum(), inputs)
    torch.testing.assert_close(found, expected)


class Own(nn.Linear):
    """A layer of the user's, whose forward pass may be anything."""


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(Own(6, 6)),
        nn.Sequential(nn.Conv2d(4, 4, 3, groups=2)),
        nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")),
        nn.Sequential(nn.Conv2d(4, 4, 3)).to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        nn.Sequential(nn.LSTM(4, 4)),
    ],
    ids=["own", "grouped", "reflecting", "channels last", "lstm"],
)
def test_layers_that_could_mean_something_else_are_left_as_they_are(model: nn.Module) -> None:
    masked = mask_layers(model)
    masked.cut({n: torch.zeros_like(m) for n, m in masked.masks.items()}, optimizer=None)
    assert smaller_forms(masked, UNITS) == {}


def test_a_weight_that_two_layers_share_is_left_as_it_is() -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6))
    model[1].weight = model[0].weight
    masked = mask_layers(model)
    masked.cut({n: torch.zeros_like(m) for n, m in masked.masks.items()}, optimizer=None)
    assert smaller_forms(masked, UNITS) == {}


def test_a_network_with_little_dead_is_not_copied() -> None:
    masked = network("none")
    assert compact_copy(masked, build_optimizer(Recipe(), masked.model), Recipe()) is None


@pytest.mark.parametrize("model", [Tiny, Deep])
@pytest.mark.parametrize("retrain", ["finetune", "lr_rewind", "weight_rewind", "reinit"])
def test_a_pipeline_gives_the_same_records_in_the_same_coordinates(
    model: type[nn.Module], retrain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = []
    store = SmallerCopy.store
    monkeypatch.setattr(SmallerCopy, "store", lambda self: stores.append(store(self)))
    plan = PruningPlan(
        sparsity={"conv*": 0.5, "fc": 0.97},
        rounds=3,
        retrain=retrain,
        retrain_epochs=2,
        rewind_epoch=1 if retrain == "weight_rewind" else None,
        optimizer_state="keep" if retrain == "lr_rewind" else "fresh",
    )
    whole = list(run_pipeline(plan, tiny_task(model=model)))
    compact = list(run_pipeline(plan, tiny_task(model=model, skip_pruned=True)))
    assert stores
    for mine, theirs in zip(compact, whole, strict=True):
        assert mine.val_loss == pytest.approx(theirs.val_loss, rel=1e-3)
        assert mine.train_loss == pytest.approx(theirs.train_loss, rel=1e-3)
        assert mine.mask_hash == theirs.mask_hash
        assert [str(layer) for layer in mine.layers] == [str(layer) for layer in theirs.layers]
        assert mine.macs == theirs.macs


def test_a_compact_round_that_is_cut_anywhere_goes_on_as_if_it_had_not_been() -> None:
    task = tiny_task(skip_pruned=True)
    plan = PruningPlan(sparsity={"conv": 0.5, "fc": 0.97}, rounds=2, retrain_epochs=3)
    keeper = Keeper()
    whole = [facts(record) for record in run_pipeline(plan, task, observer=keeper)]
    for data in keeper.within:
        progress = progress_from_bytes(data)
        rest = [facts(record) for record in run_pipeline(plan, task, start=progress)]
        assert rest == whole[progress.round :]


class Counting(nn.Module):
    """Makes its buffer anew in every forward pass, in evaluations too."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(36, 3)
        self.register_buffer("passes", torch.zeros(()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        self.passes = self.passes + 1
        out: Tensor = self.fc(x.flatten(1))
        return out


def test_a_buffer_that_an_evaluation_made_anew_is_no_trouble() -> None:
    plan = PruningPlan(sparsity=0.9, rounds=2, retrain_epochs=1)
    found = [
        list(run_pipeline(plan, tiny_task(model=Counting, skip_pruned=skip)))
        for skip in (False, True)
    ]
    assert [r.mask_hash for r in found[0]] == [r.mask_hash for r in found[1]]
