"""A whole search, stage after stage, over trials that are made up."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from study.pruning.plan import PruningPlan
from study.tuning.search.stages.next_plan import Next, next_plan, stage_of
from study.tuning.search.stages.portfolio import base
from study.tuning.search.stages.recipes import winner
from study.tuning.search.stages.standing import Standing, Tried
from tests.tuning.search.stages.made_up import aim, changed, ended, of_stage, whole_search


def nothing_matters(plan: PruningPlan) -> float:
    return 0.0


def test_where_nothing_matters_the_search_ends_with_scouts_and_proxies() -> None:
    purpose = aim(form="global", allocation=["lamp", "erk"])
    ran = whole_search(purpose, nothing_matters)
    assert ran[0] == ("textbook", purpose.textbook)
    assert {name for name, _ in ran} == {"textbook", "scouts", "families"}


def more_epochs_help(plan: PruningPlan) -> float:
    """From one epoch to two a tenth of a point or so, and half of that to five."""
    return 0.01 * math.log2((plan.retrain_epochs or 0.0) + 0.5)


def test_longer_retraining_is_tried_where_shorter_loses_much() -> None:
    ran = whole_search(aim(form="global", allocation="lamp"), more_epochs_help)
    assert [plan.retrain_epochs for plan in of_stage(ran, "scouts")] == [1.0]
    (plan,) = of_stage(ran, "challengers")
    assert (plan.rounds, plan.retrain_epochs) == (21, 5.0)


def test_it_is_not_where_shorter_loses_next_to_nothing() -> None:
    ran = whole_search(
        aim(form="global", allocation="lamp"), lambda plan: 0.1 * more_epochs_help(plan)
    )
    assert of_stage(ran, "challengers") == []


def test_a_better_way_of_retraining_is_found_by_scouts() -> None:
    purpose = aim(retrain=["lr_rewind", "finetune", "weight_rewind"], rewind_epoch=[0.0, 4.0])
    ran = whole_search(purpose, lambda plan: 0.005 * (plan.retrain == "weight_rewind"))
    (plan,) = of_stage(ran, "challengers")
    assert (plan.retrain, plan.rewind_epoch, plan.retrain_epochs) == ("weight_rewind", 2.0, 2.0)
    tried = [plan.retrain for plan in of_stage(ran, "scouts")]
    assert tried == ["lr_rewind", "finetune", "weight_rewind"]


def test_a_better_schedule_and_a_better_saliency_are_found_by_scouts() -> None:
    purpose = aim(
        form="global",
        allocation="lamp",
        schedule=["geometric", "cubic", "one_shot"],
        saliency=["magnitude", "taylor"],
    )

    def merit(plan: PruningPlan) -> float:
        return 0.005 * (plan.schedule == "cubic") + 0.004 * (plan.saliency == "taylor")

    ran = whole_search(purpose, merit)
    tried = [(plan.schedule, plan.saliency) for plan in of_stage(ran, "scouts")]
    assert tried == [
        ("geometric", "magnitude"),
        ("cubic", "magnitude"),
        ("geometric", "taylor"),
    ]
    (plan,) = of_stage(ran, "challengers")
    assert (plan.schedule, plan.saliency, plan.retrain_epochs) == ("cubic", "taylor", 2.0)


def test_a_choice_that_gains_nothing_is_left() -> None:
    purpose = aim(form="global", allocation="lamp", schedule=["geometric", "cubic"])
    ran = whole_search(purpose, lambda plan: -0.005 * (plan.schedule == "cubic"))
    assert len(of_stage(ran, "scouts")) == 2
    assert of_stage(ran, "challengers") == []


def test_of_channels_the_saliency_of_the_best_method_stands() -> None:
    purpose = aim("macs", structure="channels", form="global", saliency=["magnitude", "l1"])
    fields = {"structure": "channels", "allocation": "uniform", "saliency": "magnitude"}

    def merit(plan: PruningPlan) -> float:
        return 0.01 * (plan.saliency == "taylor") + 0.005 * (plan.saliency == "l1")

    textbook = changed(purpose.textbook, fields)
    ran = whole_search(replace(purpose, textbook=textbook), merit)
    assert [plan.saliency for plan in of_stage(ran, "scouts")] == ["magnitude", "l1"]
    assert of_stage(ran, "challengers") == []


def test_the_best_family_has_whole_descents_by_the_textbook_s_recipe_and_a_better_one() -> None:
    def merit(plan: PruningPlan) -> float:
        return 0.01 * (plan.cost_exponent == 0.5) + more_epochs_help(plan)

    ran = whole_search(aim("macs", form="global", allocation=["lamp", "global", "erk"]), merit)
    for stage, epochs in (("portfolio", 2.0), ("challengers", 5.0)):
        (plan,) = of_stage(ran, stage)
        assert (plan.allocation, plan.cost_exponent, plan.budget) == ("lamp", 0.5, "macs")
        assert (plan.rounds, plan.retrain_epochs) == (21, epochs)
    tried = {(p.allocation, p.cost_exponent) for p in of_stage(ran, "families")}
    exponents = {"lamp": (0.0, 0.5, 1.0), "global": (0.0, 0.25, 0.5), "erk": (0.0,)}
    assert tried == {(name, each) for name in exponents for each in exponents[name]}


def test_where_all_weights_cost_the_same_no_exponent_is_tried_and_no_layer_moved() -> None:
    purpose = replace(
        aim("macs", form="offsets", allocation=["lamp", "global"]), costs_differ=False
    )
    ran = whole_search(purpose, offsets_help)
    assert [(p.allocation, p.cost_exponent) for p in of_stage(ran, "families")] == [
        ("lamp", 0.0),
        ("global", 0.0),
    ]
    assert of_stage(ran, "offsets") == []


def offsets_help(plan: PruningPlan) -> float:
    """Best where the first layer's scores are raised by .6, the others' left alone."""
    first = plan.score_offsets.get("conv", 0.0)
    rest = plan.score_offsets.get("fc2", 0.0)
    return -0.01 * ((first - 0.6) ** 2 + rest**2)


def test_offsets_that_help_are_found_by_proxies_and_run_in_full() -> None:
    ran = whole_search(aim("macs", form="offsets", allocation="lamp"), offsets_help)
    proxies = of_stage(ran, "offsets")
    assert 12 <= len(proxies) <= 30
    best = of_stage(ran, "finals")[-1]
    assert offsets_help(best) > -0.0012  # without offsets it is -.0036
    assert best.rounds == 21


def test_no_layer_is_moved_where_weights_are_to_be_few() -> None:
    ran = whole_search(aim(form="offsets", allocation=["lamp", "global"]), offsets_help)
    assert len(of_stage(ran, "families")) == 2
    assert of_stage(ran, "offsets") == []


def test_where_there_is_no_choice_of_families_there_are_no_proxies() -> None:
    ran = whole_search(aim(form="offsets", allocation="lamp"), nothing_matters)
    assert [stage for stage, _ in ran] == ["textbook", "scouts"]


def test_offsets_that_help_nothing_end_soon_and_have_no_whole_descent() -> None:
    ran = whole_search(
        aim("macs", form="offsets", allocation="lamp"), lambda p: -0.01 * bool(p.score_offsets)
    )
    assert len(of_stage(ran, "offsets")) == 12
    assert of_stage(ran, "finals") == []


def test_layers_are_left_alone_where_the_family_that_proxies_chose_loses_in_full() -> None:
    purpose = aim("macs", form="offsets", allocation="lamp")
    rounds = purpose.textbook.rounds

    def merit(plan: PruningPlan) -> float:
        is_other = plan.cost_exponent == 0.5
        return 0.01 * is_other * (-1 if plan.rounds == rounds else 1)

    ran = whole_search(purpose, merit)
    (plan,) = of_stage(ran, "portfolio")
    assert (plan.cost_exponent, plan.rounds) == (0.5, rounds)
    assert of_stage(ran, "offsets") == []


def test_of_channels_each_method_of_the_portfolio_has_a_whole_descent() -> None:
    purpose = aim("macs", structure="channels", form="global")
    fields = {"structure": "channels", "allocation": "uniform", "saliency": "l1"}
    textbook = changed(purpose.textbook, fields)
    ran = whole_search(replace(purpose, textbook=textbook), nothing_matters)
    methods = [(p.allocation, p.saliency) for p in of_stage(ran, "portfolio")]
    assert methods == [("global_raw", "taylor"), ("isomorphic", "l2"), ("uniform", "l2")]
    assert of_stage(ran, "families") == []


def test_of_channels_the_best_method_has_the_better_recipe() -> None:
    purpose = aim("macs", structure="channels", form="global")
    fields = {"structure": "channels", "allocation": "uniform", "saliency": "l1"}
    textbook = changed(purpose.textbook, fields)

    def merit(plan: PruningPlan) -> float:
        return more_epochs_help(plan) + 0.01 * (plan.allocation == "isomorphic")

    ran = whole_search(replace(purpose, textbook=textbook), merit)
    (plan,) = of_stage(ran, "challengers")
    assert (plan.allocation, plan.retrain_epochs) == ("isomorphic", 5.0)


def test_of_channels_layers_are_moved_around_the_best_method_by_whole_descents() -> None:
    purpose = aim("macs", structure="channels", form="offsets", allocation="global_raw")
    fields = {"structure": "channels", "allocation": "uniform", "saliency": "l1"}
    textbook = changed(purpose.textbook, fields)

    def merit(plan: PruningPlan) -> float:
        return 0.01 * (plan.allocation == "global_raw") + offsets_help(plan)

    purpose = replace(purpose, textbook=textbook)
    ran = whole_search(purpose, merit)
    found = of_stage(ran, "offsets")
    assert 3 <= len(found) <= 6
    assert {(p.allocation, p.rounds) for p in found} == {("global_raw", 21)}
    assert of_stage(ran, "finals") == []
    tried = {p.content_hash(): ended(p, merit(p)) for _, p in ran}
    assert {stage_of(purpose, Standing(tried), plan) for plan in found} == {"offsets"}


def test_proxies_cut_by_half_at_most() -> None:
    ran = whole_search(aim(form="global", allocation=["lamp", "erk"]), nothing_matters)
    assert {plan.sparsity for plan in of_stage(ran, "families")} == {1 - 0.5**4}


def test_workers_that_are_free_take_up_what_need_not_wait() -> None:
    purpose = aim("macs", form="offsets", allocation="lamp")
    tried: dict[str, Tried] = {}
    begun = []
    while isinstance(found := next_plan(purpose, Standing(tried)), Next):
        begun.append(found.stage)
        tried[found.plan.content_hash()] = Tried(found.plan, (), is_over=False)
    assert found == "wait"
    assert begun == ["textbook", "scouts", *["families"] * 3]


@pytest.mark.parametrize("merit", [nothing_matters, offsets_help])
def test_what_is_decided_follows_from_the_trials_alone(
    merit: Callable[[PruningPlan], float],
) -> None:
    purpose = aim("macs", form="offsets", allocation=["lamp", "global"])
    ran = whole_search(purpose, merit)
    tried = {p.content_hash(): ended(p, merit(p)) for _, p in ran}
    for place in (1, 3, 8, len(ran) - 1):
        before = dict(list(tried.items())[:place])
        found = next_plan(purpose, Standing(before))
        assert isinstance(found, Next)
        assert (found.stage, found.plan) == ran[place]
    assert [stage_of(purpose, Standing(tried), plan) for _, plan in ran] == [s for s, _ in ran]


def test_a_descent_that_was_stopped_is_no_base_of_others() -> None:
    purpose = aim("macs", structure="channels", form="global")
    fields = {"structure": "channels", "allocation": "uniform", "saliency": "l1"}
    purpose = replace(purpose, textbook=changed(purpose.textbook, fields))

    def trial(plan: PruningPlan) -> Tried:
        if plan.allocation == "isomorphic":  # ahead in the first half, and then it is stopped
            return ended(plan, 0.01, rounds=10)
        return ended(plan, 0.005 * (plan.allocation == "global_raw") + more_epochs_help(plan))

    ran = whole_search(purpose, nothing_matters, trial=trial)
    (plan,) = of_stage(ran, "challengers")
    assert plan.allocation == "global_raw"


def test_proxies_do_not_hold_where_the_family_that_they_put_first_was_stopped() -> None:
    purpose = aim("macs", form="offsets", allocation="lamp")

    def trial(plan: PruningPlan) -> Tried:
        is_other = plan.cost_exponent == 0.5
        is_full = plan.rounds == purpose.textbook.rounds
        return ended(plan, 0.01 * is_other, rounds=10 if is_other and is_full else None)

    ran = whole_search(purpose, nothing_matters, trial=trial)
    assert of_stage(ran, "portfolio")
    assert of_stage(ran, "offsets") == []


def test_a_challenger_that_failed_is_not_the_winner() -> None:
    purpose = aim(form="global", allocation="lamp")

    def trial(plan: PruningPlan) -> Tried:
        return ended(plan, more_epochs_help(plan), rounds=2 if plan.retrain_epochs == 5 else None)

    ran = whole_search(purpose, nothing_matters, trial=trial)
    tried = {plan.content_hash(): trial(plan) for _, plan in ran}
    found = winner(purpose, Standing(tried))
    assert found is not None
    assert found.plan == purpose.textbook


def test_a_scout_that_diverged_wins_nothing() -> None:
    purpose = aim(form="global", allocation="lamp", saliency=["magnitude", "taylor"])

    def trial(plan: PruningPlan) -> Tried:
        return ended(plan, 0.01 * (plan.saliency == "taylor"),
                     rounds=3 if plan.saliency == "taylor" else None)  # fmt: skip

    assert of_stage(whole_search(purpose, nothing_matters, trial=trial), "challengers") == []


def test_a_network_that_is_trained_already_can_be_retrained_for_longer_too() -> None:
    purpose = replace(aim(form="global", allocation="lamp"), dense_epochs=0.0)
    (plan,) = of_stage(whole_search(purpose, more_epochs_help), "challengers")
    assert plan.retrain_epochs == 5.0


def test_a_range_of_exponents_is_tried_at_its_ends() -> None:
    purpose = aim("macs", form="global", allocation="lamp", cost_exponent=[0.6, 0.9])
    ran = whole_search(purpose, nothing_matters)
    assert [plan.cost_exponent for plan in of_stage(ran, "families")] == [0.0, 0.6, 0.9]


@pytest.mark.parametrize(("is_constant", "epoch"), [(False, 5.0), (True, None)])
def test_proxies_have_the_learning_rate_of_halfway_where_it_changes(
    is_constant: bool, epoch: float | None
) -> None:
    purpose = aim(form="global", allocation=["lamp", "erk"])
    ran = whole_search(replace(purpose, constant_lr=is_constant), nothing_matters)
    assert {plan.rewind_epoch for plan in of_stage(ran, "families")} == {epoch}


def test_proxies_that_all_fail_do_not_end_the_race() -> None:
    purpose = aim(form="global", allocation=["lamp", "erk"])

    def trial(plan: PruningPlan) -> Tried:
        is_proxy = plan.rounds < purpose.textbook.rounds
        return Tried(plan, (), is_over=True) if is_proxy else ended(plan, more_epochs_help(plan))

    ran = whole_search(purpose, nothing_matters, trial=trial)
    assert [plan.retrain_epochs for plan in of_stage(ran, "challengers")] == [5.0]


def test_a_scout_has_fewer_epochs_than_the_textbook_run_also_below_the_space() -> None:
    purpose = aim(form="global", allocation="lamp", retrain_epochs=[3.0, 8.0])
    ran = whole_search(purpose, more_epochs_help)
    assert {plan.retrain_epochs for plan in of_stage(ran, "scouts")} == {1.0}
    assert [plan.retrain_epochs for plan in of_stage(ran, "challengers")] == [5.0]


def test_where_the_textbook_run_diverged_the_base_is_a_whole_descent() -> None:
    purpose = aim("macs", structure="channels", form="global")
    fields = {"structure": "channels", "allocation": "uniform", "saliency": "l1"}
    purpose = replace(purpose, textbook=changed(purpose.textbook, fields))

    def trial(plan: PruningPlan) -> Tried:
        return ended(plan, rounds=3 if plan == purpose.textbook else None)

    ran = whole_search(purpose, nothing_matters, trial=trial)
    found = base(purpose, Standing({plan.content_hash(): trial(plan) for _, plan in ran}))
    assert found is not None
    assert found.is_whole


def test_a_trial_that_failed_leaves_no_one_waiting() -> None:
    purpose = aim(form="global", allocation="lamp")
    tried: dict[str, Any] = {}
    while isinstance(found := next_plan(purpose, Standing(tried)), Next):
        tried[found.plan.content_hash()] = Tried(found.plan, (), is_over=True)
    assert found == "over"
