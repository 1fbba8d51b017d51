"""Of which parts an object was made, as its service tells, and the ETag of such parts. Runs in worker threads.

Guessed parts may confirm a content, never refute it: only when the size of every part is known is
another ETag another content.
"""

from __future__ import annotations

import os

from nbsync.core.evidence import Digest
from nbsync.core.hashing import PIECE_BYTES, md5
from nbsync.core.model import RemoteEntry
from nbsync.core.parts import bare_etag, combine_etag, parse_multipart_etag
from nbsync.transfer.context import Context
from nbsync.wire.errors import ServiceError

_ASKED_PARTS = 100  # one HEAD each: beyond that, a question costs more than it is worth


class ToldLayout:
    """What HEAD with PartNumber tells of a multipart object.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html (PartNumber, PartsCount).
    """

    def __init__(self, ctx: Context, remote: RemoteEntry) -> None:
        self._ctx, self._remote = ctx, remote
        multipart = parse_multipart_etag(remote.etag)
        self._count = multipart[1] if multipart else 0
        self._first = self._size_of(1) if self._count else None

    @property
    def equal(self) -> Digest | None:
        """The digest of parts of equal size (but the last), if that is what they may be; None if not, or not told."""
        size, first = self._remote.size, self._first
        return Digest(first) if first and -(-size // first) == self._count else None

    def sizes(self) -> list[int] | None:
        """The size of every part, as the service tells it; None where it does not, or there are too many to ask."""
        if self._first is None or self._count > _ASKED_PARTS:
            return None
        sizes = [self._first]
        for number in range(2, self._count):
            told = self._size_of(number)
            if told is None:
                return None
            sizes.append(told)
        rest = self._remote.size - sum(sizes)
        if self._count > 1:
            sizes.append(rest)
            rest = 0
        return sizes if min(sizes) > 0 and not rest else None

    def _size_of(self, number: int) -> int | None:
        """Bytes of one part; None if it is not told (RGW ignores PartNumber) or the object is another by now."""
        try:
            told = self._ctx.bucket.request(
                "HEAD", self._remote.key, query=[*self._remote.query, ("partNumber", str(number))]
            ).headers
            parts, size = int(told.get("x-amz-mp-parts-count", "0")), int(told.get("content-length", "0"))
        except (ServiceError, ValueError):
            return None
        etag = bare_etag(told.get("etag", ""))  # the object's; some servers give the part's own
        other = parse_multipart_etag(etag) is not None and etag != self._remote.etag
        return size if not other and parts == self._count and size > 0 else None


def etag_of_parts(ctx: Context, fd: int, sizes: list[int]) -> str:
    """The ETag that S3 gives to the open file's content in parts of these sizes.

    Raises:
        InterruptedError: cancelled. OSError.
    """
    digests, offset = [], 0
    for size in sizes:
        digest, end = md5(), offset + size
        while offset < end and (piece := os.pread(fd, min(PIECE_BYTES, end - offset), offset)):
            if ctx.cancelled():
                raise InterruptedError
            digest.update(piece)
            offset += len(piece)
        digests.append(digest.digest())
    return combine_etag(digests)
