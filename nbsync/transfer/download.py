"""One object into one file: fetched into staging, checked, given its time, renamed. Runs in worker threads."""

from __future__ import annotations

import contextlib
import os

from nbsync.core.clock import COARSE_NS, COARSEST_NS, is_coarse
from nbsync.core.evidence import MD5, digests_to_try
from nbsync.core.hashing import Hasher, md5
from nbsync.core.model import RemoteEntry
from nbsync.core.parts import MiB
from nbsync.local.attributes import set_time
from nbsync.transfer.context import Activity, Context
from nbsync.transfer.download_check import DownloadCheck
from nbsync.transfer.evidence import Corrupted, coded
from nbsync.transfer.headers import MTIME, parse_mtime
from nbsync.transfer.ranged import conditions, fetch_ranges, get_object, write_at
from nbsync.transfer.staged import Staged
from nbsync.transfer.upload_outcome import FIRST_ATTEMPT, PriorAttempt
from nbsync.wire.errors import ServiceError
from nbsync.wire.response_reader import Response

SMALL_BYTES = 128 * 1024  # received whole, then written in one call
RANGED_BYTES = 32 * MiB  # larger ones come in ranges


def fetch(ctx: Context, remote: RemoteEntry, activity: Activity, earlier: PriorAttempt = FIRST_ATTEMPT) -> Staged:
    """Fetch the object that was listed, and no other, into staging; its mtime is the object's.

    A large one comes in ranges side by side, and what an earlier run has brought of it is taken up.

    Raises:
        ServiceError: 412 if it was replaced, 404 if it is gone; others as the service says.
        TransientError: it did not arrive, or not intact, in all tries. OSError: the disk.
    """
    judge = DownloadCheck(ctx, remote)
    staged = fetch_ranges(ctx, remote, activity, judge) if remote.size > RANGED_BYTES and not ctx.whole_only else None
    if staged is None:
        staged = _fetch_whole(ctx, remote, activity, judge, earlier)
    set_time(staged.path, mtime_ns(ctx, remote, staged.headers))
    return staged


def request_of(remote: RemoteEntry) -> dict[str, str]:
    """The headers of a GET of the object that was listed, and no other."""
    return {**conditions(remote), "x-amz-checksum-mode": "ENABLED"}


def receive(ctx: Context, remote: RemoteEntry, answer: Response) -> Staged | None:
    """A small object that came whole, in staging; None if it must come once more.

    Raises:
        Corrupted: it is not the object. ServiceError: 412 if it is another one. OSError.
    """
    if len(answer.body) != remote.size:
        raise Corrupted(f"{len(answer.body)} bytes came, not the {remote.size} that were listed{coded(answer.headers)}")
    path = ctx.staging()
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    staged = None
    try:
        write_at(fd, memoryview(answer.body), 0)
        staged = DownloadCheck(ctx, remote).judge(answer.headers, MD5, md5(answer.body).hexdigest(), fd)
        if staged is None:
            return None
        set_time(fd, mtime_ns(ctx, remote, staged.headers))
        return staged._replace(path=path)
    finally:
        os.close(fd)
        if staged is None:
            with contextlib.suppress(OSError):
                os.unlink(path)


def _fetch_whole(
    ctx: Context, remote: RemoteEntry, activity: Activity, judge: DownloadCheck, earlier: PriorAttempt
) -> Staged:
    path = ctx.staging()
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        fetching = _Fetching(ctx, remote, activity, fd, judge)
        return ctx.bucket.retrying(earlier.before(fetching.attempt))._replace(path=path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
    finally:
        os.close(fd)


def mtime_ns(ctx: Context, remote: RemoteEntry, headers: dict[str, str]) -> int:
    """The time that the file gets: LastModified as LIST gives it, or the uploader's with --preserve-mtime."""
    kept = parse_mtime(headers.get(MTIME, "")) if ctx.options.preserve_mtime else None
    return remote.last_modified_ns if kept is None else kept


def is_as_staged(ctx: Context, remote: RemoteEntry, staged: Staged, at: os.stat_result) -> bool:
    """Is this the stat of the file that was staged, as far as file systems keep times? Else somebody wrote to it since.

    On a file system that takes no times from us none is.
    """
    off_ns = at.st_mtime_ns - mtime_ns(ctx, remote, staged.headers)
    return at.st_size == remote.size and abs(off_ns) < (COARSEST_NS if is_coarse(at.st_ctime_ns) else COARSE_NS)


class _Fetching:
    """The attempts to fetch one object; a broken one is taken up where it broke off."""

    def __init__(self, ctx: Context, remote: RemoteEntry, activity: Activity, fd: int, judge: DownloadCheck) -> None:
        self._ctx, self._remote, self._slot, self._fd, self._judge = ctx, remote, activity, fd, judge
        self._digest = next(iter(digests_to_try(remote, None)), MD5)
        self._restart()

    def _restart(self) -> None:
        self._done = 0
        self._hasher = Hasher(self._digest)

    def attempt(self) -> Staged:
        """One GET, or up to three where nothing confirms the first; of the rest if a part is there already."""
        staged = self._once()
        while staged is None:
            staged = self._once()
        return staged

    def _once(self) -> Staged | None:
        """None if what came must come once more."""
        headers = request_of(self._remote)
        fetch_it = self._whole if self._remote.size <= SMALL_BYTES else self._pieces
        try:
            answer = fetch_it(headers)
            staged = self._judge.judge(answer.headers, self._digest, self._hasher.value(), self._fd)
        except (Corrupted, ServiceError) as error:
            if not (isinstance(error, ServiceError) and error.may_pass):
                self._again()
            raise
        if staged is None:
            self._again()
        return staged

    def _whole(self, headers: dict[str, str]) -> Response:
        self._ctx.limiter.take(self._remote.size)
        answer = get_object(self._ctx, self._remote, headers)
        if len(answer.body) != self._remote.size:
            raise Corrupted(f"{len(answer.body)} bytes came, not the {self._remote.size} listed{coded(answer.headers)}")
        write_at(self._fd, memoryview(answer.body), 0)
        self._hasher.update(memoryview(answer.body))
        self._done = len(answer.body)
        self._slot.add(self._done)
        return answer

    def _pieces(self, headers: dict[str, str]) -> Response:
        # All of it came, and then the connection broke: nothing is left to ask for. Or nothing makes sure that the rest
        # would be of the same object.
        if self._done >= self._remote.size or not self._remote.etag:
            self._again()
        offset = self._done
        if offset:
            headers["range"] = f"bytes={offset}-"
        answer = get_object(self._ctx, self._remote, headers, self._take)
        if offset and not answer.headers.get("content-range", "").startswith(f"bytes {offset}-"):
            raise Corrupted("the server answered with another range than it was asked for")
        if self._done != self._remote.size:
            raise Corrupted(f"{self._done} bytes came, not the {self._remote.size} listed{coded(answer.headers)}")
        return answer

    def _take(self, piece: memoryview) -> None:
        self._ctx.limiter.take(len(piece))
        if self._ctx.cancelled():
            raise InterruptedError
        if self._done + len(piece) > self._remote.size:
            raise Corrupted(f"more bytes came than the {self._remote.size} that were listed")
        write_at(self._fd, piece, self._done)
        self._hasher.update(piece)
        self._done += len(piece)
        self._slot.add(len(piece))

    def _again(self) -> None:
        """Begin from the first byte."""
        self._slot.add(-self._done)
        os.ftruncate(self._fd, 0)
        self._restart()
