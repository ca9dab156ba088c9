"""The table of docs/coverage.md is what the checks find: a cell, a test."""

import re
from dataclasses import replace
from importlib.util import find_spec
from itertools import product

import pytest
import torch

from tests.zoo.checks import CHECKS, outcome, staying
from tests.zoo.models import ZOO
from tests.zoo.table import (
    EXPORTED,
    PACKAGES,
    PAGE,
    cells_of,
    page,
    reasons_of,
    told,
    told_of,
    versions,
)

TEXT = PAGE.read_text()
CELLS = cells_of(TEXT)
AGAIN = [(m, c) for m, c in product(ZOO, CHECKS) if c != "ONNX" or m in EXPORTED]


@pytest.mark.parametrize(("model", "check"), AGAIN)
def test_a_cell_of_the_table_is_what_the_check_finds(model: str, check: str) -> None:
    if not ZOO[model].is_here:
        pytest.skip(f"{ZOO[model].needs} is not installed")
    assert outcome(model, check) == CELLS.get((model, check))
    if check == "channels":
        assert told(staying(model)) == told_of(TEXT, model)


def test_what_is_exported_again_are_models_of_the_table() -> None:
    assert set(EXPORTED) <= set(ZOO)


def test_the_page_says_which_run_it_is_of() -> None:
    (written,) = re.findall(r"^Written by .*$", TEXT, re.MULTILINE)
    assert re.findall(r"([\w-]+) \d[\d.]*[,.]", written) == list(PACKAGES)
    (again,) = re.findall(r"^The tests run .* only those of (.*)\.$", TEXT, re.MULTILINE)
    assert tuple(again.split(", ")) == EXPORTED


def test_a_package_that_is_missing_keeps_the_version_that_the_page_names() -> None:
    found = versions("with torch 1.0.1, timm 9.8.7, and so on")
    assert found["torch"] == torch.__version__.partition("+")[0]
    assert find_spec("timm") is not None or found["timm"] == "9.8.7"
    assert find_spec("timm") is not None or versions("with timm 9.8.7.\n")["timm"] == "9.8.7"
    assert find_spec("timm") is not None or versions("")["timm"] == "missing"


def test_the_table_has_a_cell_for_each_model_and_each_check_and_no_other() -> None:
    assert list(CELLS) == list(product(ZOO, CHECKS))


def test_a_page_is_read_as_it_was_written() -> None:
    cells = {("a | b", "one"): "yes (3)", ("a | b", "two"): "no: x | y"}
    reasons = {"a | b": {"first": "for: this", "second": "that", "third": "for: this"}}
    by = {"torch": "1.0"}
    text = page(TEXT, cells, reasons, by)
    assert cells_of(text) == cells
    assert told_of(text, "a | b") == ["`first`, `third`: for: this", "`second`: that"]
    assert reasons_of(text, "a | b") == reasons["a | b"]
    assert page(text, cells, {"a | b": reasons_of(text, "a | b")}, by) == text


def test_models_of_a_package_that_is_missing_are_left_out() -> None:
    entry = ZOO["Linear"]
    assert entry.is_here
    assert not replace(entry, needs="no_such_package").is_here
    assert replace(entry, needs="torch").is_here
