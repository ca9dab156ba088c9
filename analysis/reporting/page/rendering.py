"""A report as HTML that needs no network and no script, and as Markdown."""

from __future__ import annotations

import itertools
import re

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from analysis.reporting.page.document import Figure, Report, Table
from study.visible import visible

_IDS = re.compile(r'(\bid="|url\(#|href="#)')


def to_html(report: Report) -> str:
    """One file with its figures inside."""
    environment = Environment(
        loader=PackageLoader("analysis"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    numbers = itertools.count(1)

    def drawing(figure: Figure, number: int) -> Markup:
        """The figure with names of its own: many in one page must not share them."""
        own = _IDS.sub(rf"\g<1>f{number}-", figure.svg)
        # The file's own markup, made by matplotlib, which escapes all text in it.
        return Markup(own.replace("<svg", f'<svg role="img" aria-labelledby="caption-{number}"', 1))

    environment.globals.update(drawing=drawing, next_number=lambda: next(numbers))
    return environment.get_template("report.html").render(report=report)


def _shown(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def to_markdown(report: Report) -> str:
    """Words and open tables, for a pull request."""
    parts = [f"# {_plain(report.name)}", _plain(report.subtitle)]
    for section in report.sections:
        if section.anchor == "appendix":
            continue
        parts.append(f"## {section.title}")
        parts += [_plain(sentence) for sentence in section.sentences]
        parts += [
            f"- **{_plain(card.value)}** {_plain(card.label)}: {_plain('; '.join(card.notes))}"
            for card in section.cards
        ]
        parts += [_plain(figure.finding) for figure in section.figures]
        parts += [_markdown_table(table) for table in section.tables if not table.folded]
        parts += [f"> {_plain(sentence)}" for sentence in section.missing]
    return "\n\n".join(parts) + "\n"


def _markdown_table(table: Table) -> str:
    lines = [table.columns, ["---"] * len(table.columns), *table.rows]
    return "\n".join("| " + " | ".join(map(_plain, line)) + " |" for line in lines)


def _plain(text: str) -> str:
    """Text in which nothing is markup."""
    escaped = re.sub(r"([\\`*_\[\]<>|])", r"\\\1", visible(text))
    return escaped.replace("\n", " ")
