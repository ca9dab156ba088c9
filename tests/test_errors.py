"""What errors are told as."""

from traceback import format_exc

import pytest

from study.errors import what_was_raised


class Own(Exception):  # noqa: N818  whose name does not end as most do
    pass


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one\ntwo: three"), "ValueError: one"),
        (Own("mine"), "tests.test_errors.Own: mine"),
        (KeyError("x"), "KeyError: 'x'"),
        (AssertionError(), "AssertionError"),
    ],
)
def test_of_a_traceback_the_line_that_names_the_exception(error: Exception, line: str) -> None:
    try:
        try:
            raise RuntimeError("before")
        except RuntimeError:
            raise error  # noqa: B904  a chain, as tracebacks often are
    except Exception:
        assert what_was_raised(format_exc()) == line


def test_of_rays_own_text_the_line_too() -> None:
    said = (
        "Failure # 1 (occurred at 2026-01-01_00-00-00)\n"
        "OutOfMemoryError: 2 worker(s) were killed due to the node running low on memory.\n"
        "OOM kill reason: Memory usage exceeded threshold\n\nRefer to the documentation on how"
    )
    assert what_was_raised(said).startswith("OutOfMemoryError: 2 worker(s) were killed")
