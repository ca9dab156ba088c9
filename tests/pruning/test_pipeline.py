import dataclasses
import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from study.errors import UsageError
from study.pruning import run_pipeline
from study.pruning.masking.masks import MaskedLayers
from study.pruning.pipeline import Pipeline
from study.pruning.plan import PruningPlan
from study.pruning.scoring import Scoring
from study.pruning.selection.ranking import pruned_count
from study.pruning.states.progress import Progress
from study.pruning.states.state_files import progress_from_bytes, progress_to_bytes
from study.pruning.training.trajectory import train_dense
from study.records import RoundRecord
from study.tasks import make_task
from tests.pruning.tiny import Deep, Tiny, forbidden_test, images, tiny_task

WEIGHTS = 36 + 4 * 36 * 3


def facts(record: RoundRecord) -> str:
    """All of a record but the time that it took, floats to the last bit."""
    return record.model_dump_json(exclude={"wall_s", "finished_at"})


def plan(**fields: object) -> PruningPlan:
    return PruningPlan(**{"sparsity": 0.9, "rounds": 3, "retrain_epochs": 1, **fields})


PLANS = [
    plan(),
    plan(retrain="lr_rewind", optimizer_state="keep"),
    plan(retrain="weight_rewind", rewind_epoch=0.5),
    plan(retrain="weight_rewind", rewind_epoch=1, optimizer_state="keep", retrain_epochs=2),
    plan(retrain="reinit", saliency="random"),
    plan(saliency="gradient", allocation="lamp"),
    plan(saliency="movement", schedule="cubic"),
    plan(saliency="obs", allocation="knapsack", budget="macs"),
    plan(saliency="wanda", allocation="per_output"),
    plan(sparsity={"conv": 0.5, "fc": 0.9}, schedule="constant"),
    plan(sparsity=None, threshold=0.1),
]


class Keeper:
    """Observes a pipeline and keeps every checkpoint, through bytes."""

    def __init__(self) -> None:
        self.within: list[bytes] = []
        self.after: list[bytes] = []
        self.weights: list[dict[str, Tensor]] = []

    def checkpoint(self, progress: Callable[[], Progress]) -> None:
        self.within.append(progress_to_bytes(progress()))

    def round_finished(
        self, record: RoundRecord, masked: MaskedLayers, progress: Callable[[], Progress]
    ) -> None:
        self.after.append(progress_to_bytes(progress()))
        self.weights.append({k: v.detach().clone() for k, v in masked.weights.items()})


@pytest.mark.parametrize("made", PLANS)
def test_the_same_plan_gives_the_same_records_bit_for_bit(made: PruningPlan) -> None:
    torch.manual_seed(1)
    first = [facts(record) for record in run_pipeline(made, tiny_task())]
    torch.manual_seed(2)
    assert [facts(record) for record in run_pipeline(made, tiny_task())] == first


@pytest.mark.parametrize("made", PLANS)
def test_a_shared_dense_run_gives_what_an_own_one_gives(made: PruningPlan) -> None:
    shared = train_dense(tiny_task(), made.seeds, [0.5, 1, 2])
    own = [facts(record) for record in run_pipeline(made, tiny_task())]
    assert [facts(record) for record in run_pipeline(made, tiny_task(), start=shared)] == own


@pytest.mark.parametrize("made", PLANS)
def test_a_pipeline_goes_on_bit_for_bit_from_any_checkpoint(made: PruningPlan) -> None:
    keeper = Keeper()
    whole = [facts(record) for record in run_pipeline(made, tiny_task(), observer=keeper)]
    assert len(keeper.after) == 4
    for data in [*keeper.within, *keeper.after]:
        progress = progress_from_bytes(data)
        rest = [facts(record) for record in run_pipeline(made, tiny_task(), start=progress)]
        assert rest == whole[progress.round + progress.measured :]


@pytest.mark.parametrize("made", [made for made in PLANS if made.allocation != "per_layer"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_with_channels_last_it_goes_on_bit_for_bit_too(made: PruningPlan, optimizer: str) -> None:
    task, keeper = tiny_task(channels_last=True, optimizer=optimizer, model=Deep), Keeper()
    whole = [facts(record) for record in run_pipeline(made, task, observer=keeper)]
    for data in [*keeper.within, *keeper.after]:
        progress = progress_from_bytes(data)
        rest = [facts(record) for record in run_pipeline(made, task, start=progress)]
        assert rest == whole[progress.round + progress.measured :]


def test_channels_last_changes_speed_and_nothing_else() -> None:
    made = plan(rounds=1, retrain_epochs=1)
    plain, fast = (
        list(run_pipeline(made, tiny_task(channels_last=last, model=Deep, epochs=1)))
        for last in (False, True)
    )
    for one, other in zip(plain, fast, strict=True):
        assert one.val_loss == pytest.approx(other.val_loss, rel=1e-5)
        assert [layer.kept for layer in one.layers] == [layer.kept for layer in other.layers]


def test_checkpoints_fall_within_rounds_and_hold_the_masks() -> None:
    keeper = Keeper()
    made = plan(retrain_epochs=3)
    records = list(run_pipeline(made, tiny_task(), observer=keeper))
    assert len(keeper.within) == 3 * 2
    middle = progress_from_bytes(keeper.within[2])
    assert (middle.round, middle.steps_done) == (2, 4)
    masks = {k: v for k, v in middle.state.model.items() if k.endswith("_mask")}
    kept = sum(int(mask.sum()) for mask in masks.values())
    assert kept == round(records[2].density * WEIGHTS)
    assert not middle.state.model["fc.weight"][~masks["fc.weight_mask"]].any()


def test_more_rounds_from_a_finished_state_are_those_of_the_longer_plan() -> None:
    long = plan(rounds=4, sparsity=1 - 0.6**4)
    short = long.prefix(2)
    assert short is not None
    keeper = Keeper()
    first = list(run_pipeline(short, tiny_task(), observer=keeper))
    rest = list(run_pipeline(long, tiny_task(), start=progress_from_bytes(keeper.after[-1])))
    whole = list(run_pipeline(long, tiny_task()))
    for found, expected in zip([*first, *rest], whole, strict=True):
        assert found.mask_hash == expected.mask_hash
        assert found.val_loss == expected.val_loss
        assert found.train_samples == expected.train_samples


def test_every_round_meets_its_target_of_the_original_weights_to_the_weight() -> None:
    records = list(run_pipeline(plan(schedule="cubic"), tiny_task()))
    assert [record.round for record in records] == [0, 1, 2, 3]
    for record in records:
        kept = sum(layer.kept for layer in record.layers)
        assert kept == WEIGHTS - pruned_count(record.requested_sparsity, WEIGHTS)
        assert record.sparsity == pytest.approx(1 - kept / WEIGHTS)
    assert records[-1].requested_sparsity == 0.9


def test_requested_and_achieved_sparsity_are_both_told_for_each_layer() -> None:
    records = list(run_pipeline(plan(sparsity={"conv": 0.5, "fc": 0.9}, rounds=1), tiny_task()))
    found = {layer.layer: (layer.requested_sparsity, layer.density) for layer in records[1].layers}
    assert found["conv"] == (0.5, 0.5)
    assert found["fc"] == (0.9, pytest.approx(0.1, abs=0.5 / 432))
    total = (0.5 * 36 + 0.9 * 432) / WEIGHTS
    assert records[1].requested_sparsity == pytest.approx(total)


def test_a_threshold_asks_for_nothing_and_says_so() -> None:
    record = list(run_pipeline(plan(sparsity=None, threshold=0.1), tiny_task()))[-1]
    assert math.isnan(record.requested_sparsity)
    assert 0 < record.sparsity < 1


def test_weights_are_exactly_zero_after_every_round_and_never_come_back() -> None:
    keeper = Keeper()
    list(
        run_pipeline(
            plan(retrain="lr_rewind", optimizer_state="keep"), tiny_task(), observer=keeper
        )
    )
    zeros = [{name: w == 0 for name, w in weights.items()} for weights in keeper.weights[1:]]
    for earlier, later in pairwise(zeros):
        assert all(bool((later[name] | ~earlier[name]).all()) for name in earlier)
    assert sum(int(z.sum()) for z in zeros[-1].values()) == pruned_count(0.9, WEIGHTS)


def test_the_dense_run_is_charged_and_epochs_add_up() -> None:
    records = list(run_pipeline(plan(retrain_epochs=1.5), tiny_task()))
    assert [record.train_epochs for record in records] == [4.0, 5.5, 7.0, 8.5]
    assert [record.train_samples for record in records] == [200, 282, 350, 432]


def test_a_gradient_saliency_pays_for_the_examples_it_looks_at() -> None:
    plain = list(run_pipeline(plan(), tiny_task()))
    scored = list(run_pipeline(plan(saliency="gradient"), tiny_task()))
    extra = [s.train_samples - p.train_samples for s, p in zip(scored, plain, strict=True)]
    assert extra == [0, 50, 100, 150]
    assert scored[-1].train_epochs == plain[-1].train_epochs + 3


def test_the_gradient_is_the_mean_over_the_examples() -> None:
    task = tiny_task()
    pipeline = Pipeline(plan(), task, None)
    scoring = Scoring(plan(), task, pipeline.masked, {}, round_=1)
    gradients = scoring.inputs.gradients()
    assert scoring.samples == 50
    pipeline.model.eval()
    loss = nn.functional.cross_entropy(
        pipeline.model(task.data.train.inputs), task.data.train.targets
    )
    expected = torch.autograd.grad(loss, list(pipeline.masked.weights.values()))
    for found, whole in zip(gradients.values(), expected, strict=True):
        torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("saliency", ["wanda", "obs"])
def test_a_saliency_that_looks_at_inputs_pays_for_them_once(saliency: str) -> None:
    plain = list(run_pipeline(plan(), tiny_task()))
    scored = list(run_pipeline(plan(saliency=saliency), tiny_task()))
    extra = [s.train_samples - p.train_samples for s, p in zip(scored, plain, strict=True)]
    assert extra == [0, 50, 100, 150]


def test_the_inputs_of_layers_are_those_of_the_training_examples() -> None:
    task = tiny_task()
    pipeline = Pipeline(plan(), task, None)
    scoring = Scoring(plan(), task, pipeline.masked, {}, round_=1)
    products = scoring.inputs.input_products()
    assert scoring.samples == 50
    pipeline.model.eval()
    seen: list[Tensor] = []
    handle = pipeline.model.fc.register_forward_pre_hook(lambda _, args: seen.append(args[0]))  # type: ignore[union-attr]
    with torch.no_grad():
        pipeline.model(task.data.train.inputs)
    handle.remove()
    torch.testing.assert_close(products["fc"][0].float(), seen[0].T @ seen[0])


def test_after_obs_retraining_begins_with_weights_that_make_up_for_those_that_went() -> None:
    task = tiny_task()
    losses = {}
    for saliency in ("obs", "magnitude"):
        made = plan(saliency=saliency, allocation="uniform", sparsity=0.6, rounds=1)
        pipeline = Pipeline(made, task, None)
        progress = pipeline.at_dense(None)
        optimizer = pipeline.load(progress.state)
        before = {n: w.detach().clone() for n, w in pipeline.masked.weights.items()}
        _, progress = pipeline.measure(progress, optimizer)
        pipeline.cut(progress, optimizer)
        for layer, weight in pipeline.masked.weights.items():
            kept = pipeline.masked.masks[layer]
            assert not weight[~kept].any()
            same = torch.equal(weight[kept], before[layer][kept])
            assert same == (saliency == "magnitude")
        pipeline.model.eval()
        with torch.no_grad():
            outputs = pipeline.model(task.data.train.inputs)
        losses[saliency] = float(nn.functional.cross_entropy(outputs, task.data.train.targets))
    assert losses["obs"] < losses["magnitude"]


def test_a_budget_of_multiply_adds_is_met_in_every_round_and_asks_for_no_share_of_weights() -> None:
    made = plan(budget="macs", allocation="lamp", cost_exponent=0.5)
    for record in list(run_pipeline(made, tiny_task()))[1:]:
        asked = made.sparsity_at(record.round)
        assert isinstance(asked, float)
        budget = (1 - asked) * (36 * 36 + 432)  # 36 places of the convolution, one of fc
        assert budget - 36 < record.macs <= budget
        assert math.isnan(record.requested_sparsity)
        assert record.collapsed_layers == ()


def test_an_exponent_of_the_cost_saves_more_multiply_adds_with_as_many_weights() -> None:
    plain, divided = (
        list(run_pipeline(plan(allocation="lamp", cost_exponent=g), tiny_task()))[-1]
        for g in (0.0, 1.0)
    )
    assert divided.density == plain.density
    assert divided.macs < plain.macs


class NoBatchOfOne(Tiny):
    """Takes the dimension of the batch for one to be left out."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).squeeze()
        out: Tensor = self.fc(x.flatten(1)) if x.dim() == 4 else x.new_empty(()).squeeze(5)
        return out


def test_a_model_that_takes_no_batch_of_one_costs_half_of_two() -> None:
    record = next(iter(run_pipeline(plan(), tiny_task(model=NoBatchOfOne, epochs=1))))
    assert [layer.macs for layer in record.layers] == [36 * 36, 432]


class Distances(nn.Module):
    """A layer of prototypes, whose distances have no formula of multiply-adds."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(36, 5)
        self.prototype_weight = nn.Parameter(torch.randn(3, 5))

    def forward(self, x: Tensor) -> Tensor:
        return -torch.cdist(self.fc(x.flatten(1)), self.prototype_weight)


def test_a_round_whose_multiply_adds_cannot_be_counted_claims_none() -> None:
    record = list(run_pipeline(plan(rounds=1), tiny_task(model=Distances, epochs=1)))[-1]
    assert record.uncounted == ("_cdist_forward on prototype_weight",)
    assert math.isnan(record.macs)
    assert math.isnan(record.theoretical_speedup)
    macs = {layer.layer: layer.macs for layer in record.layers}
    assert math.isnan(macs["prototype_weight"])
    assert macs["fc"] == 36 * 5
    assert '"macs":null' in record.to_json()


class WithSideHead(Tiny):
    """An auxiliary head that the loss does not use, and experts of which one is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.side = nn.Linear(4, 3)
        self.experts = nn.ModuleList(nn.Linear(3, 3) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        self.side(x.new_zeros(1, 4))
        out: Tensor = self.experts[1](super().forward(x))
        return out


def test_a_weight_that_the_loss_does_not_use_has_gradient_zero() -> None:
    task = tiny_task(model=WithSideHead, epochs=1)
    masked = Pipeline(plan(), task, None).masked
    _, gradients = next(Scoring(plan(), task, masked, {}, round_=1).batch_gradients())
    unused = {name for name, gradient in gradients.items() if not gradient.any()}
    assert unused == {"side", "experts.0", "experts.2"}
    records = list(run_pipeline(plan(saliency="gradient", rounds=1), task))
    assert records[-1].sparsity == pytest.approx(0.9, abs=1e-3)


class TrainedInTrainingOnly(Tiny):
    """In eval mode it gives what comes from no weight."""

    def forward(self, x: Tensor) -> Tensor:
        out = super().forward(x)
        return out if self.training else out.detach()


def test_a_loss_that_comes_from_no_weight_is_told() -> None:
    task = tiny_task(model=TrainedInTrainingOnly, epochs=1)
    with pytest.raises(UsageError, match=r"saliency 'gradient': the loss .* comes from no weight"):
        list(run_pipeline(plan(saliency="gradient", rounds=1), task))


class Remembering(Tiny):
    """Keeps tensors of its last pass, uses them in the next, and makes a buffer of them."""

    seen: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Identity()  # type: ignore[assignment]
        self.last: list[Tensor] = []
        self.register_buffer("seen", None)

    def forward(self, x: Tensor) -> Tensor:
        out = super().forward(x)
        if self.seen is None:
            self.seen = torch.zeros(3)
        if self.training:
            self.seen = self.seen + out.detach().mean(0)
        if self.last:
            out = out + self.fc.bias * self.last[0].detach()[:1] * 0.01
        self.last = [out.detach() if self.training else out]
        return out


@pytest.mark.parametrize("made", [plan(), plan(saliency="gradient")])
@pytest.mark.parametrize("skip_pruned", [False, True])
def test_a_model_may_keep_tensors_of_its_last_pass(made: PruningPlan, skip_pruned: bool) -> None:
    task = tiny_task(model=Remembering, epochs=1, skip_pruned=skip_pruned)
    keeper = Keeper()
    records = list(run_pipeline(made, task, observer=keeper))
    assert [record.round for record in records] == [0, 1, 2, 3]
    seen = [progress_from_bytes(each).state.model["seen"] for each in keeper.after]
    assert all(not torch.equal(earlier, later) for earlier, later in pairwise(seen))


def test_batch_norm_statistics_after_a_round_are_those_of_the_pruned_network() -> None:
    keeper = Keeper()
    made = plan(retrain="weight_rewind", rewind_epoch=0, rounds=1)
    list(run_pipeline(made, tiny_task(), observer=keeper))
    after = progress_from_bytes(keeper.after[1]).state.model
    assert after["norm.num_batches_tracked"] == 4  # rewound to 0, then one epoch of 4 steps


def test_nothing_is_selected_or_measured_on_the_test_split() -> None:
    task = tiny_task()
    data = dataclasses.replace(task.data, load_test=forbidden_test)
    records = list(run_pipeline(plan(), dataclasses.replace(task, data=data)))
    assert all(not hasattr(record, "test_accuracy") for record in records)


def test_a_layer_that_collapsed_is_reported() -> None:
    record = list(run_pipeline(plan(sparsity={"conv": 0.999}, rounds=1), tiny_task()))[-1]
    assert record.collapsed_layers == ("conv",)
    assert record.layers[0].dead_outputs == 4


def test_a_pipeline_that_diverges_ends_with_the_record_that_shows_it() -> None:
    task = tiny_task(lr=1e30, lr_schedule="constant")
    records = list(run_pipeline(plan(), task))
    assert len(records) < 4
    assert not math.isfinite(records[-1].val_loss)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (plan(retrain="weight_rewind", rewind_epoch=4.5), "past the end of the dense run of 4"),
        (plan(sparsity={"fx": 0.5}), "Did you mean 'fc'"),
        (plan(include=["convolution"]), "Did you mean 'conv'"),
        (plan(exclude=["*"]), "nothing to prune"),
        (plan(saliency="magnitud"), "Did you mean 'magnitude'"),
        (plan(schedule="geometrc"), "Did you mean 'geometric'"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused_before_anything_is_trained(
    made: PruningPlan, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        run_pipeline(made, tiny_task())


def test_records_cannot_be_changed() -> None:
    record = next(iter(run_pipeline(plan(), tiny_task())))
    with pytest.raises(ValueError, match="frozen"):
        record.round = 7  # type: ignore[misc]


def test_a_task_is_left_as_it_was() -> None:
    task = tiny_task()
    before = task.data.train.inputs.clone()
    list(run_pipeline(plan(), task))
    assert torch.equal(task.data.train.inputs, before)


def test_a_shuffled_control_keeps_as_many_of_each_layer_in_the_same_data_order() -> None:
    made = plan(retrain="weight_rewind", rewind_epoch=1)
    keeper, control = Keeper(), Keeper()
    real = list(run_pipeline(made, tiny_task(), observer=keeper))
    shuffled_plan = made.model_copy(update={"shuffle_masks": True})
    shuffled = list(run_pipeline(shuffled_plan, tiny_task(), observer=control))
    first, other = (progress_from_bytes(each.after[1]) for each in (keeper, control))
    assert first.segment == other.segment
    assert [layer.kept for layer in real[1].layers] == [layer.kept for layer in shuffled[1].layers]
    assert real[1].mask_hash != shuffled[1].mask_hash
    assert [r.density for r in real] == [r.density for r in shuffled]
    gone = [{name: w == 0 for name, w in weights.items()} for weights in control.weights[1:]]
    for earlier, later in pairwise(gone):
        assert all(bool((later[name] | ~earlier[name]).all()) for name in earlier)


def test_magnitude_pruning_beats_random_pruning() -> None:
    task = make_task(Tiny, images(300, 0), images(150, 1), epochs=8, batch_size=32, lr=0.05)
    accuracy = {
        saliency: [
            list(run_pipeline(plan(saliency=saliency, rounds=1, seed=seed), task))[-1].val_accuracy
            for seed in range(3)
        ]
        for saliency in ("magnitude", "random")
    }
    assert sum(accuracy["magnitude"]) > sum(accuracy["random"])
