from typing import Any

import pytest

from study.configuration.loading import load_config
from study.errors import UsageError
from tests.configuration.test_loading import MINIMAL


def test_nothing_is_measured_unless_a_study_says_so() -> None:
    assert load_config(MINIMAL).latency.backend == "none"


def test_a_study_says_what_is_measured_and_how() -> None:
    table = {"backend": "onnxruntime", "batch_size": 8, "threads": 2, "repeats": 20}
    assert load_config({**MINIMAL, "latency": table}).latency.model_dump() == table


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"backend": "onxruntime"}, r"latency\.backend: unknown name.*Did you mean 'onnxruntime'"),
        ({"batch_size": 0}, r"latency\.batch_size: .*not 0"),
        ({"threads": 0}, r"latency\.threads: .*not 0"),
        ({"repeats": 1}, r"latency\.repeats: .*not 1"),
        ({"warm_up": 1}, r"latency\.warm_up: unknown key"),
    ],
)
def test_what_cannot_be_measured_is_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_config({**MINIMAL, "latency": table})
