"""Digests of local files, read whole while nobody changes them. Runs in worker threads; hashing releases the GIL."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from nbsync.core.evidence import Digest
from nbsync.core.hashing import PIECE_BYTES, Hasher
from nbsync.core.model import LocalEntry


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
