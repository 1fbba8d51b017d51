"""Which names a file system takes for one: asked of the one that the tests run on, which tells all apart."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbsync.core.model import Kind, LocalEntry
from nbsync.core.names import one_form, twin_key
from nbsync.local import folding
from nbsync.local.folding import PROBE, decomposes, file_named, folding_of


def test_names_tell(tmp_path: Path) -> None:
    assert not folding_of(str(tmp_path / "not there yet"))
    (tmp_path / "caf\u00e9").touch()
    assert not folding_of(str(tmp_path))


def test_the_probe_tells(tmp_path: Path) -> None:
    (tmp_path / ".nbsync").mkdir()
    (tmp_path / ".nbsync" / PROBE).touch()
    assert not folding_of(str(tmp_path))
    assert not decomposes(str(tmp_path))
    os.link(tmp_path / ".nbsync" / PROBE, tmp_path / ".nbsync" / "names-e\u0301")
    assert folding_of(str(tmp_path)) is one_form
    os.link(tmp_path / ".nbsync" / PROBE, tmp_path / ".nbsync" / "NAMES-\u00e9")
    assert folding_of(str(tmp_path)) is twin_key


@pytest.mark.parametrize("other", ["A", "cafe\u0301"])
def test_two_names_of_one_file_tell(tmp_path: Path, other: str) -> None:
    name = {"A": "a", "cafe\u0301": "caf\u00e9"}[other]
    (tmp_path / name).touch()
    os.link(tmp_path / name, tmp_path / other)
    assert folding_of(str(tmp_path)) is (twin_key if other == "A" else one_form)


@pytest.mark.parametrize(("kind", "may"), [("ext4", False), ("btrfs", False), ("fuse.x", True), ("hfsplus", True)])
def test_where_no_name_has_an_accent_the_kind_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, may: bool
) -> None:
    monkeypatch.setattr(folding, "_kind", lambda _place: kind)
    assert folding_of(str(tmp_path)) is (one_form if may else None)


def test_the_file_of_a_name(tmp_path: Path) -> None:
    entries = []
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
        at = os.stat(tmp_path / name)
        entries.append(LocalEntry(name, Kind.FILE, at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino))
    os.link(tmp_path / "two", tmp_path / "TWO")  # as if the file system took it for the same
    assert file_named(str(tmp_path), "TWO", entries) == entries[1]
    assert file_named(str(tmp_path), "three", entries) is None
    assert file_named(str(tmp_path), "nul\0", entries) is None
