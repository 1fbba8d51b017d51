"""CRCs of bytes as S3 tells them, and of pieces that were digested side by side. From awscrt, in C.

Source of the names and forms: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

from nbsync.core.model import Evidence


class Crc(NamedTuple):
    """One CRC: of bytes (continued from a value), of two pieces by their CRCs and the second's length; bytes wide."""

    update: Callable[[bytes | memoryview, int], int]
    combine: Callable[[int, int, int], int]
    width: int

    def text(self, value: int) -> str:
        """The value in base64, as headers have it."""
        return base64.b64encode(value.to_bytes(self.width, "big")).decode()

    def whole(self, pieces: Iterable[tuple[int, int]]) -> int:
        """The CRC of adjoining pieces, each given by its CRC and its length in bytes."""
        value = 0
        for crc, length in pieces:
            value = self.combine(value, crc, length)
        return value


def crc_of(kind: Evidence) -> Crc | None:
    """The CRC of this name; None for what is none."""
    if kind not in (Evidence.CRC64NVME, Evidence.CRC32C, Evidence.CRC32):
        return None
    from awscrt import checksums  # a library in C that most commands do not need

    if kind is Evidence.CRC64NVME:
        return Crc(checksums.crc64nvme, checksums.combine_crc64nvme, 8)
    if kind is Evidence.CRC32C:
        return Crc(checksums.crc32c, checksums.combine_crc32c, 4)
    return Crc(zlib.crc32, checksums.combine_crc32, 4)


class CrcHasher:
    """The CRC of a stream of bytes."""

    def __init__(self, crc: Crc) -> None:
        self._crc, self.crc, self.length = crc, 0, 0

    def update(self, data: bytes | memoryview) -> None:
        """Take in the next bytes."""
        self.crc = self._crc.update(data, self.crc)
        self.length += len(data)

    def value(self) -> str:
        """In base64."""
        return self._crc.text(self.crc)
