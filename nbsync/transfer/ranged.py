"""A large object in ranges side by side, into one staged file; kept in the journal, so that a kill costs little.

The bytes go from the socket's buffer to their place in the file; whichever thread completes the front of it
digests it there, out of the page cache, while others still fetch. Runs in worker threads.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Callable, Sequence

from nbsync.core.evidence import MD5, Digest, digests_to_try
from nbsync.core.hashing import PIECE_BYTES, Hasher
from nbsync.core.model import RemoteEntry
from nbsync.core.parts import MiB, Part, layout
from nbsync.local.journal import Download
from nbsync.transfer.context import Context, Slot, is_passing
from nbsync.transfer.download_check import Judge
from nbsync.transfer.evidence import Corrupted
from nbsync.transfer.part_pool import Stopped, Team
from nbsync.transfer.staged import Staged
from nbsync.transfer.unnamed import check_unmoved
from nbsync.wire.errors import Aborted, ServiceError, WireError
from nbsync.wire.response_reader import Response, Sink

RANGE_BYTES, MAX_RANGE_BYTES = 8 * MiB, 16 * MiB
_BACKLOG = 4  # ranges that wait for the digest: then no further one is begun
_NOTE_SECONDS = 0.25  # how often it is noted how far the ranges are
_LOOK_SECONDS = 0.2  # how often one that waits asks whether it is still wanted
_RANGES = 64  # so many, if they need not be larger than that


class RangeIgnored(Exception):
    """The server does not answer a range as it should: the object has to come in one stream."""


def fetch_ranges(ctx: Context, remote: RemoteEntry, slot: Slot, judge: Judge) -> Staged | None:
    """The object that was listed in staging, or None where the server answers no ranges (then it knows from now on).

    Raises: as download.fetch. What came of it is kept for the next run if it failed for want of a connection.
    """
    assert ctx.room is not None  # something is written
    download = ctx.journal.take_up(remote) or _begin(ctx, remote)
    path = os.path.join(ctx.room.stage, download.staged)
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            os.ftruncate(fd, remote.size)
            staged = _Ranges(ctx, remote, slot, judge, fd, download).fetch()._replace(path=path)
        finally:
            os.close(fd)
    except RangeIgnored:
        ctx.whole_only = True
        _drop(ctx, download, path)
        return None
    except BaseException as error:
        if not (download.id and is_passing(error)):
            _drop(ctx, download, path)
        raise
    ctx.journal.end_download(download)
    return staged


def length_of_ranges(size: int) -> int:
    """Bytes of each range of an object of `size` bytes."""
    return min(max(-(-size // _RANGES // MiB) * MiB, RANGE_BYTES), MAX_RANGE_BYTES)


def _begin(ctx: Context, remote: RemoteEntry) -> Download:
    name = os.path.basename(ctx.lasting_staging())
    return ctx.journal.begin_download(remote, name, length_of_ranges(remote.size))


def _drop(ctx: Context, download: Download, path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
    ctx.journal.end_download(download)


class _Ranges:
    """The ranges of one object on their way into an open file."""

    def __init__(
        self, ctx: Context, remote: RemoteEntry, slot: Slot, judge: Judge, fd: int, download: Download
    ) -> None:
        self._ctx, self._remote, self._slot, self._judge, self._fd = ctx, remote, slot, judge, fd
        self._download = download
        self._parts = list(layout(remote.size, download.range_bytes))
        self._digest = next(iter(digests_to_try(remote, None)), MD5)
        lengths = {part.number: part.length for part in self._parts}
        self._earlier = {number: came for number, came in download.came.items() if 0 < came <= lengths.get(number, 0)}
        self._there = {number for number, came in self._earlier.items() if came == lengths[number]}
        slot.keep(sum(self._earlier.values()))
        self._going: dict[int, _Range] = {}
        self._noted_at = time.monotonic()
        self._restart()

    def _restart(self) -> None:
        self._front = _Front(self._fd, self._parts, self._digest, self._there, self._check)
        self._headers: dict[str, str] = {}
        self._versions: set[str] = set()  # ETags or, where there are none, times

    def fetch(self) -> Staged:
        """All of it, proven.

        Raises: as fetch_ranges; RangeIgnored.
        """
        try:
            outcome = self._ctx.bucket.retrying(self._attempt)
            if isinstance(outcome, WireError):
                raise outcome
        except BaseException:
            self.take_back()
            raise
        return outcome

    def _attempt(self) -> Staged | WireError:
        """The file; or the error of a range, which has had all its tries: it is not to be tried again as a whole."""
        while True:
            try:
                self._fill()
                staged = self._proven()
            except Corrupted:
                self._again()
                raise
            except Aborted:
                raise
            except WireError as error:
                return error
            # What another process left may not have reached the disk before the power failed: only proof will do.
            if staged is not None and (staged.verified or not self._earlier):
                return staged
            self._again()

    def _check(self) -> None:
        """Raises: InterruptedError: cancelled. Stopped: another range failed."""
        if self._ctx.cancelled():
            raise InterruptedError
        if self._team.over:
            raise Stopped

    def _fill(self) -> None:
        todo = [part for part in self._parts if part.number not in self._there]
        self._team = Team(self._ctx.controller, self._fetch, todo)
        self._team.run()
        self._front.finish()

    def _proven(self) -> Staged | None:
        if len(self._versions) > 1:
            raise Corrupted("the object was replaced while it was fetched")
        if not self._remote.etag or (self._headers and not self._headers.get("etag")):
            check_unmoved(self._ctx, self._remote)
        value = self._front.value()
        headers = self._headers
        if not headers or value != self._remote.etag.lower():
            headers = self._asked()
        return self._judge.judge(headers, self._digest, value, self._fd)

    def _asked(self) -> dict[str, str]:
        """What a GET of the whole would have told of the object: a range's answer has no checksum of the whole."""
        headers = {**conditions(self._remote), "x-amz-checksum-mode": "ENABLED"}
        try:
            return self._ctx.bucket.request("HEAD", self._remote.key, query=self._remote.query, headers=headers).headers
        except ServiceError as error:
            if error.status in (404, 412):
                raise
            return self._headers

    def _again(self) -> None:
        """Begin from the first byte."""
        self.take_back()
        self._ctx.journal.restart(self._download)
        self._restart()

    def take_back(self) -> None:
        """Nothing of what came counts."""
        there = (part for part in self._parts if part.number in self._there)
        self._slot.add(-sum(part.length - self._earlier.get(part.number, 0) for part in there))
        self._slot.keep(-sum(self._earlier.values()))
        self._earlier, self._there = {}, set()

    def _fetch(self, part: Part) -> None:
        """One range, tried again by itself; what already came of it is kept."""
        self._front.wait_for()
        earlier = self._earlier.get(part.number, 0)
        one = _Range(self._ctx, self._remote, part, self._fd, self._slot, self._went_on, earlier)
        self._going[part.number] = one
        try:
            answer = self._ctx.bucket.retrying(one.attempt)
        except BaseException:
            one.take_back()
            raise
        finally:
            del self._going[part.number]
        headers = {name: value for name, value in answer.headers.items() if not name.startswith("x-amz-checksum")}
        self._headers = headers
        self._versions.add(headers.get("etag", "") or headers.get("last-modified", ""))
        self._there.add(part.number)
        self._note({part.number: part.length})
        self._ctx.outage.passed()
        self._front.arrived(part.number)

    def _went_on(self) -> None:
        """As `_check`; now and then what is on its way is noted, so that a kill costs no more than that time."""
        self._check()
        now = time.monotonic()
        if now - self._noted_at >= _NOTE_SECONDS:  # two at once would note the same
            self._noted_at = now
            self._note({})

    def _note(self, whole: dict[int, int]) -> None:
        going = {number: one.done for number, one in dict(self._going).items()}
        self._ctx.journal.arrived(self._download, {**going, **whole})


class _Range:
    """The attempts to fetch one range.

    Args:
        check: called for each piece, before it is taken.
        earlier: so many bytes of it an earlier run has brought.

    Attributes:
        done: so many bytes of it are in the file.
    """

    def __init__(
        self, ctx: Context, remote: RemoteEntry, part: Part, fd: int, slot: Slot, check: Callable[[], None],
        earlier: int,
    ) -> None:  # fmt: skip
        self._ctx, self._remote, self._part, self._fd, self._slot, self._check = ctx, remote, part, fd, slot, check
        self._earlier = self.done = earlier

    def attempt(self) -> Response:
        """One GET of what is missing.

        Raises:
            RangeIgnored: the answer is no such range. Stopped: nobody wants it any more. Others as get_object.
        """
        self._check()
        part = self._part
        if self.done >= part.length:  # all of it came, and then the connection broke
            self.take_back()
        asked = f"{part.offset + self.done}-{part.offset + part.length - 1}"
        try:
            answer = get_object(
                self._ctx, self._remote, {**conditions(self._remote), "range": f"bytes={asked}"}, self._take
            )
        except Corrupted:
            raise RangeIgnored from None
        told = answer.headers.get("content-range", "")
        # Not 206 alone: rclone answers 200 with a Content-Range.
        if not told.startswith(f"bytes {asked}/") or self.done != part.length:
            raise RangeIgnored
        return answer

    def _take(self, piece: memoryview) -> None:
        self._ctx.limiter.take(len(piece))
        self._check()
        if self.done + len(piece) > self._part.length:
            raise RangeIgnored
        write_at(self._fd, piece, self._part.offset + self.done)
        self.done += len(piece)
        self._slot.add(len(piece))

    def take_back(self) -> None:
        """What came of it does not count."""
        self._slot.add(self._earlier - self.done)
        self.done = self._earlier


class _Front:
    """Digests the file from its first byte as far as it is there without a gap; one thread at a time.

    Args:
        there: the numbers of the parts that are there already, which an earlier run has brought.
        check: called now and then; what it raises ends it.
    """

    def __init__(
        self, fd: int, parts: Sequence[Part], digest: Digest, there: set[int], check: Callable[[], None]
    ) -> None:
        self._fd, self._parts, self._check = fd, parts, check
        self._earlier, self._there = frozenset(there), set(there)
        self._hasher = Hasher(digest)
        self._next = 0  # how many parts are digested
        self._busy = False
        self._lock = threading.Condition()

    def wait_for(self) -> None:
        """Return when few parts wait to be digested. Who fetches more meanwhile takes the processor from the digest,
        which is what the whole waits for in the end. What an earlier run has brought holds nobody up: it may be much,
        and the line idle meanwhile.

        Raises: what `check` raises.
        """
        with self._lock:
            while self._busy and self._backlog() == _BACKLOG:
                self._lock.wait(_LOOK_SECONDS)
                self._check()

    def _backlog(self) -> int:
        """Parts that this run has brought, and that could be digested now."""
        ready = self._parts[self._next : self._next + _BACKLOG]
        return sum(1 for _ in itertools.takewhile(self._came, ready))

    def _came(self, part: Part) -> bool:
        return part.number in self._there and part.number not in self._earlier

    def arrived(self, number: int) -> None:
        """A part is there. Digests what now can be, unless another thread is at it, which then will.

        Raises:
            Exception: what `check` raises. OSError.
        """
        with self._lock:
            self._there.add(number)
            if self._busy:
                return
            self._busy = True
        self._digest()

    def finish(self) -> None:
        """Digest what is left, when nobody fetches any more. Raises: as arrived."""
        self._busy = True
        self._digest()

    def value(self) -> str:
        """The digest of the whole. Call once."""
        return self._hasher.value()

    def _digest(self) -> None:
        while (part := self._following()) is not None:
            for at in range(part.offset, part.offset + part.length, PIECE_BYTES):
                self._check()
                piece = os.pread(self._fd, min(PIECE_BYTES, part.offset + part.length - at), at)
                self._hasher.update(memoryview(piece))
            with self._lock:
                self._next += 1
                self._lock.notify_all()

    def _following(self) -> Part | None:
        """The next part to digest; None, and others may take over, if it is not there."""
        with self._lock:
            part = self._parts[self._next] if self._next < len(self._parts) else None
            if part is not None and part.number in self._there:
                return part
            self._busy = False
            return None


def conditions(remote: RemoteEntry) -> dict[str, str]:
    """The header by which the server makes sure that the object is the one that was listed."""
    return {"if-match": f'"{remote.etag}"'} if remote.etag else {}


def get_object(ctx: Context, remote: RemoteEntry, headers: dict[str, str], sink: Sink | None = None) -> Response:
    """One GET of exactly the object that was listed, or of a range of it; one attempt.

    Raises:
        Corrupted: it has no such range. ServiceError, TransientError: see wire.errors.
    """
    try:
        return ctx.bucket.client.request("GET", remote.key, query=remote.query, headers=headers, sink=sink)
    except ServiceError as error:
        if error.status == 416:
            raise Corrupted("the server has no such range of the object") from None
        if error.status == 412:
            ctx.bucket.can.refused_a_get()
        raise


def write_at(fd: int, piece: memoryview, offset: int) -> None:
    """Write all of `piece` at `offset`."""
    while piece:
        written = os.pwrite(fd, piece, offset)
        piece, offset = piece[written:], offset + written
