"""A LOCAL with its room and one worker's installer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nbsync.local.install import Installer
from nbsync.local.state_dir import Room


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty LOCAL."""
    root = tmp_path / "local"
    root.mkdir()
    return root


@pytest.fixture
def room(root: Path) -> Iterator[Room]:
    """Its room."""
    room = Room(str(root), str(root / ".nbsync"), "run", wait=lambda _: True)
    yield room
    room.close()


@pytest.fixture
def installer(room: Room) -> Iterator[Installer]:
    """One worker's installer."""
    installer = Installer(room)
    yield installer
    installer.close()
