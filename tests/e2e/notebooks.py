"""What the tests of the committed notebooks share: a run in an empty folder, and what its outputs say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbclient
import nbformat

from nbsync.demo.server import CREDENTIALS
from tests.e2e.helpers import ROOT, code_cells

_MACHINE_PATHS = (str(ROOT), "/tmp", "/home", "/root", "/Users", "/var", "127.0.0.1", "localhost")
# What changes from run to run, in the text of an output.
_VARIES = [(re.compile(r"\d+(\.\d+)? s\b"), "N s"), (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "THEN")]


def executed(path: Path, folder: Path) -> Any:
    """The notebook run anew in an empty folder; any error of a cell is raised here."""
    notebook = nbformat.read(path, as_version=4)
    for cell in code_cells(notebook):
        cell["outputs"] = []
    resources = {"metadata": {"path": str(folder)}}
    return nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3", resources=resources).execute()


def bundles(notebook: Any) -> list[Any]:
    """The data of every output of every code cell, in order."""
    return [output["data"] for cell in code_cells(notebook) for output in cell["outputs"] if "data" in output]


def shape(notebook: Any) -> list[str]:
    """The text of every output, without what differs from run to run."""
    outputs = [output for cell in code_cells(notebook) for output in cell["outputs"]]
    texts = [output["data"]["text/plain"] if "data" in output else output["text"] for output in outputs]
    for pattern, word in _VARIES:
        texts = [pattern.sub(word, text) for text in texts]
    return texts


def assert_clean(path: Path) -> None:
    """The committed file is small, was run, and holds nothing of this machine or of an account."""
    text = path.read_text(encoding="utf-8")
    assert len(text) < 1_000_000
    secrets = [CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"], "AKIA"]
    for unwanted in (*secrets, *_MACHINE_PATHS, "Traceback", "\x1b"):
        assert unwanted not in text, unwanted
    for cell in code_cells(nbformat.reads(text, as_version=4)):
        assert isinstance(cell["execution_count"], int), "a cell was not run"
