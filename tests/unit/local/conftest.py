"""A LOCAL with its room and one worker's installer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nbsync.local.install import Installer
from nbsync.local.state_dir import StateDir


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty LOCAL."""
    root = tmp_path / "local"
    root.mkdir()
    return root


@pytest.fixture
def state_dir(root: Path) -> Iterator[StateDir]:
    """Its room."""
    state_dir = StateDir(str(root), str(root / ".nbsync"), "run", wait=lambda _: True)
    yield state_dir
    state_dir.close()


@pytest.fixture
def installer(state_dir: StateDir) -> Iterator[Installer]:
    """One worker's installer."""
    installer = Installer(state_dir)
    yield installer
    installer.close()
