"""What is timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True, eq=False)
class Job:
    """A network, a batch as it takes it, and ``run(network, inputs)``, which gives its outputs."""

    network: nn.Module
    inputs: Any
    run: Callable[[nn.Module, Any], Any]
