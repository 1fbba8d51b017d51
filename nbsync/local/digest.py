"""Digests of local files, read whole while nobody changes them. Runs in worker threads; hashing releases the GIL."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from typing import Any

from nbsync.core.evidence import Digest
from nbsync.core.model import LocalEntry

PIECE_BYTES = 1 << 20


class FileChanged(Exception):
    """The file is not, or did not stay, as it was seen."""


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


def digest_file(
    path: str, entry: LocalEntry, digests: Sequence[Digest], *, cancelled: Callable[[], bool]
) -> dict[Digest, str]:
    """The digests of the file at `path`, all in one reading.

    Raises:
        FileChanged: it is not the file of `entry`, or changed while it was read.
        OSError: it cannot be read. InterruptedError: `cancelled` said so.
    """
    hashers = [Hasher(digest) for digest in digests]
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if not same_stat(os.fstat(fd), entry):
            raise FileChanged
        buffer = memoryview(bytearray(min(PIECE_BYTES, entry.size + 1)))
        done = 0
        while count := os.readv(fd, [buffer]):
            if cancelled():
                raise InterruptedError
            for hasher in hashers:
                hasher.update(buffer[:count])
            done += count
        if done != entry.size or not same_stat(os.fstat(fd), entry):
            raise FileChanged
    finally:
        os.close(fd)
    return {digest: hasher.value() for digest, hasher in zip(digests, hashers, strict=True)}


def same_stat(at: os.stat_result, entry: LocalEntry) -> bool:
    """Is `at` the stat that `entry` was made from?"""
    return (
        at.st_size == entry.size
        and at.st_mtime_ns == entry.mtime_ns
        and at.st_ctime_ns == entry.ctime_ns
        and at.st_ino == entry.inode
    )
