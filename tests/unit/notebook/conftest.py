"""Fixtures of the faces' tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nbsync.notebook import magic
from nbsync.notebook.tables import Lines, Tables
from tests.shells import new_shell


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A shell with the extension loaded; `kernel` makes it a notebook's. It knows of no other test's syncs."""
    monkeypatch.setattr(magic, "TABLES", Tables())
    monkeypatch.setattr(magic, "LINES", Lines())
    with new_shell() as made:
        made.kernel = object()
        magic.load_ipython_extension(made)
        yield made
        magic.unload_ipython_extension(made)
