"""``prune-study export`` on a real study, with the real ONNX Runtime."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors
import safetensors.torch
import torch
from click.testing import CliRunner, Result

import study
from study.cli import main
from study.configuration.loading import load_config
from study.records import RoundRecord
from study.tasks import load_task
from tests.conftest import SMALL

pytestmark = pytest.mark.slow


def export(folder: Path, *more: str) -> Result:
    return CliRunner().invoke(main, ["export", str(folder), "--trial", "0000", *more])


def record_of(folder: Path) -> RoundRecord:
    """Of the last round."""
    lines = (folder / "trials" / "0000" / "rounds.jsonl").read_text().splitlines()
    return RoundRecord.model_validate_json(lines[-1])


def test_an_onnx_file_is_the_network_of_the_study(small_study: Path, tmp_path: Path) -> None:
    file = tmp_path / "network.onnx"
    answer = export(small_study, "-o", str(file), "--format", "json")
    assert answer.exit_code == 0, answer.output
    told, record = json.loads(answer.stdout), record_of(small_study)
    assert told["sizes"]["file_bytes"] == file.stat().st_size
    assert told["sizes"]["parameters"] == record.total_parameters
    assert told["sizes"]["nonzero_parameters"] == record.nonzero_parameters
    assert told["parity"]["sizes"] == [1, 2, 7]

    validation = load_task(**load_config(SMALL).task_arguments()).data.validation
    batch = validation.take(torch.arange(len(validation)))
    session = onnxruntime.InferenceSession(file)
    (scores,) = session.run(None, {"input": batch.inputs.numpy()})
    assert np.mean(scores.argmax(1) == batch.targets.numpy()) == record.val_accuracy

    written = {each.key: each.value for each in onnx.load(file).metadata_props}
    assert written["study"] == "small"
    assert (written["trial"], written["round"]) == ("0000", str(record.round))
    assert written["mask_hash"] == record.mask_hash
    assert float(written["val_accuracy"]) == record.val_accuracy
    assert float(written["density"]) == record.density
    assert len(written["plan_hash"]) == 16
    assert written["written_by"].startswith("prune-study ")
    assert list(tmp_path.iterdir()) == [file]


def test_weights_load_without_this_package(small_study: Path, tmp_path: Path) -> None:
    file = tmp_path / "network.safetensors"
    assert export(small_study, "-o", str(file)).exit_code == 0
    script = f"""
import sys, torch
from torch import nn
from safetensors.torch import load_file

class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(64, 24), nn.Linear(24, 16), nn.Linear(16, 10)

model = Own()
model.load_state_dict(load_file({str(file)!r}))
assert "study" not in sys.modules
print(int(sum(p.count_nonzero() for p in model.parameters())))
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(ran.stdout) == record_of(small_study).nonzero_parameters
    with safetensors.safe_open(file, "pt") as opened:
        assert opened.metadata()["mask_hash"] == record_of(small_study).mask_hash


def test_sparse_storage_is_smaller_and_gives_the_same(small_study: Path, tmp_path: Path) -> None:
    dense, sparse = tmp_path / "dense.safetensors", tmp_path / "sparse.safetensors"
    assert export(small_study, "-o", str(dense)).exit_code == 0
    answer = export(small_study, "-o", str(sparse), "--sparse", "--format", "json")
    assert answer.exit_code == 0, answer.output
    assert sparse.stat().st_size < dense.stat().st_size
    found, wanted = study.load_sparse(sparse), safetensors.torch.load_file(dense)
    assert set(found) == set(wanted)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # torch's own, of its own file format
def test_a_program_is_the_network_of_the_study(small_study: Path, tmp_path: Path) -> None:
    file = tmp_path / "network.pt2"
    answer = export(small_study, "-o", str(file))
    assert answer.exit_code == 0, answer.output
    assert "on batches of 1, 2, 7" in answer.stdout
    extra = {"prune_study.json": ""}
    program = torch.export.load(file, extra_files=extra)
    assert json.loads(extra["prune_study.json"])["trial"] == "0000"
    x = torch.randn(3, 1, 8, 8)
    network = study.load_network(small_study, "0000")
    torch.testing.assert_close(program.module()(x), network(x))


def test_int8_tells_what_it_costs_on_the_validation_split(
    small_study: Path, tmp_path: Path
) -> None:
    file = tmp_path / "small.onnx"
    answer = export(small_study, "-o", str(file), "--quantize", "int8", "--format", "json")
    assert answer.exit_code == 0, answer.output
    cost = json.loads(answer.stdout)["quantization"]
    validation = load_task(**load_config(SMALL).task_arguments()).data.validation
    batch = validation.take(torch.arange(len(validation)))
    scores = onnxruntime.InferenceSession(file).run(None, {"input": batch.inputs.numpy()})[0]
    assert cost["column"] == "val_accuracy"
    assert cost["examples"] == len(validation)
    assert cost["before"] == pytest.approx(record_of(small_study).val_accuracy)
    # Dynamic ranges are those of a batch: batches of another size round a few examples elsewhere.
    right = float(np.mean(scores.argmax(1) == batch.targets.numpy()))
    assert cost["after"] == pytest.approx(right, abs=3 / len(validation))
    written = {each.key: each.value for each in onnx.load(file).metadata_props}
    assert written["quantized"] == "int8"
    assert float(written["val_accuracy"]) == cost["after"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "x.bin"], "'x.bin' must end in one of .onnx, .safetensors, .pt2"),
        (["-o", "nowhere/x.onnx"], "there is no folder 'nowhere'"),
        (["-o", "folder.onnx"], "is a folder"),
        (["-o", "x.pt2", "--quantize", "int8"], "int8 is written as .onnx alone, not as .pt2"),
        (["-o", "x.onnx", "--sparse"], "sparse storage is .safetensors alone, not .onnx"),
        (["-o", "x.onnx", "--round", "99"], "has no round 99; it has [0, 1"),
        (["-o", "x.onnx", "--trial", "9999"], "unknown name '9999'"),
    ],
)
def test_bad_options_are_named(
    small_study: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.onnx").mkdir()
    answer = export(small_study, *options)
    assert answer.exit_code == 2
    assert message in answer.stderr
    assert answer.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["folder.onnx"]


def test_a_file_that_differs_from_torch_leaves_the_older_one_alone(
    small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from study.exporting import export as module

    def spoiled(*arguments: object) -> bytes:
        model = onnx.load_from_string(honest(*arguments))  # type: ignore[arg-type]
        for one in model.graph.initializer:
            if one.name.endswith("fc3.bias"):
                moved = onnx.numpy_helper.to_array(one) + np.float32(0.01)
                one.CopyFrom(onnx.numpy_helper.from_array(moved, one.name))
        data: bytes = model.SerializeToString()
        return data

    honest = module.to_onnx
    monkeypatch.setattr(module, "to_onnx", spoiled)
    file = tmp_path / "network.onnx"
    file.write_bytes(b"older")
    answer = export(small_study, "-o", str(file))
    assert answer.exit_code == 2
    assert "ONNX Runtime on a batch of 1: output differs from torch by up to 0.01" in answer.stderr
    assert file.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [file]


def test_a_shrunk_file_holds_no_dead_neuron_and_gives_the_same(
    small_study: Path, tmp_path: Path
) -> None:
    lines = [
        RoundRecord.model_validate_json(line)
        for file in small_study.glob("trials/*/rounds.jsonl")
        for line in file.read_text().splitlines()
    ]
    sparsest = min(lines, key=lambda record: record.density)
    assert any(layer.dead_outputs for layer in sparsest.layers)
    which = ("--trial", sparsest.trial_id, "--round", str(sparsest.round), "--format", "json")
    whole, small = tmp_path / "whole.onnx", tmp_path / "small.onnx"
    told = [
        json.loads(export(small_study, "-o", str(file), *which, *more).stdout)
        for file, more in ((whole, ()), (small, ("--shrink",)))
    ]
    assert told[1]["sizes"]["parameters"] < told[0]["sizes"]["parameters"]
    images = torch.randn(5, 1, 8, 8).numpy()
    sessions = [onnxruntime.InferenceSession(file) for file in (whole, small)]
    outputs = [session.run(None, {"input": images})[0] for session in sessions]
    np.testing.assert_allclose(outputs[1], outputs[0], rtol=1e-4, atol=1e-5)
