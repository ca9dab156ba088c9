"""How important each weight is. Higher = keep.

A saliency knows nothing of layers' budgets, rounds or schedules. To add one, write a function
``(SaliencyInputs) -> {layer: scores}`` and name it in the plan, by import string or through the
entry-point group ``prune_study.saliencies``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from study.errors import UsageError
from study.plugins import resolve
from study.pruning.seeds import derive_seed
from study.pruning.selection.input_products import by_group
from study.pruning.selection.optimal_brain_surgeon import obs_mask, obs_scores, obs_weights


def _no_inputs() -> Mapping[str, Tensor]:
    raise UsageError("saliency: there are no inputs of layers to look at here; use magnitude")


@dataclass(frozen=True, eq=False)
class SaliencyInputs:
    """What a saliency may look at.

    Parameters
    ----------
    weights
        The weights by layer, as trained so far.
    before
        The same weights at the start of the training that came before this cut: the initial
        weights before the first cut, afterwards what the last cut and rewind left.
    gradients
        Computes the gradient of the training loss by layer, averaged over a few batches; only a
        saliency that calls it pays for it (the pipeline charges the examples seen).
    seed
        For scores that are drawn.
    input_products
        Computes the sum of ``x x^T`` by layer over what it is given in a few batches, float64,
        shape (groups, inputs, inputs); for Linear and Conv2d, whose inputs are patches. Charged
        like gradients.
    """

    weights: Mapping[str, Tensor]
    before: Mapping[str, Tensor]
    gradients: Callable[[], Mapping[str, Tensor]]
    seed: int
    input_products: Callable[[], Mapping[str, Tensor]] = _no_inputs


Saliency = Callable[[SaliencyInputs], dict[str, Tensor]]


def magnitude(inputs: SaliencyInputs) -> dict[str, Tensor]:
    """Absolute value of the weight: ``|w|`` (Han et al. 2015)."""
    return {layer: weight.abs() for layer, weight in inputs.weights.items()}


def random(inputs: SaliencyInputs) -> dict[str, Tensor]:
    """Uniform noise: the control that any other saliency must beat.

    Drawn on the CPU, so that the scores are the same on every device.
    """
    return {
        layer: torch.rand(
            weight.shape,
            generator=torch.Generator().manual_seed(derive_seed(inputs.seed, layer)),
        ).to(weight.device)
        for layer, weight in inputs.weights.items()
    }


def gradient(inputs: SaliencyInputs) -> dict[str, Tensor]:
    """Change of the loss when the weight is taken away, to first order: ``|w * dL/dw|``.

    References
    ----------
    Lee et al. 2019, "SNIP", equation 5 (without its normalisation, which changes no rank).
    """
    gradients = inputs.gradients()
    # Of a complex weight autograd's gradient is conjugated: the change is the real part of the
    # product with its conjugate.
    changes = {layer: w * gradients[layer].conj() for layer, w in inputs.weights.items()}
    return {layer: (c.real if c.is_complex() else c).abs() for layer, c in changes.items()}


def movement(inputs: SaliencyInputs) -> dict[str, Tensor]:
    """How far training moved the weight away from zero: ``(w ** 2 - w_before ** 2) / 2``.

    Movement pruning accumulates ``-lr * w * dL/dw`` over the steps of training. Under plain
    gradient descent (SGD with small steps, without momentum or weight decay) a step is
    ``-lr * dL/dw``, so that the sum is this difference, and no bookkeeping in the training loop is
    needed. With any other optimizer it is another score: how far the weight itself moved, and not
    what its gradients add up to. Under Adam, which divides by each gradient's size, the weights
    that the two would keep were measured to overlap by .76 only. Scores of weights that shrank are
    negative.

    References
    ----------
    Sanh et al. 2020, "Movement Pruning", equation 2.
    """
    return {
        layer: (weight.abs().square() - inputs.before[layer].abs().square()) / 2
        for layer, weight in inputs.weights.items()
    }


def wanda(inputs: SaliencyInputs) -> dict[str, Tensor]:
    """Size of the weight times the 2-norm of the input that it is multiplied with.

    Of weights of one output; compare them so, with allocation ``per_output``.

    References
    ----------
    Sun et al. 2024, "A Simple and Effective Pruning Approach for Large Language Models",
    equation 1.
    """
    scores = {}
    for layer, products in inputs.input_products().items():
        weight = inputs.weights[layer]
        norms = products.diagonal(dim1=-2, dim2=-1).sqrt()
        scores[layer] = (by_group(weight.abs(), products) * norms[:, None, :]).reshape(weight.shape)
    return scores


def obs(inputs: SaliencyInputs) -> dict[str, Tensor]:
    """Squared change of the layer's outputs if the others make up for the weight.

    Where the allocation gives each layer its number, which weights stay is chosen as SparseGPT
    does it, while others make up for those that went (:func:`chosen_anew`); rankings over layers
    go by this score. After the cut they make up for it (:func:`mended`), in what retraining begins
    with: under
    ``weight_rewind`` and ``reinit``, which take other weights, only the masks are left of it.

    References
    ----------
    Frantar & Alistarh 2023, "SparseGPT: Massive Language Models Can Be Accurately Pruned in
    One-Shot"; Hassibi & Stork 1993, "Optimal Brain Surgeon".
    """
    products = inputs.input_products()
    return {layer: obs_scores(weight, products[layer]) for layer, weight in inputs.weights.items()}


LOOKS_AT_INPUTS = ("wanda", "obs")
"""Saliencies that need to know what layers are given."""


SALIENCIES: dict[str, Saliency] = {
    "magnitude": magnitude,
    "random": random,
    "gradient": gradient,
    "movement": movement,
    "wanda": wanda,
    "obs": obs,
}


@torch.no_grad()
def score(name: str, inputs: SaliencyInputs) -> dict[str, Tensor]:
    """Scores of every weight by layer, each shaped like its weight and finite.

    Parameters
    ----------
    name
        A name of :data:`SALIENCIES`, an entry point, or an import string.
    inputs
        What the saliency may look at.

    Raises
    ------
    UsageError
        If the name is unknown, or the scores of some layer are missing, misshapen or not finite.
    """
    scores: dict[str, Tensor] = resolve("saliency", name, SALIENCIES)(inputs)
    for layer, weight in inputs.weights.items():
        if layer not in scores or scores[layer].shape != weight.shape:
            raise UsageError(
                f"saliency {name!r} gave no scores shaped {tuple(weight.shape)} for layer {layer!r}"
            )
        if scores[layer].is_complex():
            raise UsageError(f"saliency {name!r} gave complex scores for layer {layer!r}")
        if not bool(torch.isfinite(scores[layer]).all()):
            raise UsageError(
                f"saliency {name!r} gave scores that are not finite for layer {layer!r}: "
                "the weights or gradients have diverged"
            )
    return {layer: scores[layer] for layer in inputs.weights}


@torch.no_grad()
def chosen_anew(
    name: str, inputs: SaliencyInputs, alive: Mapping[str, Tensor], cut: Mapping[str, Tensor]
) -> dict[str, Tensor] | None:
    """Masks of as many weights of each layer, chosen by a saliency that does so as it mends.

    For allocations by which each layer has its number, whatever the scores of others.

    Parameters
    ----------
    name
        The saliency of the cut.
    inputs
        What it looked at.
    alive, cut
        Bool masks by layer, before the cut and after it.

    Returns
    -------
    dict or None
        Masks of the layers of ``cut``; None of any saliency but ``obs``.
    """
    if name != "obs":
        return None
    products = inputs.input_products()
    return {
        layer: obs_mask(inputs.weights[layer], alive[layer], int(mask.sum()), products[layer])
        for layer, mask in cut.items()
    }


@torch.no_grad()
def mended(
    name: str, inputs: SaliencyInputs, masks: Mapping[str, Tensor]
) -> dict[str, Tensor] | None:
    """Weights that make up for those that masks drop.

    Parameters
    ----------
    name
        The saliency of the cut.
    inputs
        What it looked at.
    masks
        Bool masks by layer, after the cut.

    Returns
    -------
    dict or None
        New weights by layer, zero where masked; None of a saliency that changes no weight, which
        is any but ``obs``.
    """
    if name != "obs":
        return None
    products = inputs.input_products()
    return {
        layer: obs_weights(weight, masks[layer], products[layer])
        for layer, weight in inputs.weights.items()
    }
