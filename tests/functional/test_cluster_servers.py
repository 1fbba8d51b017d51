"""What workers do on each kind of server: other processes, with their own connections and what they learn of it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from nbsync.cluster.shared import batches
from tests.functional.world import World
from tests.servers import Server

pytestmark = pytest.mark.usefixtures("moto")  # workers are processes

MiB = 1 << 20
STRANGE = (
    "a b",
    "plus+and%20",
    "émigré",
    "emoji-\U0001f600",
    "quote\"'",
    "<script>",
    "$x^2$",
    "-dash",
    "tilde~",
    "a/b/c/d",
)


@pytest.fixture
def world(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    for name, value in server.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(batches, "_FIRST", 2 * batches.FILE_COST)
    monkeypatch.setattr(batches, "_LEAST", 2 * batches.FILE_COST)
    return World(server, tmp_path)


@pytest.fixture
def pool(world: World) -> Iterator[ProcessPoolExecutor]:
    """Two processes of this world's environment."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as made:
        yield made


def test_both_ways_are_as_planned(world: World, pool: ProcessPoolExecutor) -> None:
    for number, path in enumerate(STRANGE):
        world.write(path, path.encode() * number * 1000)
    world.write("large", b"l" * (20 * MiB))
    pushed = world.push(executor=pool)
    assert all(row.worker for row in pushed if row.status == "miss")
    for path in (*STRANGE[::2], "large"):
        world.put(path, b"theirs now " + path.encode() * 1000)
    world.put("new/one", b"n" * (9 * MiB))
    world.remove(STRANGE[1])
    pulled = world.pull(executor=pool, delete=True)
    assert pulled.counts["miss"] == len(STRANGE[::2]) + 2
    assert pulled.counts["deleted"] == 1
    assert all(row.worker for row in pulled if row.status == "miss")
