"""A round's multiply-adds are those of the network that is left."""

import pytest
from torch import Tensor, nn

from study.pruning import PruningPlan, run_pipeline
from tests.pruning.tiny import tiny_task

LENGTH, WIDTH, HEADS, HIDDEN = 6, 8, 4, 12


class Rows(nn.Module):
    """A transformer over the rows of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(LENGTH, WIDTH)
        self.block = nn.TransformerEncoderLayer(
            WIDTH, HEADS, HIDDEN, dropout=0.0, batch_first=True, norm_first=True
        )
        self.fc = nn.Linear(WIDTH, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc(self.block(self.embed(x.squeeze(1))).mean(1))
        return out


@pytest.mark.parametrize("structure", ["heads", "units"])
def test_a_head_that_goes_takes_its_products_of_queries_and_keys_along(structure: str) -> None:
    plan = PruningPlan(
        structure=structure, sparsity=0.3, rounds=1, retrain="finetune", retrain_epochs=1
    )
    for record in run_pipeline(plan, tiny_task(Rows)):
        kept = {layer.layer: layer.kept for layer in record.layers}
        heads = kept["block.self_attn.out_proj"] // WIDTH  # columns
        products = 2 * LENGTH * LENGTH * heads
        of_each_row = sum(n for layer, n in kept.items() if layer != "fc")
        assert record.macs == LENGTH * of_each_row + products + kept["fc"]
        assert record.round == 0 or heads < WIDTH
