"""The functional tests' fixtures: a World on moto, and credentials for it in the environment."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nbsync.local import place, state_dir
from nbsync.transfer.small_files import SmallFiles
from tests.functional.memory_world import MemoryWorld
from tests.functional.plain_store import PlainStore
from tests.functional.trap import Trap
from tests.functional.world import World
from tests.servers import Server
from tests.servers.memory import MemoryS3, MemoryServer, reachable


@pytest.fixture
def moto(moto_server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """moto, to which this test's nbsync calls go."""
    for name, value in moto_server.env().items():
        monkeypatch.setenv(name, value)
    return moto_server


@pytest.fixture(scope="session")
def _memory_server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def memory_server(_memory_server: MemoryServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryServer]:
    """The in-memory S3 with nothing in it, to which this test's nbsync calls go."""
    for name, value in _memory_server.env().items():
        monkeypatch.setenv(name, value)
    _memory_server.store.reset()
    with reachable(_memory_server.store):
        yield _memory_server


@pytest.fixture
def memory(memory_server: MemoryServer) -> MemoryS3:
    """What the in-memory S3 holds, and its hooks."""
    return memory_server.store


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """An empty prefix of a new bucket in memory, and a local folder that is not there yet.

    Where a test or its module also asks for `moto`, the bucket is there: `pytest.mark.usefixtures("moto")`.
    """
    if "moto" in request.fixturenames:
        return World(request.getfixturevalue("moto"), tmp_path)
    return MemoryWorld(request.getfixturevalue("memory_server"), tmp_path)


@pytest.fixture
def read_only(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A World whose local folder nbsync may only read: what it keeps is in the user's state directory."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    may_write = place.may_write
    for module in (place, state_dir):
        monkeypatch.setattr(module, "may_write", lambda path: not path.startswith(str(world.local)) and may_write(path))
    return world


@pytest.fixture
def trap() -> Iterator[Trap]:
    """Somebody else's address."""
    made = Trap()
    yield made
    made.close()


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], Any]:
    """A context in which another user, with other secrets, is at work."""

    @contextlib.contextmanager
    def other() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setenv("XDG_STATE_HOME", str(tmp_path / "theirs"))
            yield

    return other


@pytest.fixture
def fill() -> Callable[[World, int], None]:
    """Stores many small objects."""

    def put_many(world: World, count: int) -> None:
        for number in range(count):
            world.put(f"{number:05}", b"%d" % number)

    return put_many


@pytest.fixture(scope="session")
def _plain_store() -> Iterator[PlainStore]:
    made = PlainStore()
    yield made
    made.stop()


@pytest.fixture
def store(_plain_store: PlainStore, monkeypatch: pytest.MonkeyPatch) -> PlainStore:
    """A PlainStore with nothing in it, to which this test's nbsync calls go."""
    settings = {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "y", "ENDPOINT_URL": _plain_store.endpoint_url}
    for name, value in settings.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    _plain_store.reset()
    return _plain_store


@pytest.fixture
def by_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files go to workers too: what a test hooks into is on their way. (test_lane.py tests the other way.)"""
    monkeypatch.setattr(SmallFiles, "takes", lambda _lane, _action: False)
