"""The checksums that the service gives of an object, of the whole or of its parts.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

from nbsync.core.evidence import Digest
from nbsync.core.hashing import PIECE_BYTES
from nbsync.core.model import Evidence
from nbsync.core.parts import MAX_PARTS, bare_etag, layout, parse_multipart_etag
from nbsync.local.crc import crc_of
from nbsync.local.digest import hasher_of

_CHECKSUMS = tuple(kind for kind in Evidence if kind.header)


class Checksum(NamedTuple):
    """A full-object checksum that the service gave: the algorithm and its base64 value."""

    algorithm: Evidence
    value: str

    @property
    def digest(self) -> Digest:
        """How to compute it."""
        return Digest(0, self.algorithm)

    @property
    def is_quick(self) -> bool:
        """Does it cost much less than an MD5, and can pieces be digested side by side?"""
        return crc_of(self.algorithm) is not None


def from_headers(headers: Mapping[str, str]) -> Checksum | None:
    """The full-object checksum in the headers of a GET or HEAD with checksum mode on, or None.

    Composite checksums (`VALUE-N`, of a multipart upload's parts) do not speak of the whole content. Of an object in
    parts, only CRC64NVME does so always; the others do where the service says so, for some services write a composite
    one without its `-N`.
    """
    kind = headers.get("x-amz-checksum-type", "").upper()
    unsaid = not kind and parse_multipart_etag(bare_etag(headers.get("etag", ""))) is not None
    for algorithm in _CHECKSUMS if kind != "COMPOSITE" else ():
        value = headers.get(algorithm.header, "")
        if value and "-" not in value and not (unsaid and algorithm is not Evidence.CRC64NVME):
            return Checksum(algorithm, value)
    return None


class Composite(NamedTuple):
    """A checksum over the checksums of an object's parts: the algorithm, its base64 value, how many parts."""

    algorithm: Evidence
    value: str
    parts: int


def composite_from_headers(headers: Mapping[str, str]) -> Composite | None:
    """The composite checksum in the headers of a GET or HEAD with checksum mode on, or None."""
    for algorithm in _CHECKSUMS:
        value, dash, count = headers.get(algorithm.header, "").partition("-")
        if dash and count.isascii() and count.isdigit() and 0 < int(count) <= MAX_PARTS:
            return Composite(algorithm, value, int(count))
    return None


def of_parts(fd: int, size: int, part_size: int, algorithm: Evidence, cancelled: Callable[[], bool]) -> str:
    """The base64 composite checksum of the open file of `size` bytes in parts of `part_size`.

    Raises:
        InterruptedError: `cancelled` said so. OSError.
    """
    whole = hasher_of(Digest(0, algorithm))
    for part in layout(size, part_size):
        one = hasher_of(Digest(0, algorithm))
        for at in range(part.offset, part.offset + part.length, PIECE_BYTES):
            if cancelled():
                raise InterruptedError
            one.update(memoryview(os.pread(fd, min(PIECE_BYTES, part.offset + part.length - at), at)))
        whole.update(memoryview(base64.b64decode(one.value())))
    return whole.value()
