"""A large object in ranges side by side, into one staged file; kept in the journal, so that a kill costs little.

The bytes go from the socket's buffer to their place in the file, and into a digest that the service has told of the
object: one HEAD asks for it before the first range. Runs in worker threads.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping

from nbsync.core.evidence import MD5, Digest, digests_to_try
from nbsync.core.model import RemoteEntry
from nbsync.core.parts import MiB, Part, layout
from nbsync.local.journal import Download
from nbsync.transfer.checksums import from_headers
from nbsync.transfer.context import Activity, Context, is_passing
from nbsync.transfer.download_check import DownloadCheck
from nbsync.transfer.evidence import CHECKSUM_MODE, Corrupted
from nbsync.transfer.part_layout import ToldLayout
from nbsync.transfer.part_pool import PartPool, Stopped
from nbsync.transfer.range_digest import RangeDigest, range_digest
from nbsync.transfer.staged import Staged
from nbsync.transfer.unnamed import check_unmoved
from nbsync.wire.errors import Aborted, ServiceError, WireError
from nbsync.wire.response_reader import Response, Sink

RANGE_BYTES, MAX_RANGE_BYTES = 8 * MiB, 16 * MiB
_NOTE_SECONDS = 0.25  # how often it is noted how far the ranges are
_RANGES = 64  # so many, if they need not be larger than that


class RangeIgnored(Exception):
    """The server does not answer a range as it should: the object has to come in one stream."""


def fetch_ranges(ctx: Context, remote: RemoteEntry, activity: Activity, judge: DownloadCheck) -> Staged | None:
    """The object that was listed in staging, or None where the server answers no ranges (then it knows from now on).

    Raises: as download.fetch. What came of it is kept for the next run if it failed for want of a connection.
    """
    assert ctx.state_dir is not None  # something is written
    told = _head(ctx, remote)
    digest = _digest_of(ctx, remote, told)
    download = ctx.journal.take_up(remote) or _begin(ctx, remote, digest)
    path = os.path.join(ctx.state_dir.stage, download.staged)
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            os.ftruncate(fd, remote.size)
            staged = _Ranges(ctx, remote, activity, judge, fd, download, told, digest).fetch()._replace(path=path)
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


def _head(ctx: Context, remote: RemoteEntry) -> dict[str, str]:
    """The headers of a HEAD of exactly this object, with its checksum; empty where none is allowed.

    Raises:
        ServiceError: 404 if it is gone, 412 if it was replaced. TransientError.
    """
    headers = {**conditions(remote), **CHECKSUM_MODE}
    try:
        return ctx.bucket.request("HEAD", remote.key, query=remote.query, headers=headers).headers
    except ServiceError as error:
        if error.status in (404, 412):
            raise
        return {}


def _digest_of(ctx: Context, remote: RemoteEntry, told: Mapping[str, str]) -> Digest:
    """The digest that can prove the object, and costs least: a CRC of the whole, the MD5s of its parts, its MD5."""
    given = from_headers(told)
    if given is not None and given.is_quick:
        return given.digest
    candidates = digests_to_try(remote, None) or (MD5,)
    if len(candidates) > 1:
        return ToldLayout(ctx, remote).equal or candidates[0]
    return candidates[0]


def length_of_ranges(size: int, part_size: int = 0) -> int:
    """Bytes of each range of an object of `size` bytes: whole parts of `part_size`, or equal pieces of one."""
    length = min(max(-(-size // _RANGES // MiB) * MiB, RANGE_BYTES), MAX_RANGE_BYTES)
    if not part_size:
        return length
    if part_size <= MAX_RANGE_BYTES:
        return max(length // part_size, 1) * part_size
    fewest = -(-part_size // MAX_RANGE_BYTES)
    pieces = next((count for count in range(fewest, 2 * fewest + 1) if part_size % count == 0), 0)
    return part_size // pieces if pieces else length


def _begin(ctx: Context, remote: RemoteEntry, digest: Digest) -> Download:
    name = os.path.basename(ctx.lasting_staging())
    return ctx.journal.begin_download(remote, name, length_of_ranges(remote.size, digest.part_size))


def _drop(ctx: Context, download: Download, path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
    ctx.journal.end_download(download)


class _Ranges:
    """The ranges of one object on their way into an open file."""

    def __init__(
        self, ctx: Context, remote: RemoteEntry, activity: Activity, judge: DownloadCheck, fd: int, download: Download,
        told: dict[str, str], digest: Digest,
    ) -> None:  # fmt: skip
        self._ctx, self._remote, self._slot, self._judge, self._fd = ctx, remote, activity, judge, fd
        self._download = download
        self._parts = list(layout(remote.size, download.range_bytes))
        self._told, self._digest_wanted = told, digest
        lengths = {part.number: part.length for part in self._parts}
        self._earlier = {number: came for number, came in download.came.items() if 0 < came <= lengths.get(number, 0)}
        self._there = {number for number, came in self._earlier.items() if came == lengths[number]}
        activity.keep(sum(self._earlier.values()))
        self._going: dict[int, _Range] = {}
        self._noted_at = time.monotonic()
        self._restart()

    def _restart(self) -> None:
        self._digest = range_digest(self._fd, self._parts, self._digest_wanted, self._there, self._check)
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
        # What an earlier run has brought comes last: it costs the processor alone, and the line is not to be idle.
        todo = sorted(self._parts, key=lambda part: part.number in self._there)
        self._team = PartPool(self._ctx.controller, self._fetch, todo)
        self._team.run()
        self._digest.finish()

    def _proven(self) -> Staged | None:
        if len(self._versions) > 1:
            raise Corrupted("the object was replaced while it was fetched")
        if not self._remote.etag or (self._headers and not self._headers.get("etag")):
            check_unmoved(self._ctx, self._remote)
        headers = {**self._told, **self._headers}
        return self._judge.judge(headers, self._digest.digest, self._digest.value(), self._fd)

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
        if part.number in self._there:
            self._digest.arrived(part, None)
            return
        self._digest.wait_for(part)
        earlier = self._earlier.get(part.number, 0)
        one = _Range(self._ctx, self._remote, part, self._fd, self._slot, self._went_on, earlier, self._digest)
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
        self._digest.arrived(part, one.hasher)

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
        hasher: what digests it as it comes, if anything does.
    """

    def __init__(
        self, ctx: Context, remote: RemoteEntry, part: Part, fd: int, activity: Activity, check: Callable[[], None],
        earlier: int, digest: RangeDigest,
    ) -> None:  # fmt: skip
        self._ctx, self._remote, self._part, self._fd, self._slot, self._check = ctx, remote, part, fd, activity, check
        self._earlier = self.done = earlier
        self._digest = digest
        self.hasher = digest.begin(part, earlier)

    def attempt(self) -> Response:
        """One GET of what is missing.

        Raises:
            RangeIgnored: the answer is no such range. Stopped: nobody wants it any more. Others as get_object.
        """
        self._check()
        part = self._part
        if self.done >= part.length:  # all of it came, and then the connection broke
            self.take_back()
            self.hasher = self._digest.begin(part, self.done)
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
        if self.hasher is not None:
            self.hasher.update(piece)
        self.done += len(piece)
        self._slot.add(len(piece))

    def take_back(self) -> None:
        """What came of it does not count."""
        self._slot.add(self._earlier - self.done)
        self.done = self._earlier


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
