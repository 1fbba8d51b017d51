"""`store`: nbsync's way to a new bucket, on each server in turn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.store import Store
from tests.servers import Server


@pytest.fixture
def store(server: Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A new bucket with the environment that reaches it."""
    for name, value in server.env().items():
        monkeypatch.setenv(name, value)
    made = Store(server, bucket, tmp_path / "local")
    yield made
    made.close()
