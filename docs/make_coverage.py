"""Writes coverage.md's table from the checks of the zoo that it is about.

Run it after a change to models, checks or what is supported: ``python docs/make_coverage.py``. It
takes a few minutes, most of them for ONNX, and stops where a check finds a fault. Rows of models
whose package is missing stay as they are, and it says so.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.zoo.checks import CHECKS, outcome, staying
from tests.zoo.models import ZOO
from tests.zoo.table import PAGE, cells_of, page, reasons_of, versions

if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    before = PAGE.read_text()
    cells, reasons = {}, {}
    for model, entry in ZOO.items():
        if entry.is_here:
            cells |= {(model, check): outcome(model, check) for check in CHECKS}
            reasons[model] = staying(model)
            continue
        own = {check: cells_of(before).get((model, check)) for check in CHECKS}
        if None in own.values():
            sys.exit(f"{model!r} needs {entry.needs}: pip install 'prune-study[zoo]'")
        cells |= {(model, check): str(cell) for check, cell in own.items()}
        reasons[model] = reasons_of(before, model)
        print(f"{model!r} stays as it is: {entry.needs} is missing", file=sys.stderr)
    PAGE.write_text(page(before, cells, reasons, versions(before)))
