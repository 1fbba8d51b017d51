"""The service's checksums: which header speaks of the whole object, and what a file's value is."""

from __future__ import annotations

import base64
import hashlib
import os
import zlib
from pathlib import Path

import pytest

from nbsync.core.evidence import Digest
from nbsync.core.model import Evidence
from nbsync.local.digest import digest_open
from nbsync.transfer.checksums import Checksum, Composite, composite_from_headers, from_headers, of_parts


@pytest.mark.parametrize(("headers", "found"), [
    ({}, None),
    ({"x-amz-checksum-crc32": "AAAAAA=="}, Checksum(Evidence.CRC32, "AAAAAA==")),
    ({"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-type": "FULL_OBJECT"}, Checksum(Evidence.CRC32, "AAAAAA==")),
    ({"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-type": "COMPOSITE"}, None),
    ({"x-amz-checksum-sha256": "abc=-3"}, None),
    ({"x-amz-checksum-crc32": "A", "x-amz-checksum-crc64nvme": "B"}, Checksum(Evidence.CRC64NVME, "B")),
    ({"x-amz-checksum-unknown": "A"}, None),
])  # fmt: skip
def test_from_headers(headers: dict[str, str], found: Checksum | None) -> None:
    assert from_headers(headers) == found


def value(path: Path, algorithm: Evidence) -> bytes:
    fd = os.open(path, os.O_RDONLY)
    try:
        digest = Digest(0, algorithm)
        return base64.b64decode(digest_open(fd, [digest], cancelled=lambda: False)[digest])
    finally:
        os.close(fd)


@pytest.mark.parametrize("size", [0, 9, 1 << 20, (1 << 20) + 1])
def test_of_file(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "f").write_bytes(content)
    assert value(tmp_path / "f", Evidence.CRC32) == zlib.crc32(content).to_bytes(4, "big")
    assert value(tmp_path / "f", Evidence.SHA1) == hashlib.sha1(content).digest()
    assert value(tmp_path / "f", Evidence.SHA256) == hashlib.sha256(content).digest()


def test_check_values(tmp_path: Path) -> None:
    """Of "123456789", as in the catalogue of parametrised CRC algorithms (CRC-32/ISCSI, CRC-64/NVME)."""
    (tmp_path / "f").write_bytes(b"123456789")
    assert value(tmp_path / "f", Evidence.CRC32C).hex() == "e3069283"
    assert value(tmp_path / "f", Evidence.CRC64NVME).hex() == "ae8b14860a799888"


def test_cancelled(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"1")
    fd = os.open(tmp_path / "f", os.O_RDONLY)
    with pytest.raises(InterruptedError):
        digest_open(fd, [Digest(0, Evidence.CRC32)], cancelled=lambda: True)
    os.close(fd)


@pytest.mark.parametrize(("headers", "found"), [
    ({}, None),
    ({"x-amz-checksum-crc32": "AAAAAA=="}, None),
    ({"x-amz-checksum-crc32": "AAAAAA==-3", "x-amz-checksum-type": "COMPOSITE"},
     Composite(Evidence.CRC32, "AAAAAA==", 3)),
    ({"x-amz-checksum-sha256": "abc=-0"}, None),
    ({"x-amz-checksum-sha256": "abc=-10001"}, None),
    ({"x-amz-checksum-sha256": "abc=-x"}, None),
])  # fmt: skip
def test_composite_from_headers(headers: dict[str, str], found: Composite | None) -> None:
    assert composite_from_headers(headers) == found


def test_of_parts(tmp_path: Path) -> None:
    content = os.urandom(2_500_000)
    (tmp_path / "f").write_bytes(content)
    parts = [content[at : at + 1_200_000] for at in range(0, len(content), 1_200_000)]
    sha1 = hashlib.sha1(b"".join(hashlib.sha1(part).digest() for part in parts)).digest()
    crc = zlib.crc32(b"".join(zlib.crc32(part).to_bytes(4, "big") for part in parts)).to_bytes(4, "big")
    fd = os.open(tmp_path / "f", os.O_RDONLY)
    for algorithm, expected in [(Evidence.SHA1, sha1), (Evidence.CRC32, crc)]:
        assert base64.b64decode(of_parts(fd, len(content), 1_200_000, algorithm, lambda: False)) == expected
    os.close(fd)
