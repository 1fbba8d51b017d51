"""Installing staged files: what was there is kept, nothing goes through a link, mounts below LOCAL work."""

from __future__ import annotations

import os
import shutil
import tempfile
from errno import EXDEV
from pathlib import Path
from typing import Any

import pytest

from nbsync.local import install, rename
from nbsync.local.install import Installer
from nbsync.local.openat import InTheWay
from nbsync.local.state_dir import StateDir
from tests.unit.local.helpers import before, entry, every_trash, staged, trash


def test_into_new_folders(root: Path, state_dir: StateDir, installer: Installer) -> None:
    at = installer.install(staged(state_dir), "deep/er/f", None, keep_old=False).at

    assert (root / "deep/er/f").read_bytes() == b"new"
    assert (at.st_mtime_ns, at.st_ino) == (123_456_789, (root / "deep/er/f").stat().st_ino)
    assert os.listdir(state_dir.stage) == []


@pytest.mark.parametrize("keep_old", [False, True])
def test_expected_file_is_kept_if_asked(root: Path, state_dir: StateDir, installer: Installer, keep_old: bool) -> None:
    (root / "f").write_bytes(b"old")

    installer.install(staged(state_dir), "f", entry(root, "f"), keep_old=keep_old)

    assert (root / "f").read_bytes() == b"new"
    assert trash(state_dir) == ({"f": b"old"} if keep_old else {})


def test_file_changed_since_is_always_kept(root: Path, state_dir: StateDir, installer: Installer) -> None:
    (root / "f").write_bytes(b"old")
    expected = entry(root, "f")
    (root / "f").write_bytes(b"edited")

    installer.install(staged(state_dir), "f", expected, keep_old=False)

    assert trash(state_dir) == {"f": b"edited"}


def test_unexpected_file_is_always_kept(root: Path, state_dir: StateDir, installer: Installer) -> None:
    (root / "f").write_bytes(b"appeared")

    installer.install(staged(state_dir), "f", None, keep_old=False)

    assert trash(state_dir) == {"f": b"appeared"}


@pytest.mark.parametrize("can_exchange", [True, False])
def test_there_is_a_file_at_every_moment(
    root: Path, state_dir: StateDir, installer: Installer, monkeypatch: pytest.MonkeyPatch, can_exchange: bool
) -> None:
    (root / "f").write_bytes(b"old")
    seen: list[bytes] = []
    if not can_exchange:
        monkeypatch.setattr(rename, "_call", None)
    for module, name in ((rename, "exchange"), (rename.os, "rename"), (rename.os, "unlink"), (rename.os, "link")):
        before(monkeypatch, module, name, lambda: seen.append((root / "f").read_bytes()))

    installer.install(staged(state_dir), "f", None, keep_old=True)

    assert set(seen) <= {b"old", b"new"}
    assert ((root / "f").read_bytes(), trash(state_dir)) == (b"new", {"f": b"old"})


@pytest.mark.parametrize("can_exchange", [True, False])
def test_without_hard_links(
    root: Path, state_dir: StateDir, installer: Installer, monkeypatch: pytest.MonkeyPatch, can_exchange: bool
) -> None:
    def link(*_: Any, **__: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(rename.os, "link", link)
    if not can_exchange:
        monkeypatch.setattr(rename, "_call", None)
    (root / "f").write_bytes(b"old")

    installer.install(staged(state_dir), "f", None, keep_old=True)
    assert installer.delete("f", entry(root, "f"))

    assert every_trash(root) == {"run/f": b"old", "run.2/f": b"new"}
    assert os.listdir(state_dir.stage) == []


def test_mode_of_the_old_file_stays(root: Path, state_dir: StateDir, installer: Installer) -> None:
    (root / "f").write_bytes(b"old")
    (root / "f").chmod(0o640)
    installer.install(staged(state_dir), "f", entry(root, "f"), keep_old=False)
    assert (root / "f").stat().st_mode & 0o7777 == 0o640


def test_linked_parent(root: Path, state_dir: StateDir, installer: Installer, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "sub").mkdir(parents=True)
    (root / "d").symlink_to(outside)

    for path in ("d/f", "d/sub/f"):
        with pytest.raises(InTheWay) as caught:
            installer.install(staged(state_dir), path, None, keep_old=False)
        assert caught.value.args == ("d",)
    assert [path for path in outside.rglob("*") if path.is_file()] == []


def test_parent_that_becomes_a_link_later(
    root: Path, state_dir: StateDir, installer: Installer, tmp_path: Path
) -> None:
    """The open folder stays the one that was checked: nothing is written elsewhere."""
    outside = tmp_path / "outside"
    outside.mkdir()
    installer.install(staged(state_dir), "d/f", None, keep_old=False)
    (root / "d").rename(root / "moved")
    (root / "d").symlink_to(outside)

    installer.install(staged(state_dir), "d/g", None, keep_old=False)

    assert os.listdir(outside) == []


def test_link_in_place_is_replaced_not_followed(
    root: Path, state_dir: StateDir, installer: Installer, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    target.chmod(0o600)
    (root / "f").symlink_to(target)

    installer.install(staged(state_dir), "f", None, keep_old=False)

    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"precious", 0o600)
    assert not (root / "f").is_symlink()
    assert (root / "f").stat().st_mode & 0o111 == 0, "a link's mode is not the file's"
    assert os.readlink(Path(state_dir.trash) / "f") == str(target)


def test_folder_in_place(root: Path, state_dir: StateDir, installer: Installer) -> None:
    (root / "f" / "x").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        installer.install(staged(state_dir), "f", None, keep_old=False)


def test_file_as_parent(root: Path, state_dir: StateDir, installer: Installer) -> None:
    (root / "d").write_bytes(b"a file")
    with pytest.raises(InTheWay):
        installer.install(staged(state_dir), "d/f", None, keep_old=False)


def test_folder_removed_meanwhile_is_made_again(root: Path, state_dir: StateDir, installer: Installer) -> None:
    installer.install(staged(state_dir), "d/f", None, keep_old=False)
    shutil.rmtree(root / "d")

    installer.install(staged(state_dir), "d/g", None, keep_old=False)

    assert os.listdir(root / "d") == ["g"]


def test_many_folders(root: Path, state_dir: StateDir, installer: Installer) -> None:
    """More than are kept open, twice."""
    before = len(os.listdir("/proc/self/fd"))
    for name in "fg":
        for number in range(40):
            installer.install(staged(state_dir), f"{number}/{name}", None, keep_old=False)
    assert len(os.listdir("/proc/self/fd")) - before < 10
    assert len(list(root.glob("[0-9]*/*"))) == 80


def test_delete(root: Path, state_dir: StateDir, installer: Installer) -> None:
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/f").write_bytes(b"gone")
    (root / "a/keep").write_bytes(b"1")

    assert installer.delete("a/b/f", entry(root, "a/b/f"))

    assert trash(state_dir) == {"a/b/f": b"gone"}
    assert os.listdir(root / "a") == ["keep"]


def test_delete_of_what_changed(root: Path, state_dir: StateDir, installer: Installer) -> None:
    (root / "f").write_bytes(b"old")
    expected = entry(root, "f")
    (root / "f").write_bytes(b"edited")

    assert not installer.delete("f", expected)
    assert ((root / "f").read_bytes(), trash(state_dir)) == (b"edited", {})


def test_trash_never_overwrites_itself(root: Path, installer: Installer) -> None:
    """Nor makes names up: each layer has real ones."""
    for content in (b"1", b"2", b"3"):
        (root / "f").write_bytes(content)
        assert installer.to_trash("f")
    (root / "f").mkdir()
    (root / "f/x").write_bytes(b"4")
    assert installer.to_trash("f/x")
    assert every_trash(root) == {"run/f": b"1", "run.2/f": b"2", "run.3/f": b"3", "run.4/f/x": b"4"}


def test_another_file_system_below(
    root: Path, state_dir: StateDir, installer: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mounting needs root, so the system's answer for it is made up: staged again beside the target, then renamed."""
    real, seen = rename.into_nothing, []

    def into_nothing(source: str, *words: Any) -> None:
        seen.append(source)
        if os.path.dirname(source) == state_dir.stage:
            raise OSError(EXDEV, "Invalid cross-device link")
        real(source, *words)

    monkeypatch.setattr(rename, "into_nothing", into_nothing)
    near = root / "mnt"
    near.mkdir()
    monkeypatch.setattr(install, "mount_of", lambda _root, _folder: ("mnt", os.open(near, os.O_RDONLY)))

    at = installer.install(staged(state_dir), "mnt/sub/f", None, keep_old=False).at

    assert ((near / "sub/f").read_bytes(), at.st_mtime_ns) == (b"new", 123_456_789)
    assert len(seen) == 2
    [stage] = (near / ".nbsync").glob("stage-*")
    assert os.listdir(stage) == os.listdir(state_dir.stage) == []
    assert (near / ".nbsync" / ".gitignore").read_text() == "*\n"


def other_device(path: Path) -> Path | None:
    shm = Path("/dev/shm")
    if shm.is_dir() and os.access(shm, os.W_OK) and shm.stat().st_dev != path.stat().st_dev:
        return shm
    return None


def test_trash_on_another_device(root: Path) -> None:
    """The room may be elsewhere: then there is a trash where the files are, and nothing is copied."""
    shm = other_device(root)
    if shm is None:
        pytest.skip("needs /dev/shm to be another file system than the temporary directory")
    with tempfile.TemporaryDirectory(dir=shm) as place:
        state_dir = StateDir(str(root), f"{place}/room", "run", wait=lambda _: True)
        installer = Installer(state_dir)
        (root / "f").write_bytes(b"old")
        (root / "d").mkdir()
        (root / "d/x").write_bytes(b"x")

        installer.to_trash("d")
        installer.install(staged(state_dir), "f", None, keep_old=True)

        [near] = root.glob(".nbsync/trash-*/run")
        assert ((near / "f").read_bytes(), (near / "d/x").read_bytes()) == (b"old", b"x")
        assert trash(state_dir) == {}
        assert state_dir.trash_summary() == (2, 4, 2, 4)
        assert (root / "f").read_bytes() == b"new"
        installer.close()
        state_dir.close()


@pytest.mark.parametrize("links", [True, False])
def test_what_could_not_be_replaced_is_not_in_the_trash(
    root: Path, state_dir: StateDir, installer: Installer, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    (root / "f").write_bytes(b"mine")
    if not links:
        monkeypatch.setattr(rename.os, "link", lambda *_, **__: (_ for _ in ()).throw(PermissionError(1, "no links")))
    monkeypatch.setattr(rename, "exchange", refuse)
    with pytest.raises(OSError):  # noqa: PT011 (which one depends on what is there by then)
        installer.install(staged(state_dir), "f", None, keep_old=True)
    assert (root / "f").read_bytes() == b"mine"
    assert trash(state_dir) == {}
