"""The quickstart notebook: it runs from top to bottom, and the committed outputs are those of such a run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.e2e.helpers import QUICKSTART, code_cells
from tests.e2e.notebooks import assert_clean, bundles, shape
from tests.e2e.notebooks import executed as run_anew

COUNTS = [
    "24 miss",
    "24 hit",
    "1 miss · 23 hit",
    "1 planned · 23 hit",
    "1 miss · 23 hit",
    "8 miss",
    "17 miss",
    "4 miss",
]


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The notebook run anew in an empty folder."""
    return run_anew(QUICKSTART, tmp_path_factory.mktemp("quickstart"))


@pytest.fixture(scope="module")
def committed() -> Any:
    return nbformat.read(QUICKSTART, as_version=4)


def tables(notebook: Any) -> list[Any]:
    """Those of the outputs that are nbsync's tables."""
    found = [data for data in bundles(notebook) if "<table" in data.get("text/html", "")]
    return [data for data in found if not data["text/plain"].startswith("2 commands")]


@pytest.mark.parametrize("which", ["executed", "committed"])
def test_every_table_says_what_happened(which: str, request: pytest.FixtureRequest) -> None:
    shown = tables(request.getfixturevalue(which))
    assert [data["text/plain"].splitlines()[2].strip() for data in shown] == COUNTS
    for data, counts in zip(shown, COUNTS, strict=True):
        assert "✓" in data["text/plain"].splitlines()[1]
        for chip in counts.split(" · "):
            assert f">{chip}<" in data["text/html"], "the HTML says the same"
    first, again = shown[0]["text/plain"], shown[1]["text/plain"]
    assert "1 LIST 24 GET" in first
    assert "stations/2024/forest.csv" in first
    assert again.splitlines()[1].endswith("1 LIST"), "a re-run sends one LIST and nothing else"
    assert "content differs" in shown[2]["text/plain"]
    assert "planned upload" in shown[3]["text/plain"]


def test_no_cell_prints_anything_else(executed: Any) -> None:
    kinds = {output["output_type"] for cell in code_cells(executed) for output in cell["outputs"]}
    assert kinds == {"display_data", "execute_result"}


def test_the_committed_outputs_are_those_of_a_fresh_run(executed: Any, committed: Any) -> None:
    assert shape(committed) == shape(executed)


def test_the_committed_file_is_clean() -> None:
    assert_clean(QUICKSTART)


def test_nbconvert_shows_the_tables(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--output-dir", str(tmp_path), str(QUICKSTART)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "01_quickstart.html").read_text(encoding="utf-8")
    assert page.count('<b style="font-weight:600">') >= len(COUNTS)
    for chip in ("24 miss", "24 hit", "1 planned"):
        assert f">{chip}<" in page
