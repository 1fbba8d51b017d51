"""The scan: its order, what it shows of odd entries, and what it keeps to itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsync.core.model import Kind
from nbsync.errors import LocalError
from nbsync.local import scan as local
from nbsync.local.scan import kept_below, scan


def touch(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"1")


NAMES = st.text("a!-.0z\U0001f600\uffff", min_size=1, max_size=3).filter(lambda name: name not in (".", ".."))
PATHS = st.lists(st.lists(NAMES, min_size=1, max_size=3).map("/".join), max_size=10)


@given(PATHS)
def test_order_is_that_of_the_whole_path(tmp_path_factory: pytest.TempPathFactory, paths: list[str]) -> None:
    root = tmp_path_factory.mktemp("tree")
    made = set()
    for path in paths:
        if not any(f"{other}/".startswith(f"{path}/") or f"{path}/".startswith(f"{other}/") for other in made):
            touch(root, path)
            made.add(path)

    assert [entry.path for entry in scan(str(root))] == sorted(made, key=str.encode)


def test_traps_of_order(tmp_path: Path) -> None:
    paths = ["xyz-1", "xyz/test", "xyz0", "xyz1/test", "xyz!"]
    touch(tmp_path, *paths)
    assert [entry.path for entry in scan(str(tmp_path))] == ["xyz!", "xyz-1", "xyz/test", "xyz0", "xyz1/test"]


def test_stat(tmp_path: Path) -> None:
    touch(tmp_path, "f")
    os.utime(tmp_path / "f", ns=(1, 1_672_628_645_123_456_789))
    at = (tmp_path / "f").stat()
    [entry] = scan(str(tmp_path))
    assert entry == ("f", Kind.FILE, 1, 1_672_628_645_123_456_789, at.st_ctime_ns, at.st_ino, "")


def test_odd_entries(tmp_path: Path) -> None:
    touch(tmp_path, "file", "folder/x")
    os.mkfifo(tmp_path / "fifo")
    for name, target in (("broken", "nowhere"), ("link", "file"), ("linked", "folder"), ("self", "self")):
        (tmp_path / name).symlink_to(target)
    (tmp_path / os.fsdecode(b"\xff")).write_bytes(b"")
    (tmp_path / "empty").mkdir()

    found = {entry.path: entry.kind for entry in scan(str(tmp_path))}

    assert found == {
        "broken": Kind.BROKEN_LINK, "fifo": Kind.SPECIAL, "file": Kind.FILE, "folder/x": Kind.FILE,
        "link": Kind.SYMLINK, "linked": Kind.SYMLINK, "self": Kind.BROKEN_LINK, "\udcff": Kind.UNREADABLE}  # fmt: skip


def test_links_followed(tmp_path: Path) -> None:
    touch(tmp_path, "root/real/x", "outside/y")
    root = tmp_path / "root"
    (root / "file").symlink_to(tmp_path / "outside" / "y")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "real" / "up").symlink_to("..")
    (tmp_path / "outside" / "back").symlink_to(root / "real")
    os.mkfifo(tmp_path / "fifo")
    (root / "fifo").symlink_to(tmp_path / "fifo")

    found = {entry.path: entry.kind for entry in scan(str(root), follow_symlinks=True)}

    assert found == {
        "fifo": Kind.SPECIAL, "file": Kind.FILE, "folder/back/up": Kind.UNREADABLE, "folder/back/x": Kind.FILE,
        "folder/y": Kind.FILE, "real/up": Kind.UNREADABLE, "real/x": Kind.FILE}  # fmt: skip


@pytest.mark.parametrize(
    "target",
    ["..", ".", "../..", "../../..", "/", "{top}/side/../root"],
    ids=["parent", "itself", "LOCAL's parent", "further up", "the top of all", "by another way"],
)
def test_links_that_lead_back_are_not_followed(tmp_path: Path, target: str) -> None:
    """Each file once, however far above it the link leads."""
    touch(tmp_path, "root/d/x", "side/y")
    root = tmp_path / "root"
    (root / "d" / "back").symlink_to(target.format(top=tmp_path))
    (root / "d" / "side").symlink_to(tmp_path / "side")

    found = {entry.path: entry.kind for entry in scan(str(root), follow_symlinks=True)}

    assert found == {"d/back": Kind.UNREADABLE, "d/side/y": Kind.FILE, "d/x": Kind.FILE}


def test_links_that_lead_back_from_outside_are_not_followed(tmp_path: Path) -> None:
    """Also if LOCAL itself is a link, and if what holds the link was reached by one."""
    touch(tmp_path, "top/root/x", "other/side/y", "other/z")
    root, side = tmp_path / "top" / "root", tmp_path / "other" / "side"
    (root / "side").symlink_to(side)
    for name, target in (("to LOCAL", root), ("above LOCAL", tmp_path / "top"), ("above the link", side.parent)):
        (side / name).symlink_to(target)
    (tmp_path / "local").symlink_to(root)

    found = {entry.path: entry.kind for entry in scan(str(tmp_path / "local"), follow_symlinks=True)}

    back = {f"side/{name}": Kind.UNREADABLE for name in ("to LOCAL", "above LOCAL", "above the link")}
    assert found == {**back, "side/y": Kind.FILE, "x": Kind.FILE}


def test_links_are_followed_where_all_folders_have_one_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on some file systems in user space."""
    touch(tmp_path, "root/d/x", "side/y")
    (tmp_path / "root" / "d" / "side").symlink_to(tmp_path / "side")
    stat = os.stat
    monkeypatch.setattr(local.os, "stat", lambda *where, **how: _numbered_1(stat(*where, **how)))

    found = [entry.path for entry in scan(str(tmp_path / "root"), follow_symlinks=True)]

    assert found == ["d/side/y", "d/x"]


def _numbered_1(at: os.stat_result) -> os.stat_result:
    return os.stat_result((at.st_mode, 1, *at[2:]))


@pytest.mark.parametrize("name", [".nbsync", ".NBSYNC", ".nbSync", ".nb\u017fync"])
def test_own_room_is_not_shown(tmp_path: Path, name: str) -> None:
    touch(tmp_path, f"{name}/state", f"sub/{name}/x", "sub/.nbsync2", ".nbsyn")
    touch(tmp_path, f"file/{name}")

    assert [entry.path for entry in scan(str(tmp_path))] == [".nbsyn", "sub/.nbsync2"]


def test_folder_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked through os.access, because root may read everything."""
    touch(tmp_path, "locked/x", "ok")
    monkeypatch.setattr(local.os, "access", lambda path, _mode: not str(path).endswith("locked"))

    assert [(e.path, e.kind) for e in scan(str(tmp_path))] == [
        ("locked", Kind.UNREADABLE_FOLDER), ("ok", Kind.FILE)]  # fmt: skip


def test_folder_that_fails_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "bad/x", "ok")
    real = os.scandir

    def scandir(path: str) -> object:
        if path.endswith("bad"):
            raise OSError(5, "Input/output error")
        return real(path)

    monkeypatch.setattr(local.os, "scandir", scandir)
    with pytest.raises(LocalError, match="Input/output error"):
        list(scan(str(tmp_path)))


def test_missing_root(tmp_path: Path) -> None:
    with pytest.raises(LocalError):
        list(scan(str(tmp_path / "none")))


@pytest.mark.parametrize(("path", "words"), [
    ("x", ""), ("deep/er/x", ""), (".nbsync/x", "nbsync's own"), ("deep/.NBSYNC/x", "nbsync's own"),
    ("keep.me", "a/keep.me, which is excluded"), ("deep/keep.me", "a/deep/keep.me, which is excluded")])  # fmt: skip
def test_kept_below(tmp_path: Path, path: str, words: str) -> None:
    touch(tmp_path, "other", path)
    kept = kept_below(str(tmp_path), "a", lambda p: not p.endswith(".me"))
    assert words in kept
    assert bool(kept) is bool(words)


def test_links_are_kept(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    assert kept_below(str(tmp_path), "a", lambda _: True) == "a/link, which is no regular file"
