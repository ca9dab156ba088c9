"""Controls of a network, against training loops of the tests' own."""

import pytest

from study.configuration.loading import load_config
from study.pruning import PruningPlan, run_pipeline
from study.tasks import load_task
from study.tuning.afterwards.controls import unpruned
from tests.conftest import SMALL


@pytest.mark.parametrize("way", ["finetune", "lr_rewind", "weight_rewind", "reinit"])
def test_the_unpruned_control_trains_as_long(way: str) -> None:
    rewind = {"rewind_epoch": 1.0} if "weight" in way else {}
    plan = PruningPlan.model_validate(
        {"sparsity": {"*": 0.9}, "rounds": 2, "retrain": way, **rewind}
    )
    task = load_task(**load_config(SMALL).task.load_arguments())
    own, control = list(run_pipeline(plan, task)), list(run_pipeline(unpruned(plan), task))
    assert [r.train_samples for r in own] == [r.train_samples for r in control]
    assert control[-1].density == 1.0
