"""Fixtures of the end-to-end tests: a bucket on moto with a valve before it, and a real JupyterLab."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.valve import Valve
from tests.servers import Server


@pytest.fixture
def store(moto_server: Server) -> str:
    """A new, empty bucket on moto."""
    return moto_server.new_bucket()


@pytest.fixture
def valve(moto_server: Server) -> Iterator[Valve]:
    """A valve in front of moto, open at first."""
    started = Valve(moto_server.endpoint_url)
    yield started
    started.stop()
