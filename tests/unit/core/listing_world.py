"""A made-up S3 server that lists, with a clock of its own, and somebody who lists it by KeyRanges."""

from __future__ import annotations

import functools
import heapq
import itertools
from bisect import bisect_right
from collections.abc import Callable, Sequence

from nbsync.core.model import RemoteEntry
from nbsync.core.parallel_listing import Ask, KeyRanges

AT_ONCE = 16
# Without RemoteEntry's own __new__: the tests make millions, and checking its arguments is most of their time.
_entry = functools.partial(tuple.__new__, RemoteEntry)
_REST = [itertools.repeat(field) for field in RemoteEntry("", "", 1, "e", 0)[2:]]
Answer = tuple[list[RemoteEntry], str]


class Server:
    """Lists `keys`, which are sorted, by pages of `page` keys. Its tokens are numbers."""

    def __init__(self, keys: Sequence[str], page: int = 1000) -> None:
        self.keys, self.page = keys, page

    def list(self, token: str, after: str) -> Answer:
        """One page, and the token that continues it."""
        start = int(token) if token else bisect_right(self.keys, after) if after else 0
        end = start + self.page
        page = self.keys[start:end]
        entries = list(map(_entry, zip(page, page, *_REST, strict=False)))  # _REST never ends
        return entries, str(end) if end < len(self.keys) else ""


class Walk:
    """A listing to its end, as quickly as the server's round trips allow: each takes 1.

    Attributes:
        keys: what was given out, in that order.
        lists: requests.
        rounds: round trips after each other.
        held: the most pages that waited.
    """

    def __init__(
        self,
        answer: Callable[[str, str], Answer],
        *,
        recorded: Sequence[str] = (),
        at_once: int = AT_ONCE,
        seconds: Callable[[], float] = lambda: 1.0,
    ) -> None:
        self.spans = KeyRanges(recorded)
        self.keys: list[str] = []
        self.lists = self.held = 0
        self.rounds = 0.0
        under_way: list[tuple[float, int, Ask, Answer]] = []
        order = itertools.count()
        while not self.spans.finished:
            while len(under_way) < at_once and (ask := self.spans.next()):
                self.lists += 1
                answered = answer(ask.token, ask.after)
                heapq.heappush(under_way, (self.rounds + seconds(), next(order), ask, answered))
            self.held = max(self.held, self.spans.held)
            assert under_way, "nothing is asked for, and nothing is on its way"
            self.rounds, _, ask, (entries, token) = heapq.heappop(under_way)
            self.spans.arrived(ask, entries, token)
            while (page := self.spans.take()) is not None:
                self.keys += [entry.path for entry in page]
