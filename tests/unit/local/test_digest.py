"""Digests of files: all in one reading, and never of a file that did not stay as it was."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from nbsync.core.evidence import MD5, Digest
from nbsync.core.model import Kind, LocalEntry
from nbsync.core.parts import MiB
from nbsync.local import digest
from nbsync.local.digest import FileChanged, digest_file, same_stat


def entry(path: Path) -> LocalEntry:
    at = path.stat()
    return LocalEntry(path.name, Kind.FILE, at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino)


def of(path: Path, seen: LocalEntry, *digests: Digest) -> dict[Digest, str]:
    return digest_file(str(path), seen, digests, cancelled=lambda: False)


@pytest.mark.parametrize("size", [0, 1, MiB - 1, MiB, MiB + 1, 3 * MiB])
def test_several_in_one_reading(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "f").write_bytes(content)

    values = of(tmp_path / "f", entry(tmp_path / "f"), MD5, Digest(max(size, 1)), Digest(700_001))

    assert values[MD5] == hashlib.md5(content).hexdigest()
    assert values[Digest(max(size, 1))] == hashlib.md5(hashlib.md5(content).digest()).hexdigest() + "-1"
    parts = [content[at : at + 700_001] for at in range(0, max(size, 1), 700_001)]
    whole = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts)).hexdigest()
    assert values[Digest(700_001)] == f"{whole}-{len(parts)}"


@pytest.mark.parametrize("field", ["size", "mtime_ns", "ctime_ns", "inode"])
def test_another_file_than_was_seen(tmp_path: Path, field: str) -> None:
    (tmp_path / "f").write_bytes(b"1")
    with pytest.raises(FileChanged):
        of(tmp_path / "f", entry(tmp_path / "f")._replace(**{field: 7}), MD5)


@pytest.mark.parametrize("change", [b"same size!", b"grown, and longer", b"cut"])
def test_file_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: bytes) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    os.utime(path, ns=(1, 1))
    seen, real, todo = entry(path), os.readv, [change]

    def readv(fd: int, buffers: list[memoryview]) -> int:
        count = real(fd, buffers)
        if todo:
            path.write_bytes(todo.pop())
        return count

    monkeypatch.setattr(digest.os, "readv", readv)
    with pytest.raises(FileChanged):
        of(path, seen, MD5)


def test_cancelled(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"1")
    with pytest.raises(InterruptedError):
        digest_file(str(tmp_path / "f"), entry(tmp_path / "f"), [MD5], cancelled=lambda: True)


def test_same_stat(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"1")
    seen = entry(tmp_path / "f")
    assert same_stat((tmp_path / "f").stat(), seen)
    os.utime(tmp_path / "f", ns=(1, seen.mtime_ns))  # the same mtime, but a later ctime
    assert not same_stat((tmp_path / "f").stat(), seen._replace(ctime_ns=seen.ctime_ns - 1))
