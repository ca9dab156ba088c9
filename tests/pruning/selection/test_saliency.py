from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from study.errors import UsageError
from study.pruning.selection.allocation import allocate
from study.pruning.selection.request import Request
from study.pruning.selection.saliency import SaliencyInputs, mended, score

WEIGHTS = {"a": torch.tensor([[1.0, -2.0], [0.5, 0.0]]), "b": torch.tensor([[3.0, -1.0]])}
GRADIENTS = {"a": torch.tensor([[-1.0, 0.1], [4.0, 9.0]]), "b": torch.tensor([[0.0, 2.0]])}
BEFORE = {"a": torch.tensor([[2.0, 1.0], [0.5, 0.1]]), "b": torch.tensor([[0.0, -1.0]])}


def no_gradients() -> Mapping[str, Tensor]:
    raise AssertionError("this saliency must not pay for gradients")


def inputs(seed: int = 0, *, gradients: bool = False) -> SaliencyInputs:
    return SaliencyInputs(WEIGHTS, BEFORE, (lambda: GRADIENTS) if gradients else no_gradients, seed)


def test_magnitude_is_the_absolute_value() -> None:
    assert score("magnitude", inputs())["a"].tolist() == [[1.0, 2.0], [0.5, 0.0]]


def test_gradient_is_the_first_order_change_of_the_loss() -> None:
    scores = score("gradient", inputs(gradients=True))
    torch.testing.assert_close(scores["a"], torch.tensor([[1.0, 0.2], [2.0, 0.0]]))
    assert scores["b"].tolist() == [[0.0, 2.0]]


def test_movement_is_positive_away_from_zero_and_negative_towards_it() -> None:
    scores = score("movement", inputs())
    torch.testing.assert_close(scores["a"], torch.tensor([[-1.5, 1.5], [0.0, -0.005]]))
    torch.testing.assert_close(scores["b"], torch.tensor([[4.5, 0.0]]))


def test_movement_is_what_small_sgd_steps_accumulate() -> None:
    weight = torch.tensor([1.0, -0.5, 0.2], dtype=torch.float64, requires_grad=True)
    target = torch.tensor([0.2, -1.5, 0.2], dtype=torch.float64)
    before, accumulated, lr = weight.detach().clone(), torch.zeros(3, dtype=torch.float64), 1e-4
    for _ in range(2000):
        (gradient,) = torch.autograd.grad((weight - target).square().sum(), weight)
        accumulated -= lr * weight.detach() * gradient
        weight = (weight - lr * gradient).detach().requires_grad_()
    scores = score(
        "movement",
        SaliencyInputs({"w": weight.detach()}, {"w": before}, no_gradients, 0),
    )
    torch.testing.assert_close(scores["w"], accumulated, rtol=1e-3, atol=1e-6)


def test_random_scores_follow_from_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = score("random", inputs(seed=5))
    torch.manual_seed(2)
    second = score("random", inputs(seed=5))
    other = score("random", inputs(seed=6))
    assert torch.equal(first["a"], second["a"])
    assert not torch.equal(first["a"], other["a"])


def complex_inputs() -> SaliencyInputs:
    generator = torch.Generator().manual_seed(0)
    weight, before, target = (
        torch.randn(3, 4, dtype=torch.complex128, generator=generator) for _ in range(3)
    )

    def gradients() -> dict[str, Tensor]:
        with torch.enable_grad():
            learned = weight.clone().requires_grad_()
            loss = (learned - target).abs().square().sum()
            return dict(zip("w", torch.autograd.grad(loss, learned), strict=True))

    return SaliencyInputs({"w": weight}, {"w": before}, gradients, 0)


def test_the_gradient_saliency_of_a_complex_weight_is_that_of_its_two_parts() -> None:
    given = complex_inputs()
    weight, gradient = given.weights["w"], given.gradients()["w"]
    expected = (weight.real * gradient.real + weight.imag * gradient.imag).abs()
    torch.testing.assert_close(score("gradient", given)["w"], expected)


def test_magnitude_and_movement_of_a_complex_weight_go_by_its_length() -> None:
    given = complex_inputs()
    weight, before = given.weights["w"], given.before["w"]
    torch.testing.assert_close(
        score("magnitude", given)["w"], (weight.real**2 + weight.imag**2).sqrt()
    )
    lengths = [each.real**2 + each.imag**2 for each in (weight, before)]
    torch.testing.assert_close(score("movement", given)["w"], (lengths[0] - lengths[1]) / 2)


@pytest.mark.parametrize("allocation", ["global", "uniform", "lamp", "erk"])
def test_complex_weights_are_allocated_by_their_scores(allocation: str) -> None:
    scores = score("magnitude", complex_inputs())
    alive = {"w": torch.ones(3, 4, dtype=torch.bool)}
    kept = allocate(allocation, Request(scores, alive, sparsity=0.5)).masks["w"]
    assert int(kept.sum()) == 6
    assert scores["w"][kept].min() > scores["w"][~kept].max()


def complex_scores(given: SaliencyInputs) -> dict[str, Tensor]:
    return dict(given.weights)


def test_complex_scores_are_refused() -> None:
    with pytest.raises(UsageError, match="complex scores for layer 'w'"):
        score(f"{__name__}:complex_scores", complex_inputs())


def halved(given: SaliencyInputs) -> dict[str, Tensor]:
    return {layer: weight.abs() / 2 for layer, weight in given.weights.items()}


def wrong_shape(given: SaliencyInputs) -> dict[str, Tensor]:
    return {layer: weight.flatten() for layer, weight in given.weights.items()}


def test_a_users_own_saliency_is_found_by_import_string() -> None:
    assert score(f"{__name__}:halved", inputs())["b"].tolist() == [[1.5, 0.5]]


def test_scores_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="no scores shaped"):
        score(f"{__name__}:wrong_shape", inputs())


def test_scores_that_are_not_finite_are_refused() -> None:
    diverged = SaliencyInputs({"a": torch.tensor([1.0, float("nan")])}, {}, no_gradients, 0)
    with pytest.raises(UsageError, match="not finite for layer 'a'"):
        score("magnitude", diverged)


def test_a_misspelt_saliency_gets_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="Did you mean 'magnitude'"):
        score("magntude", inputs())


def test_wanda_is_the_size_times_the_norm_of_the_input() -> None:
    weight = torch.tensor([[1.0, -2.0], [0.5, 0.0]])
    seen = torch.tensor([[3.0, 1.0], [4.0, 0.0]])
    given = SaliencyInputs(
        {"a": weight}, {}, no_gradients, 0, lambda: {"a": (seen.T @ seen).double()[None]}
    )
    assert score("wanda", given)["a"].tolist() == [[5.0, 2.0], [2.5, 0.0]]


@pytest.mark.parametrize("name", ["wanda", "obs"])
def test_where_there_are_no_inputs_a_saliency_that_needs_them_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no inputs of layers to look at"):
        score(name, inputs())


@pytest.mark.parametrize("name", ["magnitude", f"{__name__}:halved"])
def test_other_saliencies_change_no_weight(name: str) -> None:
    alive = {layer: torch.ones_like(w, dtype=torch.bool) for layer, w in WEIGHTS.items()}
    assert mended(name, inputs(), alive) is None
