"""When two names are links of one file: by all that they say and hold, not by their number."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbsync.local.openat import FOLDER
from nbsync.local.same_file import are_links, is_one_file, is_unwritten


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    """The test's folder, open."""
    fd = os.open(tmp_path, FOLDER)
    yield fd
    os.close(fd)


class OneNumber:
    """A file system on which every file has one number, two links and one time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = os.stat
        fields = {"st_ino": 1, "st_nlink": 2, "st_mtime_ns": 5, "st_ctime_ns": 5}

        class Stat:
            def __init__(self, at: os.stat_result) -> None:
                self._at = at

            def __getattr__(self, name: str) -> object:
                return fields.get(name, getattr(self._at, name))

        monkeypatch.setattr("nbsync.local.same_file.os.stat", lambda *words, **more: Stat(real(*words, **more)))


def test_links_are_one_file(tmp_path: Path, fd: int) -> None:
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    os.link(tmp_path / "a", tmp_path / "b")
    assert is_one_file("a", fd, "b", fd)
    assert is_one_file(str(tmp_path / "a"), None, "b", fd)


def test_links_to_a_link(tmp_path: Path, fd: int) -> None:
    (tmp_path / "a").symlink_to("nowhere")
    os.link(tmp_path / "a", tmp_path / "b", follow_symlinks=False)
    assert is_one_file("a", fd, "b", fd)


@pytest.mark.parametrize("other", [b"my edit", b"theirs.", b"longer than it"])
@pytest.mark.parametrize("lies", [True, False])
def test_other_contents_are_not(
    tmp_path: Path, fd: int, other: bytes, lies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"my file")
    (tmp_path / "b").write_bytes(other)
    if lies:
        OneNumber(monkeypatch)
    assert not is_one_file("a", fd, "b", fd)


def test_what_cannot_be_compared_is_not(tmp_path: Path, fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe is not opened; what is gone is nothing's twin; links with other targets."""
    for name in "ab":
        os.mkfifo(tmp_path / name)
    (tmp_path / "c").symlink_to("d")
    (tmp_path / "d").symlink_to("c")
    OneNumber(monkeypatch)
    assert not is_one_file("a", fd, "b", fd)
    assert not is_one_file("a", fd, "gone", fd)
    assert not is_one_file("c", fd, "d", fd)


def test_a_name_alone_is_no_link_and_a_move_is_no_writing(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    before = os.stat(tmp_path / "a")
    assert not are_links(before, before)
    os.rename(tmp_path / "a", tmp_path / "b")
    assert is_unwritten(os.stat(tmp_path / "b"), before)
    os.utime(tmp_path / "b", ns=(1, 1))
    assert not is_unwritten(os.stat(tmp_path / "b"), before)
