"""Figures as small SVG that is the same each time."""

from __future__ import annotations

import io
import re

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from analysis.reporting.page.document import Figure, as_table

_PLACES = re.compile(r'\b(d|x|y|x1|y1|x2|y2|points|transform)="([^"]*)"')
_LONG = re.compile(r"-?\d+\.\d{2,}")


def figure(finding: str, ax: Axes, data: pd.DataFrame | None = None) -> Figure:
    """Draw axes for a report.

    Parameters
    ----------
    finding
        What the reader should see in it.
    ax
        The drawing.
    data
        What it shows, for a table under it.
    """
    buffer = io.StringIO()
    drawing = ax.get_figure()
    assert isinstance(drawing, Drawing)
    # Text stays text: smaller than outlines, and it can be read aloud and searched.
    with matplotlib.rc_context({"svg.hashsalt": "prune-study", "svg.fonttype": "none"}):
        drawing.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    table = None if data is None else as_table("The data of this figure", data, folded=True)
    return Figure(finding, _smaller(text[text.index("<svg") :]), table)


def _smaller(svg: str) -> str:
    """Places to a tenth of a point, and no indentation."""

    def rounded(match: re.Match[str]) -> str:
        places = _LONG.sub(lambda number: f"{float(number[0]):.1f}", match[2])
        return f'{match[1]}="{" ".join(places.split())}"'

    return re.sub(r"\n\s*", "\n", _PLACES.sub(rounded, svg))
