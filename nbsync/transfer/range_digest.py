"""Digests of a large object that comes in ranges: each by itself where they can be combined, else in order.

A CRC of the whole is that of its ranges, combined; an ETag of parts is made of the parts' MD5s: whoever fetches a
range digests it as it comes. A plain MD5 goes from the first byte to the last, and so does the one of a part that is
longer than a range: whichever thread completes the front of it digests it there, out of the page cache, while others
still fetch. Runs in worker threads.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from nbsync.core.evidence import Digest
from nbsync.core.hashing import PIECE_BYTES, md5
from nbsync.core.parts import Part, combine_etag
from nbsync.local.crc import CrcHasher, crc_of
from nbsync.local.digest import hasher_of

_BACKLOG = 4  # ranges that wait for the digest: then no further one is begun
_LOOK_SECONDS = 0.2  # how often one that waits asks whether it is still wanted


class PieceHasher(Protocol):
    """Takes the bytes of one range as they come."""

    def update(self, data: memoryview, /) -> None: ...


class RangeDigest(Protocol):
    """The digest of a file whose ranges come in any order."""

    digest: Digest

    def wait_for(self, part: Part) -> None:
        """Return when this range may be fetched. Raises: what the run's `check` raises."""

    def begin(self, part: Part, done: int) -> PieceHasher | None:
        """What digests a range as it comes, of which `done` bytes are in the file; None: it is read when it is there.

        Raises: as arrived.
        """

    def arrived(self, part: Part, hasher: PieceHasher | None) -> None:
        """A range is in the file. Raises: what the run's `check` raises. OSError."""

    def finish(self) -> None:
        """Digest what is left, when nobody fetches any more. Raises: as arrived."""

    def value(self) -> str:
        """Of the whole, when all is there. Call once."""


def range_digest(
    fd: int, ranges: Sequence[Part], digest: Digest, there: set[int], check: Callable[[], None]
) -> RangeDigest:
    """What digests the open file of these ranges, all of one length but the last.

    Args:
        there: the numbers of the ranges that an earlier run has brought.
        check: called now and then; what it raises ends the work.
    """
    length = ranges[0].length
    crc = crc_of(digest.checksum) if digest.checksum is not None else None
    if crc is not None or (digest.part_size and length % digest.part_size == 0):
        return SideBySide(fd, ranges, digest, there, check)
    return InOrder(fd, ranges, digest, there, check)


class SideBySide:
    """Each range by itself: its CRC, or the MD5s of the parts in it. See RangeDigest."""

    def __init__(
        self, fd: int, ranges: Sequence[Part], digest: Digest, there: set[int], check: Callable[[], None]
    ) -> None:
        self.digest = digest
        self._fd, self._ranges, self._there, self._check = fd, ranges, set(there), check
        self._crc = crc_of(digest.checksum) if digest.checksum is not None else None
        self._done: dict[int, PieceHasher] = {}

    def wait_for(self, part: Part) -> None:
        """Nobody has to wait."""

    def begin(self, part: Part, done: int) -> PieceHasher:
        """See RangeDigest."""
        hasher: PieceHasher = _PartMd5s(self.digest.part_size) if self._crc is None else CrcHasher(self._crc)
        end = part.offset + done
        for at in range(part.offset, end, PIECE_BYTES):
            self._check()
            hasher.update(memoryview(os.pread(self._fd, min(PIECE_BYTES, end - at), at)))
        return hasher

    def arrived(self, part: Part, hasher: PieceHasher | None) -> None:
        """See RangeDigest."""
        if hasher is not None or part.number not in self._done:
            self._done[part.number] = hasher if hasher is not None else self.begin(part, part.length)

    def finish(self) -> None:
        """See RangeDigest."""
        for part in self._ranges:
            self.arrived(part, None)

    def value(self) -> str:
        """See RangeDigest."""
        hashers: list[Any] = [self._done[part.number] for part in self._ranges]
        if self._crc is not None:
            return self._crc.text(self._crc.whole((one.crc, one.length) for one in hashers))
        return combine_etag([digest for one in hashers for digest in one.digests()])


class _PartMd5s:
    """The MD5s of the parts of one length in a stream of bytes; the last one may be shorter."""

    def __init__(self, part_size: int) -> None:
        self._part_size = self._left = part_size
        self._md5s = [md5()]

    def update(self, data: memoryview) -> None:
        """Take in the next bytes."""
        while data:
            if not self._left:
                self._md5s.append(md5())
                self._left = self._part_size
            piece, data = data[: self._left], data[self._left :]
            self._md5s[-1].update(piece)
            self._left -= len(piece)

    def digests(self) -> list[bytes]:
        """Of each part, in order."""
        return [one.digest() for one in self._md5s]


class InOrder:
    """From the first byte of the file, or of each part, to its last. See RangeDigest."""

    def __init__(
        self, fd: int, ranges: Sequence[Part], digest: Digest, there: set[int], check: Callable[[], None]
    ) -> None:
        self.digest = digest
        each, length = digest.part_size, ranges[0].length
        self._by_parts = bool(each) and each % length == 0
        count = each // length if self._by_parts else len(ranges)
        self._count = count
        one = Digest(0) if self._by_parts else digest
        self._fronts = [Front(fd, ranges[at : at + count], one, there, check) for at in range(0, len(ranges), count)]

    def _front(self, part: Part) -> Front:
        return self._fronts[(part.number - 1) // self._count]

    def wait_for(self, part: Part) -> None:
        """See RangeDigest."""
        self._front(part).wait_for()

    def begin(self, part: Part, done: int) -> None:
        """See RangeDigest."""

    def arrived(self, part: Part, hasher: PieceHasher | None) -> None:
        """See RangeDigest."""
        self._front(part).arrived(part.number)

    def finish(self) -> None:
        """See RangeDigest."""
        for front in self._fronts:
            front.finish()

    def value(self) -> str:
        """See RangeDigest."""
        values = [front.value() for front in self._fronts]
        return combine_etag([bytes.fromhex(value) for value in values]) if self._by_parts else values[0]


class Front:
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
        self._hasher = hasher_of(digest)
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
