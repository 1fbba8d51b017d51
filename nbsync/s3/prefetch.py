"""Pages of a listing, fetched by threads of ours while the consumer works: one at first, several past 10,000 keys.

What to ask, and in which order pages are given out, is for core.spans to say; here are the threads and the lock.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

from nbsync.core.model import RemoteEntry
from nbsync.core.parallel_listing import ALONE, PAGE, Ask, KeyRanges
from nbsync.s3.bucket import Bucket
from nbsync.wire.errors import ServiceError

AT_ONCE = 16
_NOT_DONE_HERE = (400, 501)  # how a server refuses a parameter that it does not know
_CALM_PAGES = 16  # without a SlowDown, before one more request at once is tried


class Page(NamedTuple):
    """One answer of a listing. `token` continues it; empty on the last page."""

    entries: list[RemoteEntry]
    token: str


Fetch = Callable[[str, str], Page]


class PageBoundaries:
    """Where the pages of a listing ended, for the next listing of the same prefix to begin ranges at.

    Attributes:
        known: what an earlier listing noted, in order. May be set until the first page has been worked on.
        ends: what this one notes: each 1,000th path that another follows.
        listed: keys so far.
        complete: the listing came to its end.
        whole: all of it has come, in order, although not all may have been given out.
    """

    def __init__(self) -> None:
        self.known: list[str] = []
        self.ends: list[str] = []
        self.listed = 0
        self.complete = False
        self.whole = False
        self._at_end = ""

    @property
    def worth_noting(self) -> list[str]:
        """What the next listing can use: nothing where it lists page after page."""
        return self.ends if self.listed > ALONE else []

    def note(self, entries: list[RemoteEntry]) -> None:
        """Take in the next page."""
        if not entries:
            return
        if self._at_end:
            self.ends.append(self._at_end)
            self._at_end = ""
        for index in range(PAGE - 1 - self.listed % PAGE, len(entries), PAGE):
            if index + 1 == len(entries):
                self._at_end = entries[index].path
            else:
                self.ends.append(entries[index].path)
        self.listed += len(entries)


def pages(bucket: Bucket, fetch: Fetch, page_boundaries: PageBoundaries) -> Iterator[list[RemoteEntry]]:
    """Every page of a listing, in key order, none twice.

    Args:
        bucket: whose SlowDowns lower the number of requests at once, and where it is remembered if the server does
            not start a listing where it is told to.
        fetch: gets the page that a token continues or, without one, the first after a path.
        page_boundaries: of an earlier listing, and of this one.

    Raises:
        OutOfOrder: keys do not ascend. ListingError: the answers contradict themselves. Exception: what `fetch` raises.
    """
    prefetchers = _Prefetchers(bucket, fetch, page_boundaries)
    prefetchers.hire()
    try:
        while (entries := prefetchers.take()) is not None:
            page_boundaries.note(entries)
            yield entries
        page_boundaries.complete = True
    finally:
        prefetchers.stop()


class _Prefetchers:
    """The threads of one listing. All that they share is behind one lock."""

    def __init__(self, bucket: Bucket, fetch: Fetch, page_boundaries: PageBoundaries) -> None:
        self._bucket, self._fetch, self._waypoints = bucket, fetch, page_boundaries
        self._spans = KeyRanges(obeyed=bucket.can.starts_listings_after)
        self._changed = threading.Condition()
        self._stopped = False
        self._broken: BaseException | None = None
        self._threads = 0
        self._at_once, self._calm, self._slow_downs = AT_ONCE, 0, bucket.slow_downs

    def hire(self) -> None:
        """One more thread."""
        self._threads += 1
        threading.Thread(target=self._work, name=f"nbsync-listing-{self._threads}", daemon=True).start()

    def stop(self) -> None:
        """No further request is begun."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def take(self) -> list[RemoteEntry] | None:
        """The next page, waited for; None after the last."""
        with self._changed:
            while True:
                if self._broken is not None:
                    raise self._broken
                entries = self._spans.take()
                if entries is not None or self._spans.finished:
                    self._changed.notify_all()  # there is room for another
                    return entries
                self._changed.wait()

    def _work(self) -> None:
        try:
            while (ask := self._next()) is not None:
                self._do(ask)
        except BaseException as error:  # whoever waits must not wait for ever
            with self._changed:
                self._broken = error
                self._changed.notify_all()

    def _do(self, ask: Ask) -> None:
        try:
            page = self._fetch(ask.token, ask.after)
        except BaseException as error:
            refused = isinstance(error, ServiceError) and error.status in _NOT_DONE_HERE
            with self._changed:
                self._spans.failed(ask, error, refused=refused)
                self._settle()
            return
        with self._changed:
            self._spans.arrived(ask, page.entries, page.token)
            self._settle()

    def _next(self) -> Ask | None:
        """What to fetch, waited for; None at the end."""
        with self._changed:
            while not (self._stopped or self._spans.finished):
                ask = self._spans.next() if self._spans.in_flight < self._at_once else None
                if ask is not None:
                    return ask
                self._changed.wait()
        return None

    def _settle(self) -> None:
        """After an answer: pace, threads, and whoever waits for it. The lock is held."""
        self._calm += 1
        self._waypoints.whole = self._spans.whole
        if self._bucket.slow_downs != self._slow_downs:
            self._slow_downs, self._calm = self._bucket.slow_downs, 0
            self._at_once = max(1, self._at_once // 2)
        elif self._calm >= _CALM_PAGES:
            self._at_once, self._calm = min(AT_ONCE, self._at_once + 1), 0
        if not self._spans.obeyed:
            self._bucket.can.starts_listings_after = False
        elif not self._bucket.can.lists_in_order:  # a range would end too early, and miss what comes late
            self._spans.obeyed = False
        if self._spans.wide and self._threads == 1 and not self._stopped:
            self._spans.recorded = self._waypoints.known
            with contextlib.suppress(RuntimeError):  # the system starts no more: those that there are do it
                for _ in range(AT_ONCE - 1):
                    self.hire()
        self._changed.notify_all()
