"""One object into one file: fetched into staging, checked, given its time, renamed. Runs in worker threads."""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple

from nbsync.core.identity import MD5, digests_to_try
from nbsync.core.model import RemoteEntry
from nbsync.core.parts import looks_like_md5, parse_multipart_etag
from nbsync.storage.digest import Hasher
from nbsync.transfer import compare
from nbsync.transfer.context import Context, Slot
from nbsync.transfer.headers import MTIME, parse_mtime, recorded_md5
from nbsync.transfer.proof import Corrupted, prove
from nbsync.wire.errors import ServiceError
from nbsync.wire.reader import Response, Sink

SMALL_BYTES = 128 * 1024  # received whole, then written in one call


class Staged(NamedTuple):
    """A checked file in staging. `verified` is False where the server gave nothing to check with."""

    path: str
    headers: dict[str, str]
    content: str  # its digest's name, for the state
    verified: bool


def fetch(ctx: Context, remote: RemoteEntry, slot: Slot) -> Staged:
    """Fetch the object that was listed, and no other, into staging; its mtime is the object's.

    Raises:
        ServiceError: 412 if it was replaced, 404 if it is gone; others as the service says.
        TransientError: it did not arrive, or not intact, in all tries. OSError: the disk.
    """
    path = ctx.staging()
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        fetching = _Fetching(ctx, remote, slot, fd)
        staged = ctx.bucket.retrying(fetching.attempt)
        mtime_ns = _mtime_ns(ctx, remote, staged.headers)
        os.utime(fd, ns=(mtime_ns, mtime_ns))
        return staged._replace(path=path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
    finally:
        os.close(fd)


def _mtime_ns(ctx: Context, remote: RemoteEntry, headers: dict[str, str]) -> int:
    """The time that the file gets: LastModified as LIST gives it, or the uploader's with --preserve-mtime."""
    kept = parse_mtime(headers.get(MTIME, "")) if ctx.options.preserve_mtime else None
    return remote.last_modified_ns if kept is None else kept


class _Fetching:
    """The attempts to fetch one object; a broken one is taken up where it broke off."""

    def __init__(self, ctx: Context, remote: RemoteEntry, slot: Slot, fd: int) -> None:
        self._ctx, self._remote, self._slot, self._fd = ctx, remote, slot, fd
        self._digest = next(iter(digests_to_try(remote, None)), MD5)
        self._seen = ""  # the last digest that nothing could confirm, and how many times in a row it came
        self._times = 0
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
        """None if what came must come once more. That is no failure, and costs no retry."""
        remote = self._remote
        headers = {"if-match": f'"{remote.etag}"'} if remote.etag else {}
        headers["x-amz-checksum-mode"] = "ENABLED"
        fetch_it = self._whole if remote.size <= SMALL_BYTES else self._pieces
        try:
            staged = self._checked(fetch_it(headers))
        except Corrupted:
            self._again()
            raise
        self._ctx.bucket.can.downloaded = True
        if staged is None:
            self._again()
        return staged

    def _whole(self, headers: dict[str, str]) -> Response:
        self._ctx.limiter.take(self._remote.size)
        answer = self._get(headers)
        if len(answer.body) != self._remote.size:
            raise Corrupted(f"{len(answer.body)} bytes came, not the {self._remote.size} that were listed")
        os.pwrite(self._fd, answer.body, 0)
        self._hasher.update(memoryview(answer.body))
        self._done = len(answer.body)
        self._slot.add(self._done)
        return answer

    def _pieces(self, headers: dict[str, str]) -> Response:
        if self._done >= self._remote.size:  # all of it came, and then the connection broke: nothing is left to ask for
            self._again()
        offset = self._done
        if offset:
            headers["range"] = f"bytes={offset}-"
        answer = self._get(headers, self._take)
        if offset and not answer.headers.get("content-range", "").startswith(f"bytes {offset}-"):
            raise Corrupted("the server answered with another range than it was asked for")
        if self._done != self._remote.size:
            raise Corrupted(f"{self._done} bytes came, not the {self._remote.size} that were listed")
        return answer

    def _get(self, headers: dict[str, str], sink: Sink | None = None) -> Response:
        try:
            return self._ctx.bucket.client.request(
                "GET", self._remote.key, query=self._remote.query, headers=headers, sink=sink
            )
        except ServiceError as error:
            if error.status == 416:
                raise Corrupted("the server has no such range of the object") from None
            if error.status == 412:
                self._ctx.bucket.can.refused_a_get()
            raise

    def _take(self, piece: memoryview) -> None:
        self._ctx.limiter.take(len(piece))
        if self._ctx.cancelled():
            raise InterruptedError
        if self._done + len(piece) > self._remote.size:
            raise Corrupted(f"more bytes came than the {self._remote.size} that were listed")
        view, offset = piece, self._done
        while view:
            written = os.pwrite(self._fd, view, offset)
            view, offset = view[written:], offset + written
        self._hasher.update(piece)
        self._done += len(piece)
        self._slot.add(len(piece))

    def _again(self) -> None:
        """Begin from the first byte."""
        self._slot.add(-self._done)
        os.ftruncate(self._fd, 0)
        self._restart()

    def _checked(self, answer: Response) -> Staged | None:
        values = {self._digest: self._hasher.value()}
        verified = prove(self._ctx, self._remote, answer.headers, values, self._fd)
        if verified is None and not self._came_often(answer.headers, values[self._digest]):
            return None
        content = next(digest.name(value) for digest, value in values.items())
        return Staged("", answer.headers, content, bool(verified))

    def _came_often(self, headers: dict[str, str], value: str) -> bool:
        """Nothing the server says confirms what came. Where the ETag should have, the same bytes must come again.

        Twice is enough for parts that nobody told of; three times proves that ETags here are no MD5s.

        Raises:
            Corrupted: other bytes came than the time before, or the same although ETags here are MD5s.
            ServiceError: 412, as a server that honours If-Match would have answered: it is another object.
        """
        etag, can = self._remote.etag, self._ctx.bucket.can
        came = headers.get("etag", "").strip().removeprefix("W/").strip('"')
        if etag and came and came != etag:
            self._again()
            raise ServiceError(412, "PreconditionFailed", "the object was replaced", headers)
        like_md5 = looks_like_md5(etag)
        no_digest = compare.opaque(headers) or not (like_md5 or parse_multipart_etag(etag)) or can.etag_is_md5 is False
        if no_digest and not recorded_md5(headers):
            return True
        seen, self._seen = self._seen, value
        if seen and seen != value:
            self._times = 1
            raise Corrupted("other bytes arrived each time, and the object's ETag confirms none of them")
        self._times += 1
        if no_digest:  # the uploader recorded another MD5: who comes twice is right
            return self._times == 2
        if self._times < (3 if like_md5 else 2):
            return False
        if like_md5 and not can.saw_other_etag():
            raise Corrupted("what arrived does not have the object's MD5")
        return True
