"""``.pt2``: the graph of ``torch.export``, which torch loads without the model's code."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from study.exporting.capturing import Captured, quiet_exporters
from study.exporting.interface import Interface, tensors_of
from study.exporting.parity import Run

METADATA_FILE = "prune_study.json"
"""Among the extra files of a .pt2: where the network is from."""


def to_program(captured: Captured, metadata: Mapping[str, str]) -> bytes:
    """Write a network as a program of ``torch.export``."""
    file = io.BytesIO()
    with quiet_exporters():
        torch.export.save(
            captured.program, file, extra_files={METADATA_FILE: json.dumps(dict(metadata))}
        )
    return file.getvalue()


def program_runner(data: bytes, interface: Interface) -> Run:
    """What runs a program, loaded from its bytes."""
    with quiet_exporters():
        module = torch.export.load(io.BytesIO(data)).module()

    def run(inputs: Any) -> list[Tensor]:
        args, kwargs = interface.arguments(inputs)
        with torch.no_grad():
            return tensors_of(module(*args, **kwargs))

    return run
