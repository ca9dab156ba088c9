"""The table of docs/coverage.md is what the checks find: a cell, a test."""

from itertools import product

import pytest

from tests.zoo.checks import CHECKS, outcome, staying
from tests.zoo.models import ZOO
from tests.zoo.table import PAGE, cells_of, page, told, told_of

TEXT = PAGE.read_text()
CELLS = cells_of(TEXT)


@pytest.mark.parametrize(("model", "check"), list(product(ZOO, CHECKS)))
def test_a_cell_of_the_table_is_what_the_check_finds(model: str, check: str) -> None:
    assert outcome(model, check) == CELLS.get((model, check))
    if check == "channels":
        assert told(staying(model)) == told_of(TEXT, model)


def test_the_table_has_a_cell_for_each_model_and_each_check_and_no_other() -> None:
    assert list(CELLS) == list(product(ZOO, CHECKS))


def test_a_page_is_read_as_it_was_written() -> None:
    cells = {("a | b", "one"): "yes (3)", ("a | b", "two"): "no: x | y"}
    reasons = {"a | b": {"first": "for: this", "second": "that", "third": "for: this"}}
    text = page(TEXT, cells, reasons)
    assert cells_of(text) == cells
    assert told_of(text, "a | b") == ["`first`, `third`: for: this", "`second`: that"]
    assert page(text, cells, reasons) == text
