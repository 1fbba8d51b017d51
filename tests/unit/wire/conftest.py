"""The scripted server as a fixture."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from .scripted import Script, Server


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    """`serve(script, …)` starts a Server; what a script asserts is checked at the end of the test."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    servers: list[Server] = []

    def start(*scripts: Script) -> Server:
        servers.append(Server(scripts))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
        if not server.errors.empty():
            raise server.errors.get()
