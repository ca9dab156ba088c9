"""What is wrong with files, in words."""

import pytest
from pydantic import ValidationError

from study.files.problems import Problem, Problems, ProblemWarning, problem_of
from study.records import Event
from study.visible import visible


def test_warnings_show_codes_instead_of_what_a_terminal_would_do() -> None:
    problems = Problems()
    problems["a\x1b]0;owned\x07"] = "is damaged"
    with pytest.warns(ProblemWarning, match=r"a\\u001b\]0;owned\\u0007 is damaged"):
        problems.warn("study")
    assert visible("é‮x\ud800") == "é\\u202ex\\ud800"


def test_a_long_value_is_shortened() -> None:
    with pytest.raises(ValidationError) as caught:
        Event.model_validate({"event": ["x" * 1000]})
    assert problem_of(caught.value) == Problem(
        f"input should be a valid string, but ['{'x' * 58}...", field="event"
    )


def test_what_is_known_of_a_file_is_not_told_twice() -> None:
    problems, others = Problems(), Problems()
    problems.add("f", [Problem("it is nested too deeply")])
    problems.add("f", [Problem("it is nested too deeply"), Problem("it breaks off", line=3)])
    others.add("f", [Problem("it breaks off", line=3)])
    others.add("g", [Problem("it breaks off", line=1)], unit="row")
    problems.join(others)
    assert problems == {
        "f": "is damaged: it is nested too deeply; cannot be read in line 3 (it breaks off)",
        "g": "cannot be read in row 1 (it breaks off)",
    }
