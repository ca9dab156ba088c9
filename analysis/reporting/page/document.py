"""What a report is made of, before it is HTML, Markdown or JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Table:
    """Cells as they are shown.

    Parameters
    ----------
    caption
        What the rows are.
    columns, rows
        Headings, and a list of cells a row.
    folded
        Whether the reader unfolds it.
    words
        Whether the cells are sentences and not figures.
    """

    caption: str
    columns: list[str]
    rows: list[list[str]]
    folded: bool = False
    words: bool = False


@dataclass(frozen=True)
class Figure:
    """A drawing, what the reader should see in it, and its data."""

    finding: str
    svg: str
    data: Table | None = None


@dataclass(frozen=True)
class Card:
    """A figure that stands alone, such as a compression ratio."""

    value: str
    label: str
    notes: list[str]


@dataclass(frozen=True)
class Section:
    """One question and its answer.

    Parameters
    ----------
    anchor
        Its name in links.
    title
        The heading.
    sentences
        The answer, in words.
    cards, figures, tables
        What shows it.
    missing
        What the study does not say, and how to get it.
    code
        Text to show as it is, with its title.
    """

    anchor: str
    title: str
    sentences: Sequence[str] = ()
    cards: Sequence[Card] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    missing: Sequence[str] = ()
    code: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Report:
    """A whole report."""

    name: str
    subtitle: str
    sections: Sequence[Section]
    summary: dict[str, Any] = field(default_factory=dict)


def as_table(
    caption: str, frame: pd.DataFrame, *, folded: bool = False, words: bool = False
) -> Table:
    """A frame with its cells as text."""
    rows: Iterable[tuple[Any, ...]] = frame.itertuples(index=False, name=None)
    cells = [[text_of(value) for value in row] for row in rows]
    names = [str(name).replace("_", " ") for name in frame.columns]
    return Table(caption, names, cells, folded, words)


def text_of(value: Any) -> str:
    """A cell: four significant digits, and nothing for what is not known."""
    if value is None or value is pd.NA or value is pd.NaT:
        return ""
    if isinstance(value, float):
        return "" if value != value else f"{value if abs(value) > 1e-12 else 0.0:.4g}"
    return str(value)


def count(number: int, noun: str) -> str:
    """A number and its noun."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
