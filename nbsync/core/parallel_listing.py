"""A listing by several ranges of the key space at once: what to ask next, and what may be given out. Pure.

The ranges (spans) lie beside each other, in order; each is listed forward from its beginning, and ends where
the next one begins. Whoever lists asks `next`, brings the answer to `arrived`, and takes pages by `take`, which
come in key order. It holds, whatever the keys:

- Up to 10,000 keys there is one span: no page more than it takes.
- A span wastes at most one page: its last, if that reaches into the next span. A span is only split while the
  pages wasted and the spans that may still waste one are within a quarter of the pages that were needed so
  far, and within a tenth of those recorded, where that is known.
- What a server says of a key that it was told to start after is checked against what others saw. A span that
  turns out empty is listed once more by the span before it, for nothing: that one must look past its end
  anyway.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from nbsync.core.key_split import Sample, key_ahead, pages_between
from nbsync.core.model import RemoteEntry
from nbsync.errors import ListingError, OutOfOrder

PAGE = 1000  # keys in a page of ListObjectsV2
ALONE = 10_000  # keys that are listed page after page before anything is split
HELD = 96  # pages that may wait for those before them: some 45 MB
_HELD_ALONE = 4
_AHEAD = 10.0  # pages that a new span leaves to the one before it
_RECORDED_PAGES = 10  # the same, where the pages of the last listing are known
_SMALL = 3.0  # pages that are not worth splitting
_SIGHTS = 8
_EMPTY_IN_A_ROW = 100  # truncated pages without an object: some servers send a few
_NOTHING = "Nothing was deleted"


class Ask(NamedTuple):
    """A page to fetch: the one that `token` continues, or else the first after the path `after`."""

    span: KeyRange
    token: str
    after: str


class KeyRange:
    """The paths after `after`, up to and with `until` (None: to the end); and how far their listing is."""

    def __init__(self, after: str, until: str | None, limit: str | None, samples: Sequence[Sample]) -> None:
        self.after, self.until = after, until
        self.limit = limit  # where the last of them lies, as far as is known: at `until` or before
        self.last = after  # the last that came
        self.token = ""
        self.pages: deque[list[RemoteEntry]] = deque()
        self.samples = list(samples)
        self.started = self.busy = self.done = self.dropped = False
        self.rest = 0  # pages to list before the next guess where to split it
        self.misses = 0  # guesses that were wrong
        self.kept = 0  # keys that came
        self.meant = 0.0  # keys that the last guess left to it
        self.stretch = 1.0  # that it was made with
        self.begun_again = False  # by a page that may repeat earlier keys
        self.before: _Relay | None = None  # how the span before it would go on, when that is done
        self.onward: _Relay | None = None  # how this one would
        self.seen_before: list[str] = []  # what the span before saw of it, while its first page was on its way
        self.first_paths: list[str] = []
        self.empty = 0
        self.error: BaseException | None = None
        self._left = ("", "", 0.0)

    def left(self) -> float:
        """About how many pages are still to come, if it goes on as it was."""
        if self.limit is None:
            return float("inf")
        if self._left[:2] != (self.last, self.limit):
            about = pages_between(self.samples, self.last, self.limit) if self.last < self.limit else 0.0
            self._left = (self.last, self.limit, about)
        return self._left[2]

    def begin_again(self, relay: _Relay) -> None:
        """Go on from the last key that this span, or the one before it, surely reached; earlier keys are left out."""
        self.token, self.after = relay.token, relay.after
        self.begun_again, self.done = True, False


class _Relay(NamedTuple):
    """How to go on after a span by its own pages. `exact`: with the next page, not with the last one again."""

    token: str
    after: str
    exact: bool


class KeyRanges:
    """One listing. Not for several threads at once.

    Args:
        recorded: the last path of each 1,000 that an earlier listing of the same prefix gave, in order, if
            it is known. May be set until 10,000 keys have come.
        obeyed: False if the server is known to ignore where a page should start.

    Attributes:
        wide: more than 10,000 keys are there: several pages may be asked for at once.
        obeyed: False once the server was seen to ignore it; then the listing goes on page after page.
        in_flight: pages asked for that did not arrive.
        held: pages that came, or were asked for, and have not been taken.
    """

    def __init__(self, recorded: Sequence[str] = (), *, obeyed: bool = True) -> None:
        self.recorded = recorded
        self.obeyed = obeyed
        self.wide = False
        self.in_flight = 0
        self._spans = [KeyRange("", None, None, ())]
        self._came = 0  # pages
        self._kept = 0  # keys, each once
        self._stretch = 1.0  # by which guesses came out too near
        self.held = 0

    # ---- asking -----------------------------------------------------------------------------------

    def next(self) -> Ask | None:
        """What to fetch now; None: nothing, until something arrives or is taken."""
        span = self._waiting()
        if span is None and self.wide and self.obeyed and self._may_split():
            span = self._split()
        if span is None:
            return None
        span.busy = True
        self.in_flight += 1
        self.held += 1
        return Ask(span, span.token, "" if span.token else span.after)

    def _waiting(self) -> KeyRange | None:
        """The first span that has more to list, and room for it."""
        room = HELD if self.wide and self.obeyed else _HELD_ALONE
        for index, span in enumerate(self._spans):
            if span.error is not None:
                return None
            if not span.busy and not span.done and (self.held < room or (index == 0 and len(span.pages) < 2)):
                return span
        return None

    def _may_split(self) -> bool:
        """Would the requests stay within their bound, whatever the further span turns out to hold?"""
        if self.held >= HELD or any(span.error for span in self._spans):
            return False
        needed = self._kept // PAGE
        last = self._spans[-1]  # that it is listed to the end costs nothing, unless that is done, or it holds nothing
        may_waste = sum(not span.done for span in self._spans) + (last.done or not last.started)
        allowed = self._kept / PAGE / 4
        if self.recorded:
            tenth = max(needed, len(self.recorded)) / 10
            allowed = tenth if self._came == needed else min(allowed, tenth)
        return self._came - needed + may_waste <= allowed

    def _split(self) -> KeyRange | None:
        """Cut the further part off a span; returns that part."""
        for index, left in self._worth_splitting():
            span = self._spans[index]
            at = self._place_to_cut(span, left)
            if at is not None and at > span.last and (span.until is None or at < span.until) and _can_be_asked(at):
                further = KeyRange(at, span.until, span.limit, span.samples)
                further.misses = span.misses
                span.until = span.limit = at
                self._spans.insert(index + 1, further)
                return further
            span.rest = 1
        return None

    def _worth_splitting(self) -> Iterator[tuple[int, float]]:
        """KeyRanges, the best first, and about how many pages they have still to list.

        First an early one that is much larger than it was meant to be, for it holds up all others; then the
        last, whose end is open; then the largest.
        """
        lefts = [(self._left(index), index) for index in range(len(self._spans))]
        for left, index in lefts:
            if left > (2 if index == 0 else 4) * _AHEAD:
                yield index, left
        for left, index in sorted(lefts, reverse=True):
            span = self._spans[index]
            proven = self._recorded_in(span) or span.limit == span.until
            if left >= (_SMALL if proven else 2 * _AHEAD):
                yield index, left

    def _left(self, index: int) -> float:
        """About how many pages a span has still to list; 0 where that cannot be told yet."""
        span = self._spans[index]
        if span.done or span.rest:
            return 0.0
        known = len(self._recorded_in(span))
        if known or (self.recorded and span.last <= self.recorded[-1]):
            return float(known)
        if not span.started or (index + 1 < len(self._spans) and not self._spans[index + 1].started):
            return 0.0
        return span.left() / self._stretch

    def _recorded_in(self, span: KeyRange) -> range:
        """Which of the recorded paths lie within what the span has still to list, before its end."""
        low = bisect_right(self.recorded, span.last)
        return range(low, len(self.recorded) if span.until is None else bisect_left(self.recorded, span.until))

    def _place_to_cut(self, span: KeyRange, left: float) -> str | None:
        known = self._recorded_in(span)
        if known:
            return self.recorded[known[_RECORDED_PAGES if len(known) > 2 * _RECORDED_PAGES else len(known) // 2]]
        pages = _AHEAD if left > 2 * _AHEAD else left / 2
        span.meant, span.stretch = span.kept + pages * PAGE, self._stretch
        return key_ahead(span.samples, span.last, span.limit, pages * self._stretch)

    # ---- answers ----------------------------------------------------------------------------------

    def arrived(self, ask: Ask, entries: list[RemoteEntry], token: str) -> None:
        """Take in the page that `ask` asked for; what is wrong with it is raised by `take`, in its turn."""
        span = ask.span
        self._landed(span)
        if span.dropped:
            return
        self._came += 1
        if self._is_astray(ask, entries, token):
            self._go_on_alone(span)
            return
        if span.begun_again:
            span.begun_again = False
            entries = [entry for entry in entries if entry.path > span.last]
        try:
            _check(span, ask, entries, token)
        except ListingError as error:
            span.error = error
            return
        self._take_in(ask, entries, token)

    def failed(self, ask: Ask, error: BaseException, *, refused: bool = False) -> None:
        """The page cannot be had. `refused`: the server does not do what was asked for."""
        self._landed(ask.span)
        if ask.span.dropped:
            return
        if refused and ask.after and not ask.span.begun_again:
            self._go_on_alone(ask.span)
        else:
            ask.span.error = error

    def _landed(self, span: KeyRange) -> None:
        span.busy = False
        self.in_flight -= 1
        self.held -= 1

    def _is_astray(self, ask: Ask, entries: list[RemoteEntry], token: str) -> bool:
        """Does a page that should start after a path not do so, or lack what was seen there?"""
        span = ask.span
        if not ask.after or span.begun_again:
            return False
        if entries and entries[0].path <= ask.after:
            return True
        return bool(span.seen_before) and _lacks([entry.path for entry in entries], span.seen_before, token)

    def _take_in(self, ask: Ask, entries: list[RemoteEntry], token: str) -> None:
        span = ask.span
        first, span.started = not span.started, True
        span.token = token
        if first and ask.after:
            if not entries and not token:
                self._found_empty(span)
                return
            span.first_paths = [entry.path for entry in entries]
        ended = not token
        kept = entries
        if entries and span.until is not None and entries[-1].path >= span.until:
            ended = True
            kept = [entry for entry in entries if entry.path <= span.until]
        self._keep(span, kept)
        if ended:
            again = len(kept) < len(entries)
            relay = _Relay(ask.token, ask.after, False) if again else _Relay(token, "", True)
            self._finish(span, relay, [entry.path for entry in entries[len(kept) :]])
        elif self._kept >= ALONE:
            self.wide = True

    def _keep(self, span: KeyRange, entries: list[RemoteEntry]) -> None:
        if entries:
            before = span.last if span.kept else ""
            span.last = entries[-1].path
            span.samples = [*span.samples, Sample.of([entry.path for entry in entries], before)][-_SIGHTS:]
            span.rest = max(0, span.rest - 1)
            span.kept += len(entries)
            span.pages.append(entries)
            self.held += 1
            self._kept += len(entries)

    def _finish(self, span: KeyRange, relay: _Relay, beyond: list[str]) -> None:
        """The span is at its end; `beyond` is what it saw of those that follow."""
        span.done, span.onward = True, relay
        if span.meant and span.token:
            right = span.stretch * span.meant / max(span.kept, PAGE / 4)
            self._stretch = (self._stretch * min(64.0, max(0.25, right))) ** 0.5
        index = self._spans.index(span)
        if index + 1 == len(self._spans):
            return
        further = self._spans[index + 1]
        further.before = relay
        if further.until is not None:
            beyond = [path for path in beyond if path <= further.until]
        if not further.started:
            further.seen_before = beyond
        elif _lacks(further.first_paths, beyond, further.token or "more"):
            self._go_on_alone(further)
        further.first_paths = []

    def _found_empty(self, span: KeyRange) -> None:
        """Nothing was listed after the path that the span starts after: let its keys be listed by other means."""
        index = self._spans.index(span)
        before = span.before
        if index and not self._spans[index - 1].done:
            one = self._spans[index - 1]
            one.until, one.meant, one.misses = span.until, 0, one.misses + 1
            one.rest = 4 * 2**one.misses
            del self._spans[index]
        elif before is not None and before.exact and before.token:
            span.begin_again(before)
        else:  # the one before it saw so, too
            self._finish(span, before or _Relay("", "", True), [])

    def _go_on_alone(self, astray: KeyRange) -> None:
        """The server does not start where it is told: list page after page, from where that surely was right."""
        self.obeyed = False
        head = self._spans[0]
        for span in self._spans[1:]:
            span.dropped = True
            self.held -= len(span.pages)
        del self._spans[1:]
        head.until = head.limit = None
        relay = head.before if head is astray else head.onward if head.done else None
        if relay is not None and not (relay.exact and not relay.token):
            head.begin_again(relay)
        elif relay is not None:
            head.done = True

    # ---- answers -----------------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Was everything taken?"""
        return not self._spans

    @property
    def whole(self) -> bool:
        """Has everything come, in order, taken or not?"""
        return all(span.done and span.error is None for span in self._spans)

    def take(self) -> list[RemoteEntry] | None:
        """The next page in order; None if it is not there yet, or `finished`.

        Raises:
            ListingError: the answers contradict themselves. Exception: what `failed` was told.
        """
        while self._spans:
            head = self._spans[0]
            if head.pages:
                self.held -= 1
                return head.pages.popleft()
            if head.error is not None:
                raise head.error
            if not head.done:
                return None
            del self._spans[0]
        return None


def _check(span: KeyRange, ask: Ask, entries: list[RemoteEntry], token: str) -> None:
    """See to it that the listing gets on. Raises: OutOfOrder: keys do not ascend. ListingError: it might never end."""
    last = span.last if span.last or span.started else None
    for entry in entries:
        if last is not None and entry.path <= last:
            raise OutOfOrder(f"the listing is out of order: {entry.path!r} came after {last!r}", _NOTHING)
        last = entry.path
    span.empty = 0 if entries else span.empty + 1
    if token and (token == ask.token or span.empty > _EMPTY_IN_A_ROW):
        raise ListingError("the listing goes round in a circle: the server goes on without a further key", _NOTHING)


def _lacks(seen: Sequence[str], before: Sequence[str], token: str) -> bool:
    """Is something of what was seen `before` not in a span's first page, which `token` continues?"""
    if not seen and token:
        return False
    covered = before[: bisect_right(before, seen[-1])] if token else before
    return not set(covered) <= set(seen)


def _can_be_asked(path: str) -> bool:
    """Is it Unicode, so that it can stand in a request?"""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
