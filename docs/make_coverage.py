"""Writes coverage.md's table from the checks of the zoo that it is about.

Run it after a change to models, checks or what is supported: ``python docs/make_coverage.py``. It
takes a minute, and stops where a check finds a fault.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.zoo.checks import CHECKS, outcome, staying
from tests.zoo.models import ZOO
from tests.zoo.table import PAGE, page

if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    cells = {(model, check): outcome(model, check) for model in ZOO for check in CHECKS}
    PAGE.write_text(page(PAGE.read_text(), cells, {model: staying(model) for model in ZOO}))
