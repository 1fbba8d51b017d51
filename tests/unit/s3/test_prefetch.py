"""The threads of a listing: several at once past 10,000 keys, slower when asked to be, gone when nobody listens."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsync.core.model import RemoteEntry
from nbsync.s3.prefetch import AT_ONCE, Page, PageBoundaries, pages
from nbsync.wire.errors import ConnectionLost, ServiceError
from tests.unit.core.listing_world import Server

KEYS = [f"d{i // 1000:04d}/f{i % 1000:05d}" for i in range(60_000)]


class World:
    """A bucket of KEYS that counts how many ask at once."""

    def __init__(self) -> None:
        self.bucket: Any = SimpleNamespace(
            slow_downs=0, can=SimpleNamespace(starts_listings_after=True, lists_in_order=True)
        )
        self.server = Server(KEYS)
        self.lock = threading.Lock()
        self.asked = self.at_once = self.most = 0

    def fetch(self, token: str, after: str) -> Page:
        with self.lock:
            self.asked += 1
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        try:
            return self.answer(token, after)
        finally:
            with self.lock:
                self.at_once -= 1

    def answer(self, token: str, after: str) -> Page:
        return Page(*self.server.list(token, after))

    def list(self, known: list[str] | None = None) -> tuple[list[str], PageBoundaries]:
        page_boundaries = PageBoundaries()
        page_boundaries.known = known or []
        got = [entry.path for page in pages(self.bucket, self.fetch, page_boundaries) for entry in page]
        return got, page_boundaries


def test_a_system_that_starts_no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    start, started = threading.Thread.start, []

    def refuse(thread: threading.Thread) -> None:
        if len(started) == 3:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    world = World()
    assert world.list()[0] == KEYS
    assert world.most <= 3


def test_every_key_once_in_order_and_the_next_time_without_a_page_too_many() -> None:
    cold = World()
    got, page_boundaries = cold.list()
    assert got == KEYS
    assert cold.asked <= 75
    assert page_boundaries.complete
    assert page_boundaries.worth_noting == KEYS[999:-1:1000]
    known = World()
    assert known.list(page_boundaries.worth_noting)[0] == KEYS
    assert known.asked == 60


def test_several_are_asked_at_once_but_never_more_than_the_limit() -> None:
    begun, met = list[str](), threading.Event()

    class Meeting(World):
        def answer(self, token: str, after: str) -> Page:
            if after:
                begun.append(after)
                if len(begun) > 1:
                    met.set()
                assert met.wait(timeout=20), "one that begins a range waits in vain for another"
            return super().answer(token, after)

    world = Meeting()
    assert world.list(KEYS[999:-1:1000])[0] == KEYS
    assert 2 <= world.most <= AT_ONCE


@pytest.mark.parametrize("error", [ConnectionLost("gone"), ServiceError(403, "AccessDenied")])
def test_a_page_that_cannot_be_had_ends_the_listing_in_its_turn(error: Exception) -> None:
    class Broken(World):
        def answer(self, token: str, after: str) -> Page:
            page = super().answer(token, after)
            if page.entries[-1].path > "d0030":
                raise error
            return page

    page_boundaries, got = PageBoundaries(), list[RemoteEntry]()
    listing = pages(Broken().bucket, Broken().fetch, page_boundaries)
    with pytest.raises(type(error)):
        got.extend(entry for page in listing for entry in page)
    assert [entry.path for entry in got] == KEYS[: len(got)]
    assert 20_000 < len(got) < 31_000
    assert not page_boundaries.complete


def test_a_server_that_refuses_to_start_elsewhere_is_listed_page_after_page() -> None:
    class Refusing(World):
        def answer(self, token: str, after: str) -> Page:
            if after:
                raise ServiceError(501, "NotImplemented")
            return super().answer(token, after)

    world = Refusing()
    assert world.list()[0] == KEYS
    assert not world.bucket.can.starts_listings_after
    before = world.asked
    assert world.list()[0] == KEYS
    assert world.asked - before == 60, "it was not remembered"


def test_a_service_that_asks_for_less_gets_less() -> None:
    class Slow(World):
        def answer(self, token: str, after: str) -> Page:
            if self.asked > 9:
                self.bucket.slow_downs += 1
            return super().answer(token, after)

    world = Slow()
    assert world.list(KEYS[999:-1:1000])[0] == KEYS
    assert world.most < AT_ONCE


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("nbsync-listing")]


@pytest.mark.parametrize("taken", [1, 15])
def test_nobody_works_on_when_nobody_listens(taken: int) -> None:
    before = threads()
    listing = pages(World().bucket, World().fetch, PageBoundaries())
    for _ in range(taken):
        next(listing)
    working = [thread for thread in threads() if thread not in before]
    assert working
    listing.close()  # type: ignore[attr-defined]
    for thread in working:
        thread.join(timeout=20)
    assert not [thread for thread in working if thread.is_alive()]


@given(st.lists(st.integers(0, 2500), max_size=8))
def test_waypoints_are_each_thousandth_key_however_long_the_pages(lengths: list[int]) -> None:
    page_boundaries, keys = PageBoundaries(), [f"{n:06d}" for n in range(sum(lengths))]
    start = 0
    for length in lengths:
        page_boundaries.note([RemoteEntry(key, key, 1, "", 0) for key in keys[start : start + length]])
        start += length
    assert page_boundaries.ends == [key for key in keys[999::1000] if key != keys[-1]]
