"""What is found out before a study begins."""

from pathlib import Path

import pytest

from study.configuration.loading import load_config
from study.errors import UsageError
from study.tuning.preparing import prepare
from tests.conftest import SMALL


@pytest.mark.parametrize(
    ("course", "message"),
    [("cosin", "Did you mean 'cosine'"), ("nowhere:course", "no module named 'nowhere'")],
)
def test_a_course_of_retraining_that_there_is_not_is_refused(
    course: str, message: str, tmp_path: Path
) -> None:
    space = {**SMALL["space"], "retrain_lr_schedule": ["constant", course]}
    config = load_config({**SMALL, "space": space, "study": {"storage_path": str(tmp_path)}})
    with pytest.raises(UsageError, match=message):
        prepare(config)
