"""The panel's notebook: it runs from top to bottom, and what is committed is what such a run leaves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.e2e.helpers import ROOT, code_cells
from tests.e2e.notebooks import assert_clean, bundles, executed, shape

NOTEBOOK = ROOT / "notebooks" / "02_panel.ipynb"
VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The notebook run anew in an empty folder; any error of a cell is raised here."""
    return executed(NOTEBOOK, tmp_path_factory.mktemp("panel"))


@pytest.fixture(scope="module")
def committed() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.mark.parametrize("which", ["fresh", "committed"])
def test_the_panel_stays_as_a_table(which: str, request: pytest.FixtureRequest) -> None:
    notebook = request.getfixturevalue(which)
    shown = bundles(notebook)
    (widget,) = [data for data in shown if VIEW in data]
    assert "text/html" not in widget
    (table,) = [data for data in shown if "nbsync-saved" in data.get("text/html", "")]
    assert "2 miss" in table["text/plain"], "the last apply, not the first plan"
    assert "archive/radar.bin" in table["text/html"]
    texts = [data["text/plain"] for data in shown]
    assert any("'planned'" in text and "'download': 20" in text for text in texts)
    assert any("1 conflict" in text for text in texts)
    assert any("changed in REMOTE since the plan" in text for text in texts)
    assert any(text == "['archive/radar.bin', 'stations/2024/forest.csv']" for text in texts)
    assert any("['applying', 'done']" in text for text in texts)
    assert any("'miss': 24" in text for text in texts)


def test_no_cell_prints_anything_else(fresh: Any) -> None:
    kinds = {output["output_type"] for cell in code_cells(fresh) for output in cell["outputs"]}
    assert kinds == {"display_data", "execute_result"}


def test_the_committed_outputs_are_those_of_a_fresh_run(fresh: Any, committed: Any) -> None:
    assert shape(committed) == shape(fresh)


def test_the_committed_file_is_clean() -> None:
    assert_clean(NOTEBOOK)


def test_nbconvert_shows_the_table(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--output-dir", str(tmp_path), str(NOTEBOOK)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "02_panel.html").read_text(encoding="utf-8")
    assert page.count('class="nbsync-saved') == 1
    assert "archive/radar.bin" in page
