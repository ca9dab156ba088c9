"""The notebooks in ``examples/`` run from their first cell to their last."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[2] / "examples"

NOTEBOOKS = ("which_layers.ipynb", "which_schedule.ipynb")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_and_shows_every_figure(
    small_study: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDY", str(small_study))
    notebook = nbformat.read(EXAMPLES / name, as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(EXAMPLES))
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    figures = [output for output in outputs if "image/png" in output.get("data", {})]
    code = "".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert len(figures) == code.count("analysis.plot_")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_kept_without_its_outputs(name: str) -> None:
    cells = nbformat.read(EXAMPLES / name, as_version=4).cells
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
