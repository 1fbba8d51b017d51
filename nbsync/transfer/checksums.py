"""The service's own full-object checksums, computed here. CRC64NVME and CRC32C come from awscrt, in C.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html.
"""

from __future__ import annotations

import base64
import hashlib
import os
import zlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from nbsync.core.hashing import PIECE_BYTES
from nbsync.core.model import Evidence
from nbsync.core.parts import MAX_PARTS, layout

_CHECKSUMS = tuple(kind for kind in Evidence if kind.header)


class Checksum(NamedTuple):
    """A full-object checksum that the service gave: the algorithm and its base64 value."""

    algorithm: Evidence
    value: str


def from_headers(headers: Mapping[str, str]) -> Checksum | None:
    """The full-object checksum in the headers of a GET or HEAD with checksum mode on, or None.

    Composite checksums (`VALUE-N`, of a multipart upload's parts) do not speak of the whole content.
    """
    if headers.get("x-amz-checksum-type", "").upper() == "COMPOSITE":
        return None
    for algorithm in _CHECKSUMS:
        value = headers.get(algorithm.header, "")
        if value and "-" not in value:
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

    Raises: as of_file.
    """
    add, finish = _hasher(algorithm)
    for part in layout(size, part_size):
        add(_digest(fd, part.offset, part.offset + part.length, algorithm, cancelled))
    return base64.b64encode(finish()).decode()


def of_file(fd: int, algorithm: Evidence, cancelled: Callable[[], bool]) -> str:
    """The base64 checksum of the whole open file.

    Raises:
        InterruptedError: `cancelled` said so. OSError.
    """
    return base64.b64encode(_digest(fd, 0, os.fstat(fd).st_size, algorithm, cancelled)).decode()


def _digest(fd: int, offset: int, end: int, algorithm: Evidence, cancelled: Callable[[], bool]) -> bytes:
    """The checksum of a piece of the open file."""
    add, finish = _hasher(algorithm)
    while piece := os.pread(fd, min(PIECE_BYTES, end - offset), offset):
        if cancelled():
            raise InterruptedError
        add(piece)
        offset += len(piece)
    return finish()


def _hasher(algorithm: Evidence) -> tuple[Callable[[bytes], None], Callable[[], bytes]]:
    if algorithm in (Evidence.SHA1, Evidence.SHA256):
        digest = hashlib.new(algorithm.value, usedforsecurity=False)
        return digest.update, digest.digest
    update, width = _crc(algorithm)
    value = 0

    def add(piece: bytes) -> None:
        nonlocal value
        value = update(piece, value)

    return add, lambda: value.to_bytes(width, "big")


def _crc(algorithm: Evidence) -> tuple[Callable[[bytes, int], int], int]:
    if algorithm is Evidence.CRC32:
        return zlib.crc32, 4
    from awscrt import checksums

    return (checksums.crc64nvme, 8) if algorithm is Evidence.CRC64NVME else (checksums.crc32c, 4)
