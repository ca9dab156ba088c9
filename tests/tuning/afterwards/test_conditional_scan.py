from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from study.configuration.loading import load_config
from study.errors import UsageError
from study.pruning import mask_layers
from study.pruning.states.state_files import load_weights
from study.pruning.training.trajectory import build_model
from study.records import RoundRecord
from study.storage import Folder
from study.tasks import evaluate, load_task
from study.tuning.afterwards.conditional_scan import scan_round
from tests.conftest import SMALL

pytestmark = pytest.mark.slow


def last_round(study: Path, trial: str) -> RoundRecord:
    return RoundRecord.model_validate_json(
        (study / "trials" / trial / "rounds.jsonl").read_text().splitlines()[-1]
    )


def test_the_scan_starts_from_the_network_of_the_round(small_study: Path) -> None:
    record = last_round(small_study, "0000")
    density = {layer.layer: layer.density for layer in record.layers}
    for scanned in scan_round(Folder(str(small_study)), "0000"):
        assert (scanned.trial_id, scanned.round) == ("0000", record.round)
        if scanned.sparsity <= 1 - density[scanned.layer]:
            assert scanned.val_accuracy == record.val_accuracy
            assert scanned.accuracy_drop == 0


def test_a_level_beyond_the_mask_is_what_cutting_by_hand_gives(small_study: Path) -> None:
    task = load_task(**load_config(SMALL).task.load_arguments())
    folder = Folder(str(small_study))
    records = scan_round(folder, "0001", 1)
    masked = mask_layers(build_model(task, 0))
    load_weights(masked, folder.read("trials", "0001", "round_01.safetensors"))
    weight = masked.weights["fc1"]
    gone = round(0.975 * weight.numel())
    with torch.no_grad():
        weight.view(-1)[weight.abs().flatten().argsort(stable=True)[:gone]] = 0
    expected = evaluate(masked.model, task.data.validation, task).metrics["accuracy"]
    found = next(r for r in records if r.layer == "fc1" and r.sparsity == 0.975)
    assert found.val_accuracy == expected


def test_it_is_kept_in_the_trials_folder(small_study: Path) -> None:
    found = scan_round(Folder(str(small_study)), "0001", 1)
    table = pq.read_table(small_study / "trials" / "0001" / "round_01_sensitivity.parquet")
    assert table.num_rows == len(found)


def test_wrong_names_are_refused(small_study: Path, tmp_path: Path) -> None:
    folder = Folder(str(small_study))
    with pytest.raises(UsageError, match="Did you mean"):
        scan_round(folder, "000")
    with pytest.raises(UsageError, match="has no round 9"):
        scan_round(folder, "0000", 9)
    with pytest.raises(UsageError, match="holds no study"):
        scan_round(Folder(str(tmp_path)), "0000")


def test_weights_of_another_network_are_refused(small_study: Path) -> None:
    other = mask_layers(torch.nn.Sequential(torch.nn.Linear(3, 2)))
    state = Folder(str(small_study)).read("trials", "0000", "round_01.safetensors")
    with pytest.raises(UsageError, match="masked layers are"):
        load_weights(other, state)
