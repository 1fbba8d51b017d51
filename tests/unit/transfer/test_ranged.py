"""Who fetches ranges waits for the digest, but not for ever, and not for what an earlier run has brought."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nbsync.core.evidence import MD5
from nbsync.core.parts import Part
from nbsync.transfer.part_pool import Stopped
from nbsync.transfer.range_digest import _BACKLOG, Front

LENGTH = 10
COUNT = 2 * _BACKLOG
CONTENT = os.urandom(LENGTH * COUNT)


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    """A file in which all parts lie."""
    (tmp_path / "staged").write_bytes(CONTENT)
    fd = os.open(tmp_path / "staged", os.O_RDONLY)
    yield fd
    os.close(fd)


class Fetching:
    """One thread that digests, and one that would fetch more.

    Attributes:
        waits: set once the other one waits.
        at_work: called where the first part is digested.
    """

    def __init__(self, fd: int, there: set[int]) -> None:
        parts = [Part(number, (number - 1) * LENGTH, LENGTH) for number in range(1, COUNT + 1)]
        self.front = Front(fd, parts, MD5, there, self._check)
        self.waits = threading.Event()
        self.over = False
        self.ended: list[str] = []
        self.at_work: Callable[[], object] = self.fetch_more
        self.other = threading.Thread(target=self._wait, daemon=True)

    def fetch_more(self) -> None:
        """Let the other one ask whether it may."""
        self.other.start()
        assert self.waits.wait(20) or self.ended

    def _wait(self) -> None:
        try:
            self.front.wait_for()
            self.ended.append("goes on")
        except Stopped:
            self.ended.append("stopped")
        finally:
            self.waits.set()

    def _check(self) -> None:
        if threading.current_thread() is self.other:
            self.waits.set()
            if self.over:
                raise Stopped
        elif self.other.ident is None:
            self.at_work()


def test_who_is_far_ahead_waits_until_the_digest_has_moved_on(fd: int) -> None:
    fetching = Fetching(fd, set())

    def at_work() -> None:
        fetching.fetch_more()
        assert fetching.ended == []

    fetching.at_work = at_work
    for number in range(COUNT, 0, -1):
        fetching.front.arrived(number)
    fetching.other.join(20)
    assert fetching.ended == ["goes on"]
    assert fetching.front.value() == hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


def test_a_digest_that_fails_leaves_nobody_waiting(fd: int) -> None:
    fetching = Fetching(fd, set())

    def fail() -> None:
        fetching.fetch_more()
        fetching.over = True
        raise OSError(5, "Input/output error")

    fetching.at_work = fail
    for number in range(COUNT, 1, -1):
        fetching.front.arrived(number)
    with pytest.raises(OSError, match="Input/output"):
        fetching.front.arrived(1)
    fetching.other.join(20)
    assert fetching.ended == ["stopped"]


def test_what_an_earlier_run_has_brought_holds_nobody_up(fd: int) -> None:
    """It may be gigabytes, to be read from the disk: the rest is fetched meanwhile."""
    fetching = Fetching(fd, set(range(1, COUNT)))

    def at_work() -> None:
        fetching.fetch_more()
        fetching.other.join(20)
        assert fetching.ended == ["goes on"]

    fetching.at_work = at_work
    fetching.front.arrived(COUNT)
    assert fetching.front.value() == hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
