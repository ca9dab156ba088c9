"""Models of every kind, through whole pipelines and through the bytes of their checkpoints."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from study.pruning import PruningPlan, run_pipeline
from study.pruning.masking.choosing import mask_layers
from study.pruning.states.progress import Progress
from study.pruning.states.state_files import progress_from_bytes, progress_to_bytes
from tests.pruning.tiny import tiny_task


class Complex(nn.Module):
    """Works with complex weights of either width."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(36, 8, dtype=torch.complex64)
        self.second = nn.Linear(8, 3, dtype=torch.complex128)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x.flatten(1).to(torch.complex64))
        out: Tensor = self.second((hidden * hidden.abs()).to(torch.complex128))
        return out.abs().float()


class Double(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(36, 3, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc(x.flatten(1).double())
        return out


class Normed(nn.Module):
    """Convolutions under both norms, and a gain."""

    def __init__(self) -> None:
        super().__init__()
        self.first = parametrizations.weight_norm(nn.Conv2d(1, 4, 3))
        self.second = parametrizations.spectral_norm(nn.ConvTranspose2d(4, 2, 3, groups=2))
        self.weight = nn.Parameter(torch.ones(1, 2, 1, 1))
        self.head = nn.Linear(72, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head((self.second(self.first(x).relu()) * self.weight).flatten(1))
        return out


class Reading(nn.Module):
    """Reads an image row by row, in both directions."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 5, bidirectional=True, batch_first=True)
        self.head = nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.lstm(x.squeeze(1))
        out: Tensor = self.head(states[:, -1])
        return out


class Remembering(nn.Module):
    """Standardises by statistics that it makes when it first runs, and counts its steps."""

    mean: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", None)
        self.scale = nn.Linear(36, 36)
        self.scale.bias.requires_grad_(False)
        self.head = nn.Linear(36, 3)
        self.steps = 0

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        if self.mean is None:
            self.mean = torch.zeros(36)
        if self.training:
            self.steps += 1
            self.mean = self.mean + (x.mean(0) - self.mean) / self.steps
        out: Tensor = self.head(self.scale(x - self.mean).relu())
        return out

    def get_extra_state(self) -> dict[str, Any]:
        return {"steps": self.steps}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"]


class Keeper:
    def __init__(self) -> None:
        self.within: list[bytes] = []

    def checkpoint(self, progress: Any) -> None:
        self.within.append(progress_to_bytes(progress()))

    def round_finished(self, record: Any, masked: Any, progress: Any) -> None:
        self.within.append(progress_to_bytes(progress()))


MODELS = [Complex, Double, Normed, Reading, Remembering]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("saliency", ["magnitude", "gradient", "movement"])
def test_a_pipeline_prunes_it_and_goes_on_from_any_checkpoint_bit_for_bit(
    model: type[nn.Module], saliency: str
) -> None:
    plan = PruningPlan(sparsity=0.8, rounds=2, retrain_epochs=2, saliency=saliency)
    task = tiny_task(model=model, epochs=2, augmentation=(), lr=0.02)
    keeper = Keeper()
    whole = list(run_pipeline(plan, task, observer=keeper))  # type: ignore[arg-type]
    total = sum(mask_layers(model()).total.values())
    assert sum(layer.kept for layer in whole[-1].layers) == total - round(0.8 * total)
    assert whole[-1].uncounted == ()
    assert whole[-1].macs < whole[-1].dense_macs
    for data in keeper.within:
        start: Progress = progress_from_bytes(data)
        rest = list(run_pipeline(plan, task, start=start))
        for found, expected in zip(reversed(rest), reversed(whole), strict=False):
            assert found.mask_hash == expected.mask_hash
            assert found.val_loss == expected.val_loss


@pytest.mark.parametrize("model", MODELS)
def test_leaving_pruned_weights_out_changes_nothing_but_rounding(model: type[nn.Module]) -> None:
    plan = PruningPlan(sparsity=0.9, rounds=1, retrain_epochs=2)
    losses = []
    for skip_pruned in (False, True):
        fields: dict[str, Any] = {"epochs": 2, "augmentation": (), "lr": 0.02}
        task = tiny_task(model=model, skip_pruned=skip_pruned, **fields)
        losses.append([record.val_loss for record in run_pipeline(plan, task)])
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


@pytest.mark.parametrize("retrain", ["weight_rewind", "reinit"])
def test_what_a_model_made_while_it_ran_goes_back_with_its_weights(retrain: str) -> None:
    fields: dict[str, Any] = {"rewind_epoch": 0} if retrain == "weight_rewind" else {}
    plan = PruningPlan(sparsity=0.5, rounds=2, retrain=retrain, retrain_epochs=1, **fields)
    task = tiny_task(model=Remembering, epochs=2, augmentation=())
    keeper = Keeper()
    list(run_pipeline(plan, task, observer=keeper))  # type: ignore[arg-type]
    steps = [progress_from_bytes(data).state.model["_extra_state"] for data in keeper.within]
    assert steps == [{"steps": 8}, {"steps": 4}, {"steps": 4}]
    mean = progress_from_bytes(keeper.within[-1]).state.model["mean"]
    batches = task.data.train.inputs.flatten(1)
    assert (mean - batches.mean(0)).abs().max() < 0.5
