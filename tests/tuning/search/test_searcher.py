"""The searcher alone, without Ray: what it asks, what it tells, what it never tells."""

import math
from typing import Any

import optuna
import pytest

from search_spaces import Layer, SearchSpace
from study.objectives import Constraint
from study.pruning import PruningPlan
from study.records import TrialOutcome, utc_now
from study.tuning.search.drawing import explores
from study.tuning.search.extension import Extensions
from study.tuning.search.past import PastTrial
from study.tuning.search.samplers import make_sampler
from study.tuning.search.searcher import PlanSearcher
from study.tuning.search.spending import Spending
from study.tuning.search.stages.deciding import Deciding
from study.tuning.search.telling import close_open_trials

LAYERS = (Layer("fc1", 100, "linear"), Layer("fc2", 50, "linear"))
NAN = float("nan")
DENSE, A_ROUND = 1000, 100
"""Training examples."""


def searcher(
    *,
    every_round: bool = True,
    sampler: str = "random",
    num_samples: int | None = None,
    constraints: tuple[str, ...] = (),
    exploration: float = 0.0,
    room: float = math.inf,
    first: PruningPlan | None = None,
    past: tuple[PastTrial, ...] = (),
    study: optuna.Study | None = None,
    spending: Spending | None = None,
    extensions: Extensions | None = None,
    stages: Deciding | None = None,
    **space: Any,
) -> tuple[PlanSearcher, optuna.Study]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = study or optuna.create_study(
        sampler=make_sampler(sampler, 0), directions=["maximize", "minimize"]
    )
    length = {} if {"cut", "function"} & space.keys() else {"rounds": 4}
    fields = {**length, "retrain": "finetune", "retrain_epochs": [1, 3], **space}
    fields = fields if "function" not in space else space
    made = SearchSpace.model_validate(fields)
    objectives = ["val_accuracy", "density"]
    own = PlanSearcher(
        study,
        made,
        LAYERS,
        objectives,
        7,
        {},
        sampler=sampler,
        every_round=every_round,
        exploration=exploration,
        num_samples=num_samples,
        spending=spending,
        constraints=[Constraint.parse(text) for text in constraints],
        room=lambda: room,
        first=first,
        past=past,
        was_stopped=lambda name: False,
        extensions=extensions,
        stages=stages,
    )
    return own, study


def result(round_: int, accuracy: float = 0.9, loss: float = 0.3) -> dict[str, Any]:
    return {
        "round": round_, "val_accuracy": accuracy, "density": 0.8**round_, "val_loss": loss,
        "train_samples": DENSE + A_ROUND * round_,
    }  # fmt: skip


def ask(own: PlanSearcher, ray_id: str) -> PruningPlan:
    config = own.suggest(ray_id)
    assert isinstance(config, dict)
    return PruningPlan.model_validate(config["plan"])


def run_trial(own: PlanSearcher, ray_id: str) -> PruningPlan:
    plan = ask(own, ray_id)
    for round_ in range(plan.rounds + 1):
        own.on_trial_result(ray_id, result(round_))
    own.on_trial_complete(ray_id, {**result(plan.rounds), "done": True})
    return plan


def told_rounds(study: optuna.Study) -> list[int]:
    return sorted(t.user_attrs["round"] for t in study.trials if "round" in t.user_attrs)


def test_every_round_of_a_geometric_plan_is_told_as_the_shorter_plan_that_it_is() -> None:
    own, study = searcher(rounds=[1, 4], form="per_layer")
    plans = {f"{number:04d}": run_trial(own, str(number)) for number in range(6)}
    assert len(told_rounds(study)) == sum(plan.rounds - 1 for plan in plans.values()) > 0
    for trial in study.trials:
        if "round" in trial.user_attrs:
            prefix = plans[trial.user_attrs["trial_id"]].prefix(trial.user_attrs["round"])
            assert prefix is not None
            assert isinstance(prefix.sparsity, dict)
            assert trial.params.get("rounds") == prefix.rounds
            for layer, level in prefix.sparsity.items():
                assert trial.params[f"sparsity.{layer}"] == pytest.approx(level)


def test_rounds_of_moved_plans_are_told_with_their_own_density_and_the_same_offsets() -> None:
    own, study = searcher(rounds=[1, 4])
    plans = {f"{number:04d}": run_trial(own, str(number)) for number in range(4)}
    assert len(told_rounds(study)) == sum(plan.rounds - 1 for plan in plans.values()) > 0
    ends = {t.user_attrs["trial_id"]: t.params for t in study.trials if "round" not in t.user_attrs}
    for trial in study.trials:
        if "round" in trial.user_attrs:
            prefix = plans[trial.user_attrs["trial_id"]].prefix(trial.user_attrs["round"])
            assert prefix is not None
            assert isinstance(prefix.sparsity, float)
            whole = ends[trial.user_attrs["trial_id"]]
            own_density = {"density": 1.0 - prefix.sparsity, "rounds": prefix.rounds}
            assert trial.params == pytest.approx({**whole, **own_density})


@pytest.mark.parametrize(
    "options",
    [
        {"schedule": "cubic", "rounds": [1, 4]},
        {"rounds": 4},  # a plan of fewer rounds is not in the space
        {"rounds": [1, 4], "every_round": False},
        {"rounds": [1, 4], "per_layer": {"bounds": [0.5, 0.51]}},  # prefixes lie below the bounds
    ],
)
def test_where_no_such_plan_exists_only_the_end_is_told(options: dict[str, Any]) -> None:
    own, study = searcher(**options)
    for number in range(4):
        run_trial(own, str(number))
    assert told_rounds(study) == []
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 4


def test_a_trial_that_failed_or_was_cut_off_or_diverged_teaches_nothing_of_its_end() -> None:
    own, study = searcher()
    for ray_id, last, error in (
        ("failed", None, True),
        ("cut off", {**result(2), "done": False}, False),
        ("diverged", {**result(4, accuracy=0.1, loss=NAN), "done": True}, False),
        ("nan", {**result(4, accuracy=NAN), "done": True}, False),
    ):
        own.suggest(ray_id)
        own.on_trial_complete(ray_id, last, error=error)
    # What was cut off may go on when the study is resumed.
    assert [trial.state.name for trial in study.trials] == ["FAIL", "RUNNING", "FAIL", "FAIL"]


def test_a_round_with_nan_is_not_told() -> None:
    own, study = searcher(rounds=[1, 4])
    while True:
        plan = ask(own, "a")
        if plan.rounds == 4:
            break
    own.on_trial_result("a", result(1, loss=NAN))
    own.on_trial_result("a", result(2))
    assert told_rounds(study) == [2]


def test_a_study_that_goes_on_tells_nothing_twice() -> None:
    own, study = searcher(rounds=[1, 4])
    while (plan := ask(own, "a")).rounds != 4:
        pass
    name = f"{own._asked - 1:04d}"
    own.on_trial_result("a", result(1))
    again, _ = searcher(rounds=[1, 4], study=study, past=(past_trial(name, plan, 2),))
    assert ask(again, "a") == plan
    for round_ in range(4):  # the worker tells of the finished rounds once more
        again.on_trial_result("a", result(round_))
    again.on_trial_complete("a", {**result(4), "done": True})
    assert told_rounds(study) == [1, 2, 3]
    ended = [t for t in study.trials if "round" not in t.user_attrs and t.state.is_finished()]
    own_trial = [t for t in ended if t.user_attrs["trial_id"] == name]
    assert [trial.state.name for trial in own_trial] == ["COMPLETE"]


def past_trial(name: str, plan: PruningPlan, rounds: int, status: str | None = None) -> PastTrial:
    done = rounds == plan.rounds
    results = tuple(
        {**result(k), "done": done and k == rounds, "finished_at": utc_now()}
        for k in range(rounds + 1)
    )
    outcome = None
    if status is not None:
        outcome = TrialOutcome.model_validate(
            {
                "trial_id": name, "status": status, "rounds_planned": plan.rounds,
                "rounds_finished": rounds, "started_at": utc_now(), "finished_at": utc_now(),
            }
        )  # fmt: skip
    return PastTrial(name, plan, results, outcome)


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "gp", "random"])
@pytest.mark.parametrize("cut_at", [1, 3, 6])
def test_a_study_that_goes_on_draws_what_it_would_have_drawn(sampler: str, cut_at: int) -> None:
    whole, _ = searcher(sampler=sampler, rounds=[1, 4], exploration=0.25)
    plans = [run_trial(whole, str(number)) for number in range(8)]
    own, study = searcher(sampler=sampler, rounds=[1, 4], exploration=0.25)
    done = [run_trial(own, str(number)) for number in range(cut_at)]
    past = tuple(
        past_trial(f"{number:04d}", plan, plan.rounds, "completed")
        for number, plan in enumerate(done)
    )
    again, _ = searcher(sampler=sampler, rounds=[1, 4], exploration=0.25, study=study, past=past)
    assert done + [run_trial(again, str(number)) for number in range(cut_at, 8)] == plans


def test_what_optuna_was_asked_for_and_no_record_has_is_failed_and_drawn_again() -> None:
    own, study = searcher(rounds=[1, 4])
    lost = ask(own, "a")  # the driver died before it wrote the plan
    again, _ = searcher(rounds=[1, 4], study=study)
    assert ask(again, "b") == lost
    assert [trial.state.name for trial in study.trials] == ["FAIL", "RUNNING"]


@pytest.mark.parametrize("state", ["asked", "told"])
def test_what_the_records_have_and_optuna_was_not_told_is_told_once(state: str) -> None:
    own, study = searcher(rounds=[2, 4])
    plan = run_trial(own, "a") if state == "told" else ask(own, "a")
    past = (past_trial("0000", plan, plan.rounds, "completed"),)
    for _ in range(2):  # told again and again, it is known once
        searcher(rounds=[2, 4], study=study, past=past)
    assert told_rounds(study) == list(range(2, plan.rounds))
    assert [t.state.name for t in study.trials] == ["COMPLETE"] * (plan.rounds - 1)


def test_a_trial_that_was_cut_off_stays_open_for_a_later_run() -> None:
    own, study = searcher(rounds=3)
    plan = ask(own, "a")
    own.on_trial_result("a", {**result(1), "done": False})
    own.on_trial_complete("a", {"done": True, "interrupted": True})
    assert study.trials[0].state.name == "RUNNING"
    past = (past_trial("0000", plan, 1),)
    again, _ = searcher(rounds=3, study=study, past=past, num_samples=1)
    assert not again.is_over
    assert ask(again, "b") == plan
    assert again.suggest("c") == "FINISHED"


def test_a_space_of_few_plans_is_run_once_and_then_over() -> None:
    fixed = {"form": "global", "density": 0.1, "allocation": ["uniform", "global"]}
    own, study = searcher(rounds=2, **{**fixed, "retrain_epochs": [1, 2]}, sampler="tpe")
    plans = []
    while True:
        config = own.suggest(str(len(plans)))
        if not isinstance(config, dict):
            break
        plan = PruningPlan.model_validate(config["plan"])
        plans.append(plan)
        own.on_trial_result(str(len(plans) - 1), result(1))
        own.on_trial_complete(str(len(plans) - 1), {**result(2), "done": True})
    assert len(plans) == len({plan.content_hash() for plan in plans})
    assert own.is_exhausted
    again = [t for t in study.trials if not t.user_attrs and t.state.name == "COMPLETE"]
    assert again
    assert len({tuple(trial.values) for trial in again}) == 1


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
def test_samplers_learn_from_rounds_and_trials(sampler: str) -> None:
    own, study = searcher(sampler=sampler, rounds=[1, 4])
    for number in range(15):
        run_trial(own, str(number))
    assert len({str(trial.params) for trial in study.trials}) > 15


def test_trials_are_named_in_the_order_in_which_they_were_asked() -> None:
    own, _ = searcher(rounds=[1, 4])
    names = []
    for number in range(3):
        config = own.suggest(str(number))
        assert isinstance(config, dict)
        names.append(config["id"])
        own.on_trial_result(str(number), result(1))
    assert names == ["0000", "0001", "0002"]


def test_of_a_stopped_trial_the_round_that_it_was_stopped_after_is_told() -> None:
    own, study = searcher(rounds=[1, 4])
    while ask(own, "a").rounds != 4:
        pass
    own.on_trial_result("a", result(1))
    own.on_trial_complete("a", result(2))  # Ray does not report the result that stops a trial
    assert told_rounds(study) == [1, 2]


def test_the_search_ends_after_the_plans_that_were_asked_for() -> None:
    own, _ = searcher(num_samples=2)
    assert isinstance(own.suggest("a"), dict)
    assert isinstance(own.suggest("b"), dict)
    assert own.suggest("c") == "FINISHED"


def test_no_plan_is_drawn_while_as_many_are_under_way_as_there_is_room_for() -> None:
    own, study = searcher(room=2)
    assert isinstance(own.suggest("a"), dict)
    assert isinstance(own.suggest("b"), dict)
    assert own.suggest("c") is None
    assert len(study.trials) == 2
    own.on_trial_complete("a", result(4))
    assert isinstance(own.suggest("c"), dict)


def test_every_point_says_by_how_much_it_fails_a_constraint() -> None:
    own, study = searcher(rounds=[1, 4], constraints=("accuracy >= 0.95", "density <= 0.5"))
    for number in range(6):
        run_trial(own, str(number))
    for trial in study.trials:
        assert trial.constraints == {
            "val_accuracy >= 0.95": pytest.approx(0.05),
            "density <= 0.5": pytest.approx(trial.values[1] - 0.5),
        }
    assert study.best_trials == []


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "gp"])
def test_samplers_take_constraints(sampler: str) -> None:
    own, _ = searcher(sampler=sampler, rounds=[1, 4], constraints=("density <= 0.5",))
    for number in range(12):
        run_trial(own, str(number))


def test_an_evolutionary_sampler_breeds_from_rounds_too() -> None:
    own, study = searcher(sampler="nsga2", rounds=[1, 4])
    for number in range(12):
        run_trial(own, str(number))
    assert isinstance(study.sampler, optuna.samplers.NSGAIISampler)
    bred = [number for g in range(3) for number in study.sampler.get_population(study, g)]
    assert len(bred) == len(study.trials)
    assert len(told_rounds(study)) > 0


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.2, 8), (0.25, 10), (1.0, 40)])
def test_a_share_of_the_plans_is_drawn_at_random(share: float, expected: int) -> None:
    own, study = searcher(sampler="tpe", rounds=[1, 4], exploration=share)
    random = 0
    for number in range(40):
        run_trial(own, str(number))
        random += isinstance(study.sampler, optuna.samplers.RandomSampler)
    assert random == expected


def test_which_plans_are_drawn_at_random_the_seed_decides() -> None:
    for share in (0.1, 0.2, 0.25, 0.3, 0.7):
        places = [[n for n in range(300) if explores(n, share, seed)] for seed in range(20)]
        assert {len(each) for each in places} == {round(300 * share)}
        assert len({tuple(each) for each in places}) == 20
        for each in places:
            for block in range(round(300 * share)):
                begin, end = block / share, (block + 1) / share
                assert sum(begin - 1e-6 <= n < end - 1e-6 for n in each) == 1
    assert [n for n in range(300) if explores(n, 0.2, 3)] == [
        n for n in range(300) if explores(n, 0.2, 3)
    ]
    assert len({n % 5 for n in range(300) if explores(n, 0.2, 0)}) == 5  # no rhythm


def test_every_round_of_a_descent_is_told_with_the_parameters_of_the_descent() -> None:
    own, study = searcher(cut=[0.2, 0.5], form="global", floor=0.1)
    plans = [run_trial(own, str(number)) for number in range(6)]
    for number, plan in enumerate(plans):
        told = [t for t in study.trials if t.user_attrs["trial_id"] == f"{number:04d}"]
        assert len(told) == plan.rounds
        assert sorted(t.user_attrs.get("round", plan.rounds) for t in told) == [
            *range(1, plan.rounds + 1)
        ]
        for trial in told:
            assert trial.params == told[0].params
            assert not {"rounds", "density"} & trial.params.keys()
            level = 1 - plan.sparsity if isinstance(plan.sparsity, float) else math.nan
            assert trial.params["cut"] == pytest.approx(1 - level ** (1 / plan.rounds))


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "gp", "random"])
def test_samplers_take_several_results_of_one_descent(sampler: str) -> None:
    own, study = searcher(sampler=sampler, cut=[0.2, 0.36, 0.5], floor=0.1)
    for number in range(14):
        run_trial(own, str(number))
    assert len({str(trial.params) for trial in study.trials}) > 5


TEXTBOOK = PruningPlan(sparsity=1 - 0.8**4, allocation="lamp", rounds=4, retrain="lr_rewind")


def test_a_first_plan_counts_as_a_trial_and_is_not_asked_for() -> None:
    own, study = searcher(first=TEXTBOOK, num_samples=2)
    assert run_trial(own, "a") == TEXTBOOK
    assert study.trials == []  # it is none of the space's own
    config = own.suggest("b")
    assert isinstance(config, dict)
    assert config["id"] == "0001"
    assert own.suggest("c") == "FINISHED"


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ({"density": [0.1, 1.0], "rounds": [1, 5]}, [1, 2, 3, 4]),
        ({"density": [0.5, 1.0], "rounds": [1, 5]}, [1, 2, 3]),
        ({"cut": [0.1, 0.2], "rounds": None, "floor": 0.41}, [1, 2, 3, 4]),
        ({"cut": [0.3, 0.5], "rounds": None, "floor": 0.41}, []),
        ({"form": "offsets", "allocation": ["lamp", "global"], "rounds": [1, 5]}, [1, 2, 3, 4]),
    ],
)
def test_of_a_first_plan_the_rounds_that_are_plans_of_the_space_are_told(
    space: dict[str, Any], told: list[int]
) -> None:
    fields = {"form": "global", "retrain": ["finetune", "lr_rewind"], "retrain_epochs": None}
    fields |= space
    own, study = searcher(first=TEXTBOOK, constraints=("density <= 0.5",), **fields)
    run_trial(own, "a")
    assert told_rounds(study) == told
    for trial in study.trials:
        assert trial.params["allocation"] == "lamp"
        assert trial.constraints == {"density <= 0.5": pytest.approx(trial.values[1] - 0.5)}


def test_a_first_plan_runs_before_those_of_a_function_and_teaches_nothing() -> None:
    own, study = searcher(first=TEXTBOOK, function="tests.own:no_such_function")
    run_trial(own, "a")
    assert study.trials == []


def test_nothing_is_left_open_when_a_study_ends_early() -> None:
    own, study = searcher(rounds=[1, 4])
    study.enqueue_trial({"sparsity.fc1": 0.5})
    study.enqueue_trial({"sparsity.fc1": 0.6})
    run_trial(own, "a")
    ask(own, "b")
    ask(own, "c")
    study.enqueue_trial({"sparsity.fc1": 0.7})
    close_open_trials(study)
    states = [trial.state.name for trial in study.trials if "round" not in trial.user_attrs]
    assert sorted(states) == ["COMPLETE", "FAIL", "FAIL", "FAIL"]
