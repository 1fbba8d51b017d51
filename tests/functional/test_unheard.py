"""Small uploads that a cancel finds on their way: the objects that they make are known again as our own."""

from __future__ import annotations

import pytest

from nbsync.transfer import small_files
from nbsync.transfer.small_files import SmallFiles
from nbsync.wire.errors import ConnectionLost
from nbsync.wire.multiplexer import Done, SocketMultiplexer
from tests.functional.world import World

pytestmark = pytest.mark.usefixtures("moto")  # the multiplexer is on its way to a socket

COUNT = 30


@pytest.fixture(autouse=True)
def _no_file_is_young(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was just written waits for a worker, who may wait for its clock."""
    monkeypatch.setattr("nbsync.transfer.context._YOUNG_NS", 0)


@pytest.mark.parametrize("waits", [True, False])
def test_uploads_that_were_sent_before_a_cancel_are_ours(
    waits: bool, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server stores them, heard or not; they are nobody else's for the next push of an edited file."""
    monkeypatch.setattr(small_files, "_LAST_WORDS_SECONDS", 20.0 if waits else 0.0)
    files = [f"new/{number:02}" for number in range(COUNT)]
    for file in files:
        world.write(file, b"first")
    world.push()
    for file in files:
        world.write(file, b"second")
    begin_some = SmallFiles._begin_some

    def cancelled(self: SmallFiles, multiplexer: SocketMultiplexer) -> bool:
        more = begin_some(self, multiplexer)
        while self._answers == 0 and self._under_way and any(member.out for member in multiplexer._all):
            multiplexer._selector.select(0.05)
            for member in multiplexer._all:
                multiplexer._go_on(member, readable=False)
        if self._under_way:
            self._ctx.cancel.set()
        return more

    with monkeypatch.context() as patch:
        patch.setattr(SmallFiles, "_begin_some", cancelled)
        result = world.run("push")
    stored = {path for path, content in world.objects().items() if content == b"second"}
    assert {row.path for row in result if row.status == "miss"} == (stored if waits else set())
    assert len(stored) == small_files._TRIAL
    for file in files:
        world.write(file, b"third")
    theirs = sorted(stored)[0]
    world.put(theirs, b"somebody else's")
    again = world.push()  # as planned
    assert {row.path for row in again if row.status == "conflict"} == {theirs}
    assert (world.local / ".nbsync" / "unfinished.sqlite3").exists() is not waits, (
        "kept until nothing is left to settle"
    )
    world.run("push", overwrite_remote=True)
    assert not (world.local / ".nbsync" / "unfinished.sqlite3").exists()


@pytest.mark.parametrize("what", ["lost", "overtaken"])
def test_an_upload_that_goes_wrong_after_a_cancel_is_ours(
    what: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its object is there, but its answer is lost, or its file was edited: no worker sees to that any more."""
    world.write("a", b"first")
    world.push()
    world.write("a", b"second")
    finish = SmallFiles._finish

    def cancelled(self: SmallFiles, done: Done) -> None:
        self._ctx.cancel.set()
        unanswered = done._replace(answer=None, error=ConnectionLost("lost"))
        if what == "overtaken":
            world.write("a", b"edited")
        finish(self, unanswered if what == "lost" else done)

    with monkeypatch.context() as patch:
        patch.setattr(SmallFiles, "_finish", cancelled)
        assert world.run("push").counts["cancelled"] == 1
    assert world.objects() == {"a": b"second"}
    world.write("a", b"third")
    assert world.push().counts["miss"] == 1
