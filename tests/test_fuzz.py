"""A few damaged folders of the generator of thousands: see ``python -m benchmarks.fuzz``."""

from pathlib import Path

import pytest

from benchmarks.fuzz.folders import fuzz
from benchmarks.fuzz.tally import Tally

pytestmark = pytest.mark.slow


@pytest.mark.filterwarnings("default")
def test_no_damaged_folder_ends_in_a_traceback_a_hang_or_silence(small_study: Path) -> None:
    tally = Tally()
    fuzz(small_study, count=60, seed=0, tally=tally, per_folder=1, dear=10**6)
    assert not tally.examples, "\n\n".join(tally.examples)
    assert tally.cases == 60
    assert tally.codes[0] > 30
    assert tally.codes[2] > 5
