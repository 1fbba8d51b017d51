"""Small files, many at once in one thread: what is not plain sailing is handed to a worker, and ends as it would there.

Faults are put between the lane and its connections: no worker's request meets them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nbsync
from nbsync.core.model import Outcome
from nbsync.errors import Interrupted
from nbsync.transfer import pull_actions, small_files
from nbsync.transfer.context import Context
from nbsync.transfer.small_files import SmallFiles
from nbsync.wire.client import Client
from nbsync.wire.errors import ConnectionLost
from nbsync.wire.multiplexer import Done, SocketMultiplexer
from nbsync.wire.response_reader import Response
from tests.functional.plain_store import BUCKET, PlainStore
from tests.functional.world import World

pytestmark = pytest.mark.usefixtures("moto")  # the multiplexer is on its way to a socket

COUNT = 30


@pytest.fixture
def many(world: World) -> World:
    """`COUNT` small objects, none of them here."""
    for number in range(COUNT):
        world.put(f"d{number % 3}/{number:02}", b"%d" % number * 100)
    return world


@pytest.fixture
def by_worker(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that workers ask for."""
    seen: list[str] = []
    real = Client.request

    def request(client: Client, method: str, key: str = "", **more: Any) -> Response:
        if key:
            seen.append(key)
        return real(client, method, key, **more)

    monkeypatch.setattr(Client, "request", request)
    return seen


@pytest.fixture(autouse=True)
def _no_file_is_young(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was just written waits for a worker, who may wait for its clock."""
    monkeypatch.setattr("nbsync.transfer.context._YOUNG_NS", 0)


def spoil(patch: pytest.MonkeyPatch, change: Callable[[Done], Done], times: int = COUNT) -> list[Any]:
    """Let `change` make something else of the first answers that the lane gets."""
    left = [None] * times
    spoilt: list[Any] = []
    real = SocketMultiplexer.poll

    def poll(multiplexer: SocketMultiplexer, seconds: float) -> list[Done]:
        found = []
        for done in real(multiplexer, seconds):
            if left:
                left.pop()
                spoilt.append(done.tag)
                found.append(change(done))
            else:
                found.append(done)
        return found

    patch.setattr(SocketMultiplexer, "poll", poll)
    return spoilt


def answered(status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Callable[[Done], Done]:
    return lambda done: done._replace(answer=Response(status, headers or {}, body))


def flipped(done: Done) -> Done:
    assert done.answer is not None
    body = done.answer.body
    return done._replace(answer=done.answer._replace(body=bytes([body[0] ^ 1]) + body[1:]))


def cut(done: Done) -> Done:
    assert done.answer is not None
    return done._replace(answer=done.answer._replace(body=done.answer.body[:-1]))


def another(done: Done) -> Done:
    assert done.answer is not None
    return done._replace(answer=done.answer._replace(headers={**done.answer.headers, "etag": '"1"'}, body=b"x" * 100))


def lost(done: Done) -> Done:
    return done._replace(answer=None, error=ConnectionLost("lost"))


def test_plain_sailing_needs_no_worker(many: World, by_worker: list[str]) -> None:
    pulled = many.pull()
    assert (pulled.counts["miss"], pulled.requests["get"]) == (COUNT, COUNT)
    for path, content in many.files().items():
        many.write(path, content + b"!")
    pushed = many.run("push")
    assert (pushed.counts["miss"], pushed.requests["put"]) == (COUNT, COUNT)
    assert many.files() == many.objects()
    assert by_worker == []


@pytest.mark.parametrize(
    "change", [answered(503), answered(500), answered(403), answered(412), answered(404), flipped, cut, another, lost]
)
def test_downloads_that_go_wrong_are_done_by_workers(
    many: World, monkeypatch: pytest.MonkeyPatch, by_worker: list[str], change: Callable[[Done], Done]
) -> None:
    spoilt = spoil(monkeypatch, change, 5)
    result = many.pull()
    assert result.counts["miss"] == COUNT
    assert {f"p/{small.action.path}" for small in spoilt} == set(by_worker)
    assert result.requests["get"] == COUNT + 5


def test_a_server_whose_answers_are_not_taken_is_not_asked_twice_for_everything(
    many: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that sends every body in chunks."""
    spoil(monkeypatch, lost)
    result = many.pull()
    assert result.counts["miss"] == COUNT
    assert result.requests["get"] < COUNT + small_files._LOST + small_files._TRIAL


@pytest.mark.parametrize("change", [answered(503), answered(500), answered(412), answered(409), answered(200), lost])
def test_uploads_that_go_wrong_are_done_by_workers(
    world: World, monkeypatch: pytest.MonkeyPatch, change: Callable[[Done], Done]
) -> None:
    """They were stored, all of them: it is found out that what is there is ours."""
    for number in range(COUNT):
        world.write(f"{number:02}", b"%d" % number)
    spoil(monkeypatch, change, 5)
    result = world.push()
    assert result.counts["miss"] == COUNT
    assert not result.problems


def test_an_object_that_is_not_what_was_sent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write("a", b"1")
    world.fill_both("b")

    def lie(done: Done) -> Done:
        world.put("a", b"2")
        return done._replace(answer=Response(200, {"etag": '"c81e728d9d4c2f636f067f89cc14862c"'}, b""))

    spoil(monkeypatch, lie, 1)
    assert world.push().counts["miss"] == 1
    assert world.get("a") == b"1"


def test_a_file_that_changes_while_it_is_sent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write("a", b"first")

    def change(done: Done) -> Done:
        world.write("a", b"second")
        return done

    spoil(monkeypatch, change, 1)
    result = world.run("push")
    assert result["a"].status == "miss"
    assert world.get("a") == b"second"


def test_somebody_else_s_object_is_a_conflict(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.fill_both("a")
    world.write("a", b"mine")
    begin = SmallFiles._begin

    def overtaken(self: SmallFiles, *words: Any) -> None:
        world.put("a", b"theirs")
        begin(self, *words)

    monkeypatch.setattr(SmallFiles, "_begin", overtaken)
    result = world.run("push")
    assert (result["a"].status, world.get("a")) == ("conflict", b"theirs")


def test_an_edit_on_the_way_goes_to_the_trash(many: World, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = SmallFiles._begin

    def edited(self: SmallFiles, multiplexer: SocketMultiplexer, action: Any) -> None:
        if action.path == "d0/00":
            many.write("d0/00", b"made meanwhile")
        begin(self, multiplexer, action)

    monkeypatch.setattr(SmallFiles, "_begin", edited)
    assert many.run("pull").counts["miss"] == COUNT
    assert ("d0/00", b"made meanwhile") in many.trash()


def test_no_more_than_jobs_at_once(many: World, monkeypatch: pytest.MonkeyPatch) -> None:
    most = 0
    start = SocketMultiplexer.start

    def counting(multiplexer: SocketMultiplexer, *words: Any) -> Done | None:
        nonlocal most
        failed = start(multiplexer, *words)
        most = max(most, multiplexer.busy)
        return failed

    monkeypatch.setattr(SocketMultiplexer, "start", counting)
    assert many.run("pull", jobs=3).counts["miss"] == COUNT
    assert 0 < most <= 3


def test_a_slow_disk_is_served_by_many_threads(
    many: World, monkeypatch: pytest.MonkeyPatch, by_worker: list[str]
) -> None:
    monkeypatch.setattr(small_files, "_SLOW_SECONDS", 0.0)
    monkeypatch.setattr(small_files, "_SAMPLE", 1)
    monkeypatch.setattr("nbsync.engine.executor._HELD", 1)
    assert many.run("pull", jobs=1).counts["miss"] == COUNT
    assert many.files() == many.objects()


@pytest.mark.parametrize("jobs", [0, 2])
def test_a_cancel_ends_it_and_keeps_what_was_done(many: World, monkeypatch: pytest.MonkeyPatch, jobs: int) -> None:
    some, go_on = threading.Event(), threading.Event()
    finish = SmallFiles._finish

    def slowly(self: SmallFiles, done: Done) -> None:
        finish(self, done)
        if len(many.files()) >= 2:
            some.set()
            go_on.wait(20)

    monkeypatch.setattr(SmallFiles, "_finish", slowly)
    job = nbsync.pull(many.remote, many.local, background=True, jobs=jobs)
    some.wait(20)
    job.cancel()
    go_on.set()
    result = job.wait(timeout=10)
    assert isinstance(result.error, Interrupted)
    assert {row.path for row in result if row.status == "miss"} == set(many.files())
    assert result.counts["miss"] + result.counts["cancelled"] <= COUNT
    many.no_staging_left()


def test_nothing_is_begun_after_a_cancel(many: World, monkeypatch: pytest.MonkeyPatch) -> None:
    begin, begun = SmallFiles._begin, []

    def cancelled(self: SmallFiles, multiplexer: SocketMultiplexer, action: Any) -> None:
        begun.append(action.path)
        self._ctx.cancel.set()
        begin(self, multiplexer, action)

    monkeypatch.setattr(SmallFiles, "_begin", cancelled)
    result = many.run("pull")
    assert len(begun) == 1
    assert {row.status for row in result} <= {"cancelled"}
    assert many.files() == {}


def test_what_is_put_after_its_end_is_told_of(many: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run's thread puts while the lane's, which saw the cancel first, has gone: nobody would have looked again."""
    put = SmallFiles.put

    def late(self: SmallFiles, action: Any) -> None:
        if self._thread is not None:
            self._ctx.cancel.set()
            self._thread.join(10)
        put(self, action)

    monkeypatch.setattr(SmallFiles, "put", late)
    job = nbsync.pull(many.remote, many.local, background=True)
    result = job.wait(timeout=20)
    assert result.counts["miss"] + result.counts["cancelled"] > 0
    assert {row.status for row in result} <= {"cancelled", "miss"}


def test_nothing_is_installed_after_a_cancel(many: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that have come together may be hundreds, and the disk slow."""
    poll, install = SocketMultiplexer.poll, pull_actions.install

    def together(multiplexer: SocketMultiplexer, seconds: float) -> list[Done]:
        found: list[Done] = []
        while len(found) < small_files._TRIAL:
            found += poll(multiplexer, seconds)
        return found

    def cancelled(ctx: Context, *words: Any) -> Outcome:
        ctx.cancel.set()
        return install(ctx, *words)

    monkeypatch.setattr(SocketMultiplexer, "poll", together)
    monkeypatch.setattr(pull_actions, "install", cancelled)
    result = many.run("pull")
    assert result.counts["miss"] == len(many.files()) == 1
    many.no_staging_left()


def test_a_failure_of_its_own_ends_the_run(many: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: SmallFiles, _done: Done) -> None:
        raise AssertionError("a mistake of ours")

    monkeypatch.setattr(SmallFiles, "_finish", broken)
    with pytest.raises(AssertionError, match="a mistake of ours"):
        many.run("pull")


def test_a_full_disk_fails_the_file(many: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite

    def full(fd: int, data: Any, offset: int) -> int:
        if "/stage/" in os.readlink(f"/proc/self/fd/{fd}"):
            raise OSError(28, "No space left on device")
        return real(fd, data, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        result = many.run("pull")
    assert os.pwrite is real
    assert {row.error for row in result} == {"No space left on device"}
    many.no_staging_left()
    assert many.pull().counts["miss"] == COUNT


def test_a_process_that_may_open_few_files(store: PlainStore, tmp_path: Path) -> None:
    """As in a shell of macOS; answers that take their time, so that as many are under way as may be."""
    store.objects = {f"p/{number:03}": b"%d" % number for number in range(400)}
    never = threading.Event()

    def take_time(_key: str) -> None:
        never.wait(0.05)

    store.on_get = take_time
    script = (
        "import resource, runpy\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160))\n"
        "runpy.run_module('nbsync', run_name='__main__')\n"
    )
    words = [sys.executable, "-c", script, "pull", f"{BUCKET}/p", str(tmp_path / "local"), "--quiet"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((tmp_path / "local").glob("[0-9]*"))) == 400
