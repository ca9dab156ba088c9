from statistics import fmean

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from study.pruning.entries import cut_entries
from study.pruning.masking.choosing import mask_layers
from study.pruning.plan import PruningPlan
from study.pruning.scoring import Scoring
from study.pruning.selection.allocation import allocate
from study.pruning.selection.input_products import input_products
from study.pruning.selection.optimal_brain_surgeon import DAMPING, obs_mask, obs_scores, obs_weights
from study.pruning.selection.ranking import keep_best
from study.pruning.selection.request import Request
from study.pruning.selection.saliency import SaliencyInputs, mended, score
from study.pruning.training.trajectory import build_model
from tests.pruning.tiny import tiny_task


def drawn(rows: int, columns: int, groups: int = 1, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, a mask, and products of correlated inputs."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(groups, columns, columns, generator=generator, dtype=torch.float64)
    seen = mix @ torch.randn(groups, columns, 3 * columns, generator=generator).double()
    weight = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
    return weight, torch.rand(rows, columns, generator=generator) < 0.5, seen @ seen.mT


def damped(products: Tensor) -> Tensor:
    return products + DAMPING * products.diagonal().mean() * torch.eye(len(products)).double()


def one_row_at_a_time(weight: Tensor, mask: Tensor, products: Tensor) -> Tensor:
    """Optimal brain surgeon as it is written down, with a dense solve for every weight that goes.

    The columns left of it are settled; those from it on may move.
    """
    hessian, found = damped(products), weight.clone()
    for row, keep in zip(found, mask, strict=True):
        for j in range(len(row)):
            if keep[j]:
                continue
            first = torch.zeros(len(row) - j, dtype=row.dtype)
            first[0] = 1.0
            inverse_column = torch.linalg.solve(hessian[j:, j:], first)
            row[j:] -= row[j] / inverse_column[0] * inverse_column
            row[j] = 0.0
    return found


@pytest.mark.parametrize("columns", [1, 7, 40, 150])  # 150: more than one block
def test_the_update_is_that_of_a_dense_solve_for_each_weight(columns: int) -> None:
    weight, mask, products = drawn(3, columns)
    ours = obs_weights(weight, mask, products)
    torch.testing.assert_close(
        ours, one_row_at_a_time(weight, mask, products[0]), atol=1e-4, rtol=1e-4
    )
    assert not ours[~mask].any()


def test_groups_of_a_convolution_are_layers_of_their_own() -> None:
    weight, mask, products = drawn(6, 8, groups=2)
    kernel = weight.view(6, 2, 2, 2)
    ours = obs_weights(kernel, mask.view_as(kernel), products).view(6, 8)
    for group in range(2):
        rows = slice(3 * group, 3 * group + 3)
        expected = one_row_at_a_time(weight[rows], mask[rows], products[group])
        torch.testing.assert_close(ours[rows], expected)
    scores = obs_scores(kernel, products).view(6, 8)
    for group in range(2):
        worth = torch.linalg.inv(damped(products[group])).diagonal()
        rows = slice(3 * group, 3 * group + 3)
        torch.testing.assert_close(scores[rows], weight[rows].square() / worth)


def test_the_score_is_what_the_best_answer_of_the_others_leaves() -> None:
    """Against the least squares of all weights but the one that goes."""
    weight, _, products = drawn(1, 9)
    hessian, row = damped(products[0]), weight[0]
    for j, score_ in enumerate(obs_scores(weight, products)[0]):
        others = [k for k in range(9) if k != j]
        moved = torch.linalg.solve(hessian[others][:, others], hessian[others, j] * row[j])
        change = torch.zeros(9, dtype=torch.float64)
        change[j], change[others] = -row[j], moved
        torch.testing.assert_close(score_, change @ hessian @ change)


def test_a_mask_that_keeps_everything_changes_nothing() -> None:
    weight, mask, products = drawn(4, 30)
    assert torch.equal(obs_weights(weight, torch.ones_like(mask), products), weight)


def test_inputs_that_are_always_zero_cost_nothing_and_break_nothing() -> None:
    weight, mask, products = drawn(4, 6)
    products[:, 2] = products[:, :, 2] = 0.0
    scores = obs_scores(weight, products)
    damping = DAMPING * products[0].diagonal().mean()  # all that speaks for such a weight
    torch.testing.assert_close(scores[:, 2], weight[:, 2].square() * damping)
    assert bool(obs_weights(weight, mask, products).isfinite().all())
    assert bool(obs_scores(weight, torch.zeros_like(products)).isfinite().all())


def trained_on_digits() -> tuple[nn.Sequential, Tensor]:
    digits = load_digits()
    inputs = torch.tensor(digits.data, dtype=torch.float32).view(-1, 1, 8, 8) / 16
    targets = torch.tensor(digits.target)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Linear(256, 32), nn.ReLU(), nn.Linear(32, 10),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(60):
        batch = torch.arange(128) + 128 * step % 1280
        loss = nn.functional.cross_entropy(model(inputs[batch]), targets[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model, inputs


@pytest.mark.parametrize(("sparsity", "of_magnitude"), [(0.5, 0.6), (0.8, 0.85)])
def test_on_digits_every_layers_outputs_change_less_than_under_magnitude(
    sparsity: float, of_magnitude: float
) -> None:
    model, inputs = trained_on_digits()
    masked = mask_layers(model)
    weights = {name: weight.detach().clone() for name, weight in masked.weights.items()}

    def products_of(examples: Tensor) -> dict[str, Tensor]:
        return input_products(model, masked.weights, lambda: model(examples))

    given = SaliencyInputs(
        weights, {}, lambda: pytest.fail("no gradients"), 0, lambda: products_of(inputs[:1000])
    )
    changes: dict[str, dict[str, float]] = {}
    unseen = products_of(inputs[1000:])  # examples that the update was not made for
    for name in ("magnitude", "obs"):
        cut = allocate("uniform", Request(score(name, given), masked.masks, sparsity))
        after = mended(name, given, cut.masks) or {
            layer: weight * cut.masks[layer] for layer, weight in weights.items()
        }
        change = {n: (after[n] - weight).double().flatten(1) for n, weight in weights.items()}
        changes[name] = {n: float(((d @ unseen[n][0]) * d).sum()) for n, d in change.items()}
        assert all(not after[layer][~mask].any() for layer, mask in cut.masks.items())
    ratios = [changes["obs"][layer] / changes["magnitude"][layer] for layer in weights]
    assert max(ratios) < 1.0, ratios
    assert fmean(ratios) < of_magnitude, ratios


def sparse_gpt(weight: Tensor, products: Tensor, sparsity: float, block: int = 128) -> Tensor:
    """``fasterprune`` of the authors' code (IST-DASLab/sparsegpt, sparsegpt.py), line by line."""
    values, hessian = weight.clone(), products.clone()
    columns = values.shape[1]
    hessian += DAMPING * hessian.diagonal().mean() * torch.eye(columns, dtype=hessian.dtype)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
    upper = torch.linalg.cholesky(inverse, upper=True)
    for first in range(0, columns, block):
        last = min(first + block, columns)
        own, inner = values[:, first:last].clone(), upper[first:last, first:last]
        kept, errors = torch.zeros_like(own), torch.zeros_like(own)
        worth = own**2 / inner.diagonal().reshape(1, -1) ** 2
        cut_off = worth.flatten().sort().values[int(worth.numel() * sparsity)]
        goes = worth < cut_off
        for i in range(last - first):
            column = own[:, i].clone()
            column[goes[:, i]] = 0.0
            kept[:, i] = column
            error = (own[:, i] - column) / inner[i, i]
            own[:, i:] -= error[:, None] * inner[i, i:][None]
            errors[:, i] = error
        values[:, first:last] = kept
        values[:, last:] -= errors @ upper[first:last, last:]
    return values


def squared_error(after: Tensor, weight: Tensor, products: Tensor) -> float:
    change = after - weight
    return float(((change @ products) * change).sum())


@pytest.mark.parametrize(("rows", "columns"), [(5, 12), (6, 200)])  # 200: two blocks
def test_the_choice_is_as_good_as_sparse_gpts_own(rows: int, columns: int) -> None:
    ours, theirs, wandas = [], [], []
    for seed in range(8):
        weight, _, grouped = drawn(rows, columns, seed=seed)
        products, alive = grouped[0], torch.ones_like(weight, dtype=torch.bool)
        mask = obs_mask(weight, alive, weight.numel() // 2, grouped)
        assert int(mask.sum()) == weight.numel() // 2
        ours.append(squared_error(obs_weights(weight, mask, grouped), weight, products))
        theirs.append(squared_error(sparse_gpt(weight, products, 0.5), weight, products))
        by_norm = weight.abs() * products.diagonal().sqrt()
        kept = keep_best(by_norm, alive, weight.numel() // 2)
        wandas.append(squared_error(weight * kept, weight, products))
    ratios = [own / other for own, other in zip(ours, theirs, strict=True)]
    assert max(ratios) <= 1.05, ratios
    assert all(own < other for own, other in zip(ours, wandas, strict=True)), (ours, wandas)


def test_what_went_before_stays_away_and_others_are_kept_in_its_place() -> None:
    weight, alive, products = drawn(6, 300)
    alive[:, :128] = False  # a whole block
    count = int(alive.sum()) - 40
    mask = obs_mask(weight * alive, alive, count, products)
    assert int(mask.sum()) == count
    assert not (mask & ~alive).any()


@pytest.mark.parametrize(("allocation", "is_chosen"), [("uniform", True), ("global", False)])
def test_a_round_chooses_so_where_each_layer_has_its_number(
    allocation: str, is_chosen: bool
) -> None:
    task = tiny_task()
    asked = PruningPlan(sparsity=0.5, allocation=allocation, saliency="obs")  # type: ignore[arg-type]
    masked = mask_layers(build_model(task, 0))
    scoring = Scoring(asked, task, masked, {}, 1)
    weights = {name: weight.detach().clone() for name, weight in masked.weights.items()}
    cut = cut_entries(asked, 1, masked, scoring, None, masked.masks, None)
    products = scoring.inputs.input_products()
    assert cut.weights is not None
    are_own = []
    for layer, mask in cut.masks.items():
        own = obs_mask(weights[layer], masked.masks[layer], int(mask.sum()), products[layer])
        are_own.append(torch.equal(own, mask))
        mended_ = obs_weights(weights[layer], mask, products[layer])
        torch.testing.assert_close(cut.weights[layer], mended_)
    assert all(are_own) == is_chosen
