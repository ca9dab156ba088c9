import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from study.errors import UsageError
from study.tasks import make_task
from study.tasks.training.checkpoints import load_checkpoint, put_checkpoint


def network(width: int = 5) -> nn.Module:
    return nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width), nn.Linear(width, 2))


def assert_same(found: Any, model: nn.Module) -> None:
    wanted = model.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], value) for name, value in wanted.items())


def test_weights_by_safetensors_and_by_torch_come_back(tmp_path: Path) -> None:
    model = network()
    save_file(model.state_dict(), tmp_path / "net.safetensors")
    torch.save(model.state_dict(), tmp_path / "net.pt")
    assert_same(load_checkpoint(tmp_path / "net.safetensors"), model)
    assert_same(load_checkpoint(str(tmp_path / "net.pt")), model)


@pytest.mark.parametrize("name", ["state_dict", "model_state_dict", "model"])
def test_weights_are_found_inside_a_larger_checkpoint(tmp_path: Path, name: str) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    larger = {"epoch": 3, name: model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(larger, tmp_path / "net.pt")
    assert_same(load_checkpoint(tmp_path / "net.pt"), model)


def test_loaded_weights_are_all_of_the_models(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, other = network(), network()
    put_checkpoint(other, model.state_dict(), "net.pt")
    assert_same(other.state_dict(), model)


def without_a_layer(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if not name.startswith("2.")}


def of_many_gpus(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"module.{name}": value for name, value in state.items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_a_layer, 'Missing key.*"2.weight"'),
        (of_many_gpus, 'Unexpected key.*"module.0.weight"'),
        (lambda state: network(7).state_dict(), "size mismatch for 0.weight"),
        (lambda state: {**state, "epoch": 3}, 'Unexpected key.*"epoch"'),
    ],
)
def test_weights_of_another_model_are_refused_by_name(change: Any, message: str) -> None:
    with pytest.raises(
        UsageError, match=rf"task\.weights: net\.pt is not of this model: .*{message}"
    ):
        put_checkpoint(network(), change(dict(network().state_dict())), "net.pt")


class Trap:
    def __reduce__(self) -> Any:
        return os.mkdir, ("sprung",)


def test_code_in_a_pickle_is_refused_and_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({**network().state_dict(), "trap": Trap()}, "net.pt")
    with pytest.raises(UsageError, match="cannot be read as weights"):
        load_checkpoint("net.pt")
    assert not Path("sprung").exists()


def test_a_whole_pickled_model_is_refused(tmp_path: Path) -> None:
    torch.save(network(), tmp_path / "net.pt")
    with pytest.raises(UsageError, match=r"Save a state_dict"):
        load_checkpoint(tmp_path / "net.pt")


@pytest.mark.parametrize("name", ["net.pt", "net.safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04 broken", b"\x80\x02."])
def test_a_file_of_something_else_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=f"{name} cannot be read as weights"):
        load_checkpoint(tmp_path / name)


@pytest.mark.parametrize("content", [3, [torch.zeros(2)], {}, {"epoch": 3}])
def test_a_file_without_a_state_dict_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "net.pt")
    with pytest.raises(UsageError, match="no state_dict"):
        load_checkpoint(tmp_path / "net.pt")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no.pt"):
        with pytest.raises(UsageError, match=f"there is no file {path}"):
            load_checkpoint(path)


def test_a_task_takes_weights_and_no_epochs(tmp_path: Path) -> None:
    model = network()
    torch.save(model.state_dict(), tmp_path / "net.pt")
    data = torch.randn(20, 4), torch.arange(20) % 2
    task = make_task(network, data, 0.2, weights=str(tmp_path / "net.pt"), epochs=0)
    assert task.recipe.epochs == 0
    assert_same(task.checkpoint, model)
