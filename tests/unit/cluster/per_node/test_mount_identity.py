"""Which workers share a LOCAL: by the directory itself, not by its name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbsync.cluster.per_node.mount_identity import Ancestor, MountIdentity, find_mount_identity


def here(folder: Path, local: str, patch: pytest.MonkeyPatch) -> MountIdentity:
    patch.chdir(folder)
    return find_mount_identity(local)


def test_a_relative_local_is_another_in_each_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    a, again, b = (here(tmp_path / name, "data", monkeypatch) for name in "aab")
    assert a.ancestors[0] == again.ancestors[0] != b.ancestors[0]
    assert a.ancestors[0].below == "data"
    assert (a.local, a.name) == (f"{tmp_path}/a/data", f"{a.host}:{tmp_path}/a/data")


def test_it_is_the_same_through_a_link_and_after_it_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    before = here(tmp_path / "link", "x/data", monkeypatch)
    assert before.ancestors[0] == here(tmp_path / "real", "x/data", monkeypatch).ancestors[0]
    (tmp_path / "real" / "x" / "data").mkdir(parents=True)
    after = here(tmp_path / "link", "x/data", monkeypatch)
    assert after.ancestors[0] != before.ancestors[0]
    assert after.is_at(before)
    assert not here(tmp_path / "real", "x", monkeypatch).is_at(before)
    assert not after._replace(machine="another").is_at(before)


def test_home_and_the_root_are_places_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_mount_identity("~/data").local == f"{tmp_path}/data"
    root = os.stat("/")
    assert find_mount_identity("/").ancestors == (Ancestor(root.st_dev, root.st_ino, ""),)
    assert find_mount_identity("/nowhere/at/all").ancestors == (Ancestor(root.st_dev, root.st_ino, "nowhere/at/all"),)
