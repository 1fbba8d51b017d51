"""A run that is killed in the middle of a large file: the next one takes up what came, and nothing is left lying about.

The real command in a process of its own, killed with SIGKILL once its journal says that some of the file is there.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nbsync
from nbsync.core.parts import MiB
from nbsync.local.journal import KEPT_DAYS
from tests.e2e.valve import Valve
from tests.functional.world import World

pytestmark = pytest.mark.usefixtures("moto")  # runs are killed

ROOT = Path(__file__).parents[2]
SIZE = 48 * MiB  # six ranges of 8 MiB, or three parts of 16
RANGES, PARTS = 6, 3
UNCONFIRMED = 1  # moto does not confirm the CRC of the first part that it is sent: all go with their MD5s then
WHOLE = f"came WHERE bytes = {8 * MiB}"


@pytest.fixture(scope="module")
def body() -> bytes:
    """The content of a large file."""
    return os.urandom(SIZE)


@pytest.fixture
def valve(world: World) -> Iterator[Valve]:
    """What stands between nbsync and moto."""
    made = Valve(world.server.endpoint_url)
    yield made
    made.stop()


def killed(world: World, valve: Valve, *words: str, table: str) -> int:
    """Run `nbsync WORDS` until `table` of its journal has two rows, then kill it; how many it had."""
    environment = {**os.environ, **world.server.env(), "AWS_ENDPOINT_URL": valve.url, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-m", "nbsync", *words], env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            deadline = time.monotonic() + 60
            while rows(world, table) < 2:
                assert process.poll() is None, f"it ended by itself ({process.returncode})"
                assert time.monotonic() < deadline, "it did not get anywhere"
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.02)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    return rows(world, table)


def rows(world: World, table: str) -> int:
    """Rows of a table of the journal."""
    path = world.local / ".nbsync/unfinished.sqlite3"
    if not path.exists():
        return 0
    try:
        with contextlib.closing(sqlite3.connect(path)) as db:
            return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    except sqlite3.OperationalError:  # it is being made
        return 0


def pull_killed(world: World, valve: Valve, body: bytes) -> int:
    """A pull of one large object that was killed in the middle; how many ranges came."""
    world.put("big", body)
    valve.let_through(30 * MiB)
    came = killed(world, valve, "pull", world.remote, str(world.local), "--jobs", "2", table=WHOLE)
    valve.open()
    assert came < RANGES
    assert len(list((world.local / ".nbsync/stage").iterdir())) == 1
    assert not (world.local / "big").exists()
    return came


def push_killed(world: World, valve: Valve, body: bytes) -> int:
    """A push of one large file that was killed in the middle; how many parts went."""
    world.write("big", body)
    words = ("push", str(world.local), world.remote, "--jobs", "1", "--bandwidth", "16MiB/s")
    sent = killed(world, valve, *words, table="parts")
    assert len(uploads(world)) == 1
    assert sent < PARTS
    return sent


def uploads(world: World) -> list[Any]:
    found: list[Any] = world.server.s3.list_multipart_uploads(Bucket=world.bucket).get("Uploads", [])
    return found


def nothing_left(world: World) -> None:
    """Neither here nor there is anything unfinished."""
    assert uploads(world) == []
    world.no_staging_left()
    assert not (world.local / ".nbsync/unfinished.sqlite3").exists()


def test_a_killed_pull_is_taken_up(world: World, valve: Valve, body: bytes) -> None:
    came = pull_killed(world, valve, body)
    plan = world.plan("pull", endpoint_url=valve.url)
    assert plan["big"].status == "planned"
    result = world.run("pull", endpoint_url=valve.url)
    assert (result["big"].status, result["big"].error) == ("miss", None)
    assert result.requests["get"] == RANGES - came
    assert world.read("big") == body
    nothing_left(world)
    assert world.run("pull", endpoint_url=valve.url)["big"].evidence == "state"


def test_a_killed_pull_of_an_object_that_was_replaced_begins_anew(world: World, valve: Valve, body: bytes) -> None:
    pull_killed(world, valve, body)
    world.put("big", body[::-1])
    result = world.run("pull", endpoint_url=valve.url)
    assert result.requests["get"] == RANGES
    assert world.read("big") == body[::-1]
    nothing_left(world)


def test_a_killed_pull_of_an_object_that_is_gone_leaves_nothing(world: World, valve: Valve, body: bytes) -> None:
    pull_killed(world, valve, body)
    world.remove("big")
    assert world.run("pull", endpoint_url=valve.url).ok
    nothing_left(world)


def test_other_remotes_partial_files_stay_for_a_week(world: World, valve: Valve, body: bytes) -> None:
    came = pull_killed(world, valve, body)
    other = World(world.server, world.sandbox.parent, bucket=world.bucket, prefix="q/")
    assert other.run("pull", endpoint_url=valve.url).error is None
    assert rows(world, WHOLE) == came
    db = sqlite3.connect(world.local / ".nbsync/unfinished.sqlite3")
    with contextlib.closing(db), db:
        db.execute("UPDATE downloads SET begun_ns = begun_ns - ?", ((KEPT_DAYS + 1) * 86_400 * 10**9,))
    assert other.run("pull", endpoint_url=valve.url).error is None
    nothing_left(world)


def test_what_came_wrongly_is_fetched_anew(world: World, valve: Valve, body: bytes) -> None:
    """After a power failure, what was noted may not be in the file."""
    pull_killed(world, valve, body)
    [staged] = (world.local / ".nbsync/stage").iterdir()
    with staged.open("r+b") as file:
        file.write(bytes(SIZE))
    assert world.run("pull", endpoint_url=valve.url).ok
    assert world.read("big") == body
    nothing_left(world)


def test_what_an_interrupt_leaves_is_taken_up(world: World, valve: Valve, body: bytes) -> None:
    world.put("big", body)
    valve.let_through(30 * MiB)
    job = nbsync.pull(world.remote, world.local, background=True, endpoint_url=valve.url, jobs=2)
    while rows(world, WHOLE) < 2:
        job.poll()
    job.cancel()
    assert job.wait().exit_code == 130
    came = rows(world, WHOLE)
    assert came >= 2
    valve.open()
    result = world.run("pull", endpoint_url=valve.url)
    assert result.requests["get"] == RANGES - came
    assert world.read("big") == body
    nothing_left(world)


def test_an_interrupt_stops_a_pull_that_takes_up(world: World, valve: Valve, body: bytes) -> None:
    pull_killed(world, valve, body)
    valve.let_through(0)
    job = nbsync.pull(world.remote, world.local, background=True, endpoint_url=valve.url)
    while not job.progress.active:
        job.poll()
    stopped = time.monotonic()
    job.cancel()
    job.wait()
    assert time.monotonic() - stopped < 1


def test_a_killed_push_is_taken_up(world: World, valve: Valve, body: bytes) -> None:
    sent = push_killed(world, valve, body)
    world.plan("push", endpoint_url=valve.url)
    assert len(uploads(world)) == 1
    result = world.run("push", endpoint_url=valve.url)
    assert (result["big"].status, result["big"].error) == ("miss", None)
    assert result.requests["put"] == PARTS - sent
    assert world.get("big") == body
    nothing_left(world)


def test_a_killed_push_of_a_file_that_was_edited_begins_anew(world: World, valve: Valve, body: bytes) -> None:
    push_killed(world, valve, body)
    world.write("big", body[::-1])
    result = world.run("push", endpoint_url=valve.url)
    assert result.requests["put"] == PARTS + UNCONFIRMED
    assert world.get("big") == body[::-1]
    nothing_left(world)


def test_a_killed_push_with_other_headers_begins_anew(world: World, valve: Valve, body: bytes) -> None:
    push_killed(world, valve, body)
    result = world.run("push", endpoint_url=valve.url, metadata={"k": "v"})
    assert result.requests["put"] == PARTS + UNCONFIRMED
    assert world.head("big")["Metadata"]["k"] == "v"
    nothing_left(world)


def test_a_killed_push_is_not_taken_up_under_a_customers_key(
    world: World, valve: Valve, body: bytes, tmp_path: Path
) -> None:
    """The object would be encrypted otherwise than it was asked for."""
    push_killed(world, valve, body)
    (tmp_path / "key").write_bytes(b"k" * 32)
    result = world.run("push", endpoint_url=valve.url, sse_c_key_file=str(tmp_path / "key"))
    assert result["big"].error is None
    assert result.requests["put"] == PARTS + UNCONFIRMED
    nothing_left(world)


def test_a_killed_push_of_a_file_that_is_gone_leaves_nothing(world: World, valve: Valve, body: bytes) -> None:
    push_killed(world, valve, body)
    world.unlink("big")
    world.write("small", b"1")
    assert world.run("push", endpoint_url=valve.url).ok
    nothing_left(world)


def test_a_push_killed_after_its_completion_leaves_nothing(world: World, valve: Valve, body: bytes) -> None:
    """The object is there, and the journal does not know it."""
    push_killed(world, valve, body)
    world.put("big", body)
    result = world.run("push", endpoint_url=valve.url)
    assert result["big"].status == "hit"
    nothing_left(world)
    assert world.get("big") == body
