"""A few bad study files and damaged folders of thousands: see ``python -m benchmarks.fuzz``."""

from pathlib import Path

import pytest

from benchmarks.fuzz import folders, study_files
from benchmarks.fuzz.study_texts import BAD, EITHER, GOOD, cases
from benchmarks.fuzz.tally import Tally

pytestmark = pytest.mark.slow


@pytest.mark.filterwarnings("default")
def test_no_damaged_folder_ends_in_a_traceback_a_hang_or_silence(small_study: Path) -> None:
    tally = Tally()
    folders.fuzz(small_study, count=60, seed=0, tally=tally, per_folder=1, dear=10**6)
    assert not tally.examples, "\n\n".join(tally.examples)
    assert tally.cases == 60
    assert tally.codes[0] > 30
    assert tally.codes[2] > 5


@pytest.mark.filterwarnings("default")
def test_bad_study_files_are_refused_by_name_and_right_ones_taken() -> None:
    # What is timed takes as long as others keep the machine busy: by the hundred alone.
    drawn = [case for case in cases(44, seed=5) if "latency" not in case.kind]
    tally = Tally()
    study_files.fuzz(drawn, tally)
    assert not tally.examples, "\n\n".join(tally.examples)
    verdicts = [case.verdict for case in drawn]
    assert verdicts.count(BAD) > 20
    assert verdicts.count(GOOD) > 5
    assert tally.codes[2] - verdicts.count(BAD) <= verdicts.count(EITHER)
