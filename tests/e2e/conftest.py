"""Fixtures of the end-to-end tests: a bucket on moto with a valve before it, and a real JupyterLab."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.e2e.valve import Valve
from tests.servers import Server


@pytest.fixture(scope="session", autouse=True)
def _children_can_be_interrupted() -> Iterator[None]:
    """A shell starts background jobs with SIGINT ignored, and children inherit that; a handler they do not."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, signal.SIG_IGN)


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
