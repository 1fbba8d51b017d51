"""Digests of local files, read whole while nobody changes them. Runs in worker threads; hashing releases the GIL."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Sequence
from typing import Protocol

from nbsync.core.evidence import Digest
from nbsync.core.hashing import PIECE_BYTES, Hasher
from nbsync.core.model import Evidence, LocalEntry
from nbsync.local.crc import CrcHasher, crc_of


class FileChanged(Exception):
    """The file is not, or did not stay, as it was seen."""


def digest_file(
    path: str, entry: LocalEntry, digests: Sequence[Digest], *, cancelled: Callable[[], bool]
) -> dict[Digest, str]:
    """The digests of the file at `path`, all in one reading.

    Raises:
        FileChanged: it is not the file of `entry`, or changed while it was read.
        OSError: it cannot be read. InterruptedError: `cancelled` said so.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if not same_stat(os.fstat(fd), entry):
            raise FileChanged
        values = digest_open(fd, digests, cancelled=cancelled)
        if not same_stat(os.fstat(fd), entry):
            raise FileChanged
    finally:
        os.close(fd)
    return values


def digest_open(fd: int, digests: Sequence[Digest], *, cancelled: Callable[[], bool]) -> dict[Digest, str]:
    """The digests of the whole open file, all in one reading.

    Raises:
        FileChanged: it grew or shrank. OSError: it cannot be read. InterruptedError: `cancelled` said so.
    """
    hashers = [hasher_of(digest) for digest in digests]
    size, done = os.fstat(fd).st_size, 0
    buffer = memoryview(bytearray(min(PIECE_BYTES, size + 1)))
    os.lseek(fd, 0, os.SEEK_SET)
    while count := os.readv(fd, [buffer]):
        if cancelled():
            raise InterruptedError
        for hasher in hashers:
            hasher.update(buffer[:count])
        done += count
    if done != size:
        raise FileChanged
    return {digest: hasher.value() for digest, hasher in zip(digests, hashers, strict=True)}


class StreamHasher(Protocol):
    """Computes one digest of a stream of bytes; `value` is asked for once, at its end."""

    def update(self, data: memoryview, /) -> None: ...

    def value(self) -> str: ...


def hasher_of(digest: Digest) -> StreamHasher:
    """What computes this digest."""
    if digest.checksum is None:
        return Hasher(digest)
    crc = crc_of(digest.checksum)
    return CrcHasher(crc) if crc is not None else _Sha(digest.checksum)


class _Sha:
    def __init__(self, kind: Evidence) -> None:
        self._hash = hashlib.new(kind.value, usedforsecurity=False)
        self.update = self._hash.update

    def value(self) -> str:
        return base64.b64encode(self._hash.digest()).decode()


def same_stat(at: os.stat_result, entry: LocalEntry) -> bool:
    """Is `at` the stat that `entry` was made from?"""
    return (
        at.st_size == entry.size
        and at.st_mtime_ns == entry.mtime_ns
        and at.st_ctime_ns == entry.ctime_ns
        and at.st_ino == entry.inode
    )
