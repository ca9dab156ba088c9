"""What a search by stages is for, told by the task and the study file."""

from pathlib import Path

import pytest

from study.configuration.loading import load_config
from study.tuning.aiming import aim_of
from study.tuning.preparing import prepare


@pytest.mark.parametrize(("model", "differ"), [("mlp", False), ("small_cnn", True)])
def test_weights_of_dense_layers_cost_the_same_and_those_of_convolutions_do_not(
    model: str, differ: bool, tmp_path: Path
) -> None:
    prepared = prepare(
        load_config(
            {
                "study": {"name": "aimed", "storage_path": str(tmp_path)},
                "task": {"dataset": "digits", "model": model, "epochs": 1},
                "space": {"allocation": "lamp", "rewind_epoch": 0},
                "objectives": {"accuracy": "max", "macs": "min"},
                "search": {"sampler": "stages"},
                "confirm": {"share": 0},
            }
        )
    )
    assert prepared.textbook is not None
    aim = aim_of(prepared, prepared.textbook)
    assert (aim.size, aim.costs_differ, aim.is_for_cost) == ("macs", differ, differ)
