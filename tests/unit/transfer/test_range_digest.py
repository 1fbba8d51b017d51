"""Digests of ranges that come in any order, some of them left by an earlier run, are those of the whole."""

from __future__ import annotations

import base64
import hashlib
import os
import random
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbsync.core.evidence import MD5, Digest
from nbsync.core.hashing import Hasher
from nbsync.core.model import Evidence
from nbsync.core.parts import layout
from nbsync.transfer.range_digest import InOrder, SideBySide, range_digest
from nbsync.transfer.ranged import MAX_RANGE_BYTES, RANGE_BYTES, length_of_ranges

CONTENT = os.urandom(1_003)
MiB = 1 << 20


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    """The whole file."""
    (tmp_path / "staged").write_bytes(CONTENT)
    fd = os.open(tmp_path / "staged", os.O_RDONLY)
    yield fd
    os.close(fd)


def expected(digest: Digest) -> str:
    if digest.checksum is Evidence.CRC32:
        return base64.b64encode(zlib.crc32(CONTENT).to_bytes(4, "big")).decode()
    hasher = Hasher(digest)
    hasher.update(memoryview(CONTENT))
    return hasher.value()


@pytest.mark.parametrize(("digest", "length", "kind"), [
    (MD5, 100, InOrder),
    (Digest(0, Evidence.CRC32), 100, SideBySide),
    (Digest(0, Evidence.CRC32), 2_000, SideBySide),
    (Digest(50), 100, SideBySide),
    (Digest(100), 100, SideBySide),
    (Digest(300), 100, InOrder),
    (Digest(150), 100, InOrder),
    (Digest(2_000), 100, InOrder),
])  # fmt: skip
@pytest.mark.parametrize("seed", range(4))
def test_any_order(fd: int, digest: Digest, length: int, kind: type, seed: int) -> None:
    chance = random.Random(seed)
    ranges = list(layout(len(CONTENT), length))
    there = {part.number for part in ranges if chance.random() < 0.3}
    one = range_digest(fd, ranges, digest, there, lambda: None)
    assert isinstance(one, kind)
    for part in chance.sample(ranges, len(ranges)):
        if part.number in there:
            continue
        one.wait_for(part)
        done = chance.randrange(part.length + 1)  # of which an earlier run has brought so much
        hasher = one.begin(part, done)
        if hasher is not None:
            hasher.update(memoryview(CONTENT)[part.offset + done : part.offset + part.length])
        one.arrived(part, hasher)
    one.finish()
    assert one.value() == expected(digest)
    assert hashlib.md5(CONTENT).hexdigest() == expected(MD5)


@pytest.mark.parametrize(("size", "part_size", "length"), [
    (100 * MiB, 0, RANGE_BYTES),
    (100_000 * MiB, 0, MAX_RANGE_BYTES),
    (100 * MiB, 8 * MiB, 8 * MiB),
    (100 * MiB, 5 * MiB, 5 * MiB),
    (100_000 * MiB, 5 * MiB, 15 * MiB),
    (100 * MiB, 16 * MiB, 16 * MiB),
    (100 * MiB, 50 * MiB, 50 * MiB // 4),
    (100 * MiB, 50_000_000, 12_500_000),
    (100 * MiB, 50_000_017, RANGE_BYTES),
])  # fmt: skip
def test_ranges_are_aligned_to_parts(size: int, part_size: int, length: int) -> None:
    assert length_of_ranges(size, part_size) == length
