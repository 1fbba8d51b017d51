"""Fixtures of the faces' tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from nbsync.ui import magic


@pytest.fixture
def shell() -> Iterator[Any]:
    """A shell with the extension loaded; `kernel` makes it a notebook's."""
    InteractiveShell.clear_instance()
    made = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    made.kernel = object()
    magic.load_ipython_extension(made)
    yield made
    magic.unload_ipython_extension(made)
    InteractiveShell.clear_instance()
