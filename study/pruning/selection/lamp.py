"""How much of its layer a weight is: scores that compare weights of different layers."""

from __future__ import annotations

import torch
from torch import Tensor

from study.errors import UsageError


def lamp_scores(saliency: Tensor, alive: Tensor) -> Tensor:
    """LAMP score of every weight that is alive, float64; zero elsewhere.

    Squares are summed from the largest down, in float64: subtracting from a grand total instead
    loses the small weights of a large layer.
    """
    if bool((saliency[alive] < 0).any()):
        raise UsageError("allocation lamp needs a saliency that is never negative")
    flat = torch.where(alive, saliency.double(), -1.0).flatten()
    order = flat.argsort(descending=True, stable=True)
    squares = flat[order].clamp_min(0).square()
    no_lower = squares.cumsum(0)
    scores = torch.zeros_like(flat)
    scores[order] = torch.where(no_lower > 0, squares / no_lower.clamp_min(1e-300), 0.0)
    return scores.view_as(saliency)
