"""Digests of bytes as S3 names content by them. Hashing releases the interpreter's lock."""

from __future__ import annotations

import hashlib
from typing import Any

from nbsync.core.evidence import Digest

PIECE_BYTES = 1 << 20  # so much is read at once of what is hashed


def md5(data: bytes | bytearray | memoryview = b"") -> Any:
    """An MD5 hasher. Not for security: S3 names content by it, so a FIPS build must allow it here."""
    return hashlib.md5(data, usedforsecurity=False)


class Hasher:
    """One digest of a stream of bytes: plain MD5, or the multipart ETag of parts of one size.

    Source of the multipart rule: MD5 of the concatenated binary MD5s of the parts, `-`, their number
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html).
    """

    def __init__(self, digest: Digest) -> None:
        self._part_size = digest.part_size
        self._whole = md5()
        self._part = md5()
        self._room = digest.part_size
        self._parts = 0

    def update(self, data: memoryview) -> None:
        """Take in the next bytes."""
        if not self._part_size:
            self._whole.update(data)
            return
        while len(data) >= self._room:
            self._part.update(data[: self._room])
            data = data[self._room :]
            self._close_part()
        self._part.update(data)
        self._room -= len(data)

    def _close_part(self) -> None:
        self._whole.update(self._part.digest())
        self._parts += 1
        self._part, self._room = md5(), self._part_size

    def value(self) -> str:
        """The digest as S3 would print it in an ETag, without quotes. Call once, at the end."""
        if not self._part_size:
            return str(self._whole.hexdigest())
        if self._room != self._part_size or not self._parts:
            self._close_part()
        return f"{self._whole.hexdigest()}-{self._parts}"
