"""A World behind the fault proxy, and a back-off that is seen instead of waited for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nbsync.engine.run import Run
from nbsync.transfer import multipart, upload
from tests.faults.world import FaultyWorld
from tests.servers import Server
from tests.servers.proxy import Proxy

MiB = 1024 * 1024
PART_BYTES = 5 * MiB  # the smallest that S3 takes


@pytest.fixture(scope="session", params=["moto", "rgw"])
def server(request: pytest.FixtureRequest) -> Server:
    """The servers that faults are tried on: one that is near at hand, and one that checks what it is sent."""
    started: Server = request.getfixturevalue(f"{request.param}_server")
    return started


@pytest.fixture
def world(moto_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyWorld]:
    """A World on moto."""
    yield from _behind_a_proxy(moto_server, tmp_path, monkeypatch)


@pytest.fixture
def any_world(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyWorld]:
    """A World on each of the servers."""
    yield from _behind_a_proxy(server, tmp_path, monkeypatch)


def _behind_a_proxy(server: Server, base: Path, patch: pytest.MonkeyPatch) -> Iterator[FaultyWorld]:
    with Proxy(server.endpoint_url) as proxy:
        for name, value in {**server.env(), "AWS_ENDPOINT_URL": proxy.url}.items():
            patch.setenv(name, value)
        yield FaultyWorld(server, base, proxy)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that runs wanted to wait; none is waited."""
    asked: list[float] = []

    def wait(run: Run, seconds: float) -> bool:
        asked.append(seconds)
        return run.cancel.is_set()

    monkeypatch.setattr(Run, "wait", wait)
    return asked


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is large is large at 6 MiB: large files that are quick to make."""
    monkeypatch.setattr(multipart, "PART_BYTES", PART_BYTES)
    monkeypatch.setattr(upload, "MULTIPART_BYTES", PART_BYTES)


@pytest.fixture
def rgw_world(rgw_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyWorld]:
    """A World on RGW."""
    yield from _behind_a_proxy(rgw_server, tmp_path, monkeypatch)
