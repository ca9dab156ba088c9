from __future__ import annotations

import json
import subprocess
import sys
import tomllib

import optuna
import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FixedTrial, create_trial
from pydantic import ValidationError

from search_spaces import SearchSpace
from study.pruning.plan import PruningPlan
from study.pruning.selection.schedule import sparsity_at
from tests.search_spaces.networks import FORMS, LENET300, RESNET, played, prunable

every_form = pytest.mark.parametrize("name", FORMS)


def precision(name: str) -> float:
    """A plan holds sparsities, whose spacing of 1e-16 a share near a bound magnifies."""
    return 1e-9 if name.startswith("share.") else 1e-12


@every_form
@given(data=st.data())
def test_parameters_make_a_plan_that_gives_the_parameters_back(
    name: str, data: st.DataObject
) -> None:
    space, layers = FORMS[name], prunable(FORMS[name], name)
    trial, parameters = played(data)
    fields = space.suggest(trial, layers)
    back = space.parameters_of(PruningPlan(**fields).model_dump(), layers)
    assert back is not None
    assert back == {
        key: pytest.approx(v, abs=precision(key), rel=precision(key)) if isinstance(v, float) else v
        for key, v in parameters.items()
    }
    assert space.suggest(FixedTrial(back), layers).keys() == fields.keys()


@every_form
@given(data=st.data())
def test_a_point_with_its_distributions_is_a_trial_for_optuna(
    name: str, data: st.DataObject
) -> None:
    space, layers = FORMS[name], prunable(FORMS[name], name)
    trial, parameters = played(data)
    space.suggest(trial, layers)
    made = create_trial(
        params=parameters, distributions=space.distributions(parameters, layers), values=[0.9, 0.1]
    )
    assert made.params == parameters


@given(data=st.data())
@pytest.mark.parametrize("schedule", ["geometric", "constant"])
@pytest.mark.parametrize("scale", ["linear_sparsity", "log_density"])
def test_with_lower_bounds_of_zero_every_prefix_is_a_point(
    scale: str, schedule: str, data: st.DataObject
) -> None:
    space = SearchSpace.model_validate(
        {"form": "per_layer", "per_layer": {"scale": scale}, "rounds": [1, 6], "schedule": schedule}
    )
    trial, _ = played(data)
    plan = PruningPlan(**space.suggest(trial, LENET300))
    for rounds in range(1, plan.rounds):
        prefix = plan.prefix(rounds)
        assert prefix is not None
        point = space.parameters_of(prefix.model_dump(), LENET300)
        assert point is not None
        assert point["rounds"] == rounds
        for layer, final in (plan.sparsity if isinstance(plan.sparsity, dict) else {}).items():
            level = sparsity_at(schedule, rounds, plan.rounds, final)
            found = (
                point[f"sparsity.{layer}"]
                if scale == "linear_sparsity"
                else (1 - point[f"density.{layer}"])
            )
            assert found == pytest.approx(level, abs=1e-12)


def test_prefixes_of_projected_global_and_moved_plans_are_points_too() -> None:
    projected = SearchSpace(form="density_projected")
    point = {
        "density": 0.05,
        "share.fc2": 3.0,
        "share.fc3": 40.0,
        "rounds": 5,
        "retrain": "finetune",
    }
    prefix = PruningPlan(**projected.suggest(FixedTrial(point), LENET300)).prefix(2)
    assert prefix is not None
    found = projected.parameters_of(prefix.model_dump(), LENET300)
    assert found is not None
    assert found["density"] > 0.05
    whole = SearchSpace(form="global", allocation="lamp")
    plan = PruningPlan(
        **whole.suggest(FixedTrial({"density": 0.05, "rounds": 5, "retrain": "finetune"}), LENET300)
    )
    prefix = plan.prefix(2)
    assert prefix is not None
    assert whole.parameters_of(prefix.model_dump(), LENET300) == {
        "density": pytest.approx(0.05**0.4),
        "rounds": 2,
        "retrain": "finetune",
    }
    moved = {"offset_quantile.fc2": 0.1, "offset_quantile.fc3": 0.995}
    point = {"density": 0.05, **moved, "rounds": 5, "retrain": "finetune"}
    prefix = PruningPlan(**SearchSpace().suggest(FixedTrial(point), LENET300)).prefix(2)
    assert prefix is not None
    assert SearchSpace().parameters_of(prefix.model_dump(), LENET300) == pytest.approx(
        {**point, "density": 0.05**0.4, "rounds": 2}
    )


def test_a_lower_bound_above_zero_shuts_prefixes_out() -> None:
    space = SearchSpace.model_validate({"per_layer": {"bounds": [0.5, 0.9]}})
    levels = dict.fromkeys(("fc1", "fc2", "fc3"), 0.6)
    prefix = PruningPlan(sparsity=levels, rounds=4).prefix(1)
    assert prefix is not None
    assert space.parameters_of(prefix.model_dump(), LENET300) is None


@every_form
def test_json_and_toml_give_the_same_space_back(name: str) -> None:
    space = FORMS[name]
    text = json.dumps(space.model_dump(mode="json"))
    assert SearchSpace.model_validate(json.loads(text)) == space
    assert SearchSpace.model_validate_json(space.model_dump_json()) == space
    toml = tomli_w.dumps(space.model_dump(mode="json", exclude_none=True))
    assert SearchSpace.model_validate(tomllib.loads(toml)) == space


def _samplers() -> list[optuna.samplers.BaseSampler]:
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        tpe = optuna.samplers.TPESampler(seed=0, multivariate=True, group=True, n_startup_trials=5)
    return [
        tpe,
        optuna.samplers.NSGAIISampler(seed=0, population_size=6),
        optuna.samplers.RandomSampler(seed=0),
    ]


@every_form
@pytest.mark.parametrize("number", range(3))
def test_what_samplers_draw_in_a_study_of_two_objectives_are_plans(name: str, number: int) -> None:
    space, layers = FORMS[name], prunable(FORMS[name], name)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=_samplers()[number])
    first = space.nearest_parameters({"sparsity": 0.5, "allocation": "uniform"}, layers)
    study.enqueue_trial(first)

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        plan = PruningPlan(**space.suggest(trial, layers))
        assert space.parameters_of(plan.model_dump(), layers) is not None
        return 1.0 / plan.rounds, float(plan.layer_floor)

    study.optimize(objective, n_trials=15)
    assert study.trials[0].params == first


def test_what_is_fixed_is_no_parameter() -> None:
    space = SearchSpace.model_validate(
        {
            "form": "global",
            "density": [0.1],
            "allocation": ["erk"],
            "rounds": [3, 3],
            "retrain": ["weight_rewind"],
            "rewind_epoch": 1,
        }
    )
    trial = FixedTrial({})
    fields = space.suggest(trial, LENET300)
    assert trial.params == {}
    assert (fields["sparsity"], fields["rounds"], fields["rewind_epoch"]) == (0.9, 3, 1.0)


@given(data=st.data())
def test_only_what_has_a_meaning_is_drawn(data: st.DataObject) -> None:
    trial, parameters = played(data)
    fields = FORMS["threshold too"].suggest(trial, LENET300)
    assert ("rounds" in parameters) == (fields["schedule"] != "one_shot")
    assert ("rewind_epoch" in parameters) == (fields["retrain"] == "weight_rewind")
    assert ("optimizer_state" in parameters) == (fields["retrain"] != "reinit")
    assert ("threshold" in parameters) == (fields["allocation"] == "threshold")
    assert ("density" in parameters) == (fields["allocation"] != "threshold")


def test_names_of_parameters_are_those_of_fields_and_layers() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trial = study.ask()
    space = SearchSpace(form="per_layer", schedule="geometric", retrain="weight_rewind")
    space.suggest(trial, LENET300)
    assert list(trial.params) == [
        "sparsity.fc1",
        "sparsity.fc2",
        "sparsity.fc3",
        "rounds",
        "rewind_epoch",
    ]
    trial = study.ask()
    SearchSpace(retrain="finetune", rounds=3).suggest(trial, LENET300)
    assert list(trial.params) == ["density", "offset_quantile.fc2", "offset_quantile.fc3"]


@pytest.mark.parametrize(
    "change",
    [
        {"sparsity": {"fc1": 0.995, "fc2": 0.5, "fc3": 0.5}},
        {"rounds": 9},
        {"rewind_epoch": 0.7},
        {"schedule": "cosine"},
        {"saliency": "random"},
        {"exclude": ["fc3"]},
        {"retrain": "reinit", "rewind_epoch": None},
        {"retrain_epochs": 3.0},
        {"allocation": "uniform", "sparsity": 0.5},
    ],
)
def test_a_plan_outside_of_the_space_has_no_parameters(change: dict[str, object]) -> None:
    space = SearchSpace(form="per_layer")
    inside = {"sparsity": {"fc*": 0.5}, "retrain": "weight_rewind", "rewind_epoch": 1.5}
    assert space.parameters_of(inside, LENET300) is not None
    assert space.parameters_of({**inside, **change}, LENET300) is None


def test_layers_that_share_a_parameter_must_be_equal_and_are_averaged_for_the_nearest_point() -> (
    None
):
    space = SearchSpace.model_validate({"form": "per_layer", "per_layer": {"group_by": "kind"}})
    levels = {"fc1": 0.9, "fc2": 0.5, "fc3": 0.0}
    assert space.parameters_of({"sparsity": levels}, LENET300) is None
    total = 235200 * 0.9 + 30000 * 0.5
    point = space.nearest_parameters({"sparsity": levels}, LENET300)
    assert point["sparsity.linear"] == pytest.approx(total / 266200)


def test_the_nearest_point_ends_at_the_bounds_and_lies_on_the_grid() -> None:
    levels = SearchSpace(form="per_layer", retrain="weight_rewind")
    space = levels.with_bounds({"fc1": 0.95, "fc2": 0.9, "fc3": 0.6})
    plan = {"sparsity": {"*": 0.93}, "rounds": 7, "retrain": "weight_rewind", "rewind_epoch": 0.7}
    assert space.nearest_parameters(plan, LENET300) == {
        "sparsity.fc1": 0.93,
        "sparsity.fc2": 0.9,
        "sparsity.fc3": 0.6,
        "rounds": 5,
        "rewind_epoch": 0.5,
    }


def test_bounds_from_a_scan_are_awaited_then_kept() -> None:
    space = SearchSpace.model_validate({"per_layer": {"bounds": "sensitivity"}})
    assert space.awaits_bounds
    with pytest.raises(ValueError, match="no scan was made yet"):
        space.example(LENET300)
    bounded = space.with_bounds({"fc1": 0.995, "fc2": 0.5, "fc3": 0.0})
    assert not bounded.awaits_bounds
    kinds = bounded.distributions(bounded.nearest_parameters({}, LENET300), LENET300)
    assert {name: (d.low, d.high) for name, d in kinds.items() if name.startswith("sparsity")} == {
        "sparsity.fc1": (0.0, 0.995),
        "sparsity.fc2": (0.0, 0.5),
    }
    assert SearchSpace.model_validate(bounded.model_dump(mode="json")) == bounded


def test_distributions_say_which_parameter_is_missing() -> None:
    with pytest.raises(ValueError, match=r"'offset_quantile\.fc2' is missing"):
        SearchSpace().distributions({"density": 0.5}, LENET300)


def test_the_cost_and_the_rewind_points_are_known_beforehand() -> None:
    space = SearchSpace.model_validate(
        {"rounds": [1, 4], "retrain_epochs": [1, 6], "rewind_epoch": [0, 1.5]}
    )
    assert space.max_rounds == 4
    assert space.worst_case_epochs(20) == 20 + 4 * 6
    assert space.rewind_epochs(20) == [0.0, 0.5, 1.0, 1.5]
    assert SearchSpace(retrain="finetune").rewind_epochs(20) == []
    assert SearchSpace(rounds=3).worst_case_epochs(20) == 80
    rewinding = SearchSpace(rounds=3, retrain="weight_rewind", rewind_epoch=(5.0, 7.0))
    assert rewinding.worst_case_epochs(20) == 20 + 3 * 15
    assert SearchSpace(schedule="one_shot").max_rounds == 1


def test_a_function_is_a_space_of_its_own() -> None:
    space = SearchSpace(function="mine:suggest")
    assert space.rewind_epochs(10) == []
    assert SearchSpace.model_validate(space.model_dump(mode="json")) == space
    with pytest.raises(ValueError, match="call it instead"):
        space.example(LENET300)
    with pytest.raises(ValueError, match="how many rounds"):
        _ = space.max_rounds
    with pytest.raises(ValidationError, match="take form, rounds out"):
        SearchSpace(function="mine:suggest", rounds=3, form="global")
    written = {
        **space.model_dump(mode="json"),
        "form": "per_layer",
    }  # the default of former studies
    assert SearchSpace.model_validate(written).function == "mine:suggest"


def test_every_form_has_an_example() -> None:
    for name, space in FORMS.items():
        PruningPlan(**space.example(prunable(space, name)))
    levels = SearchSpace(form="per_layer").example(RESNET)["sparsity"]
    assert levels["layer1.0.conv1"] == 0.0


def test_it_needs_neither_torch_nor_ray_nor_the_study() -> None:
    code = (
        "import sys, search_spaces; print(*{'torch', 'ray', 'study', 'analysis'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_an_exponent_of_the_cost_is_drawn_only_for_rankings_that_it_divides() -> None:
    space = SearchSpace.model_validate(
        {
            "form": "global",
            "allocation": ["lamp", "erk"],
            "budget": "macs",
            "cost_exponent": [0.0, 1.0],
            "rounds": 3,
            "retrain": "finetune",
        }
    )
    point = {"density": 0.1, "allocation": "lamp", "cost_exponent": 0.5}
    plan = PruningPlan(**space.suggest(FixedTrial(point), LENET300))
    assert (plan.budget, plan.cost, plan.cost_exponent) == ("macs", "macs", 0.5)
    other = PruningPlan(
        **space.suggest(FixedTrial({"density": 0.1, "allocation": "erk"}), LENET300)
    )
    assert (other.budget, other.cost_exponent) == ("macs", 0.0)
    assert (
        space.parameters_of(plan.model_copy(update={"budget": "weights"}).model_dump(), LENET300)
        is None
    )
