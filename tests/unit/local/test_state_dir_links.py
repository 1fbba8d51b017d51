"""The room leads nowhere: nothing in it is reached through a link, and it is where LOCAL is, or said not to be."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbsync.errors import LocalError
from nbsync.local import lease, trash, trash_contents
from nbsync.local import state_dir as module
from nbsync.local.install import Installer
from nbsync.local.openat import mount_of
from nbsync.local.place import find_place
from nbsync.local.restore import Restorer
from nbsync.local.state_dir import StateDir, holds_work
from tests.unit.local.helpers import staged


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty LOCAL."""
    root = tmp_path / "deep" / "local"
    root.mkdir(parents=True)
    return root


@pytest.fixture
def treasure(tmp_path: Path) -> Path:
    """A file of the user's, outside LOCAL."""
    treasure = tmp_path / "treasure"
    treasure.write_text("gold")
    return treasure


def opened(root: Path) -> StateDir:
    return StateDir(str(root), str(root / ".nbsync"), "run", wait=lambda _: True)


def test_lock_is_not_written_through_a_link(root: Path, treasure: Path) -> None:
    (root / ".nbsync").mkdir()
    (root / ".nbsync/lock").symlink_to(treasure)
    with pytest.raises(LocalError, match=r"lock is a symbolic link.*Remove it"):
        opened(root)
    assert treasure.read_text() == "gold"


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_lock_is_a_file(root: Path, kind: str) -> None:
    place = root / ".nbsync"
    place.mkdir()
    (place / "lock").mkdir() if kind == "folder" else os.mkfifo(place / "lock")
    with pytest.raises(LocalError, match="not a file"):
        opened(root)


def test_gitignore_is_not_written_through_a_link(root: Path, tmp_path: Path) -> None:
    (root / ".nbsync").mkdir()
    (root / ".nbsync/.gitignore").symlink_to(tmp_path / "made elsewhere")
    opened(root).close()
    assert not (tmp_path / "made elsewhere").exists()


def test_purge_does_not_follow(root: Path, tmp_path: Path) -> None:
    """A link in the trash is not ours: what it leads to is not, either, however old."""
    state_dir = opened(root)
    old = tmp_path / "old"
    old.mkdir()
    (old / "f").write_text("mine")
    os.utime(old, (1, 1))
    trash = root / ".nbsync/trash"
    trash.mkdir()
    (trash / "link").symlink_to(old)
    state_dir.purge_trash(1e10)
    state_dir.close()
    assert (old / "f").read_text() == "mine"
    assert os.listdir(trash) == ["link"]


def test_room_that_cannot_be_written_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As another user's, whose lock, say, we may not write: a pull says so, and does nothing elsewhere."""
    opened(root).close()
    allowed = os.access
    monkeypatch.setattr(module.os, "access", lambda path, mode: not path.endswith("lock") and allowed(path, mode))
    place = find_place(str(root), elsewhere=False)
    assert place == str(root / ".nbsync")
    with pytest.raises(LocalError, match="cannot be written"):
        StateDir(str(root), place, "run", wait=lambda _: True)
    assert not find_place(str(root), elsewhere=True).startswith(str(root)), "a push leaves LOCAL alone"


def test_file_for_a_room_is_no_reason_to_go_elsewhere(root: Path) -> None:
    (root / ".nbsync").write_text("")
    assert find_place(str(root), elsewhere=True) == str(root / ".nbsync")


def test_staging_never_climbs_above_local(root: Path) -> None:
    """Though LOCAL lies on the file system of the folders above it."""
    state_dir = opened(root)
    (root / "a/b").mkdir(parents=True)
    for folder in ("", "a/b"):
        prefix, top = mount_of(state_dir.root, folder)
        assert prefix == ""
        assert os.path.samestat(os.fstat(top), root.stat())
        os.close(top)
    state_dir.close()


def test_staging_on_a_mount_is_emptied_once_a_run(root: Path) -> None:
    mount = root / "mount"
    mount.mkdir()
    top = os.open(mount, os.O_RDONLY)
    first = opened(root)
    killed = os.open("123-0", os.O_CREAT | os.O_WRONLY, dir_fd=first.stage_near(top))
    os.close(killed)
    assert os.listdir(first.stage_near(top)) == ["123-0"], "other workers of the run are at work in it"
    first.close()

    second = opened(root)
    assert os.listdir(second.stage_near(top)) == []
    second.close()
    os.close(top)
    assert (mount / ".nbsync/.gitignore").read_text() == "*\n"


def test_what_workers_stage_on_a_mount_while_it_is_emptied_stays(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mount = root / "mount"
    mount.mkdir()
    top = os.open(mount, os.O_RDONLY)
    killed = opened(root)
    os.close(os.open("123-0", os.O_CREAT | os.O_WRONLY, dir_fd=killed.stage_near(top)))
    killed.close()
    state_dir = opened(root)
    state_dir.guests = lease.issue(state_dir.stage)
    names = [f"{state_dir.guests.staged()}-{number}" for number in range(3)]
    listdir = os.listdir

    def a_worker_stages_first(folder: int) -> list[str]:
        os.close(os.open(names.pop(), os.O_CREAT | os.O_WRONLY, dir_fd=folder))
        return listdir(folder)

    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", a_worker_stages_first)
        near = state_dir.stage_near(top)
    assert len(listdir(near)) == 3 - len(names)
    state_dir.close()
    os.close(top)


def test_two_locals_do_not_share_the_staging_on_a_mount(tmp_path: Path) -> None:
    """Each empties its own, under its own lock."""
    mount = tmp_path / "mount"
    for name in ("one", "two", "mount"):
        (tmp_path / name).mkdir()
    top = os.open(mount, os.O_RDONLY)
    one, two, itself = (opened(tmp_path / name) for name in ("one", "two", "mount"))
    os.close(os.open("busy", os.O_CREAT | os.O_WRONLY, dir_fd=one.stage_near(top)))
    assert os.listdir(two.stage_near(top)) == []
    assert os.listdir(one.stage_near(top)) == ["busy"]
    for state_dir in (one, two, itself):
        state_dir.close()
    opened(mount).close()
    assert len(list(mount.glob(".nbsync/*/busy"))) == 1, "nor does a run on the mount itself"
    os.close(top)


@pytest.mark.parametrize("part", ["", "stage"])
def test_staging_on_a_mount_is_not_reached_through_a_link(root: Path, tmp_path: Path, part: str) -> None:
    elsewhere, mount = tmp_path / "elsewhere", root / "mount"
    elsewhere.mkdir()
    mount.mkdir()
    (elsewhere / "precious").write_text("gold")
    state_dir = opened(root)
    top = os.open(mount, os.O_RDONLY)
    if part:
        os.close(os.dup(state_dir.stage_near(top)))
        state_dir.close()
        [stage] = mount.glob(".nbsync/stage-*")
        stage.rmdir()
        stage.symlink_to(elsewhere)
        state_dir = opened(root)
    else:
        (mount / ".nbsync").symlink_to(elsewhere)
    with pytest.raises(OSError, match="remove it"):
        state_dir.stage_near(top)
    state_dir.close()
    os.close(top)
    assert os.listdir(elsewhere) == ["precious"]


@pytest.fixture
def mounted(root: Path) -> Iterator[Path]:
    """A file system of its own below LOCAL; only root may make one."""
    mount = root / "m"
    mount.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(mount)], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("not allowed to mount")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)


def test_a_real_mount_below_local(root: Path, mounted: Path) -> None:
    state_dir = opened(root)
    installer = Installer(state_dir)
    staged = Path(state_dir.stage, "1-0")
    staged.write_text("new")
    os.utime(staged, ns=(123_456_789, 123_456_789))

    at = installer.install(str(staged), "m/sub/f", None, keep_old=False).at

    assert ((mounted / "sub/f").read_text(), at.st_mtime_ns) == ("new", 123_456_789)
    assert [os.listdir(stage) for stage in mounted.glob(".nbsync/stage-*")] == [[]]
    assert not (root.parent / ".nbsync").exists()
    installer.close()
    state_dir.close()


def test_trash_of_a_real_mount_below_local(root: Path, mounted: Path) -> None:
    """It stays on the mount, by a rename; the summary counts it, undo finds it there, and its week ends too."""
    (mounted / "sub").mkdir()
    for path, content in (("sub/f", b"old"), ("sub/gone", b"gone")):
        (mounted / path).write_bytes(content)
    state_dir = StateDir(str(root), str(root / ".nbsync"), "2026-11-24T200401Z-000000000-1", wait=lambda _: True)
    installer = Installer(state_dir)
    installer.install(staged(state_dir), "m/sub/f", None, keep_old=True)
    assert installer.to_trash("m/sub/gone")
    installer.close()
    assert state_dir.trash_summary()[:2] == (2, 7)
    state_dir.close()

    again = StateDir(str(root), str(root / ".nbsync"), "2026-11-24T200402Z-000000000-1", wait=lambda _: True)
    with again.homes() as homes:
        [run] = trash.newest_first(homes)
        restorer = Restorer(again, "the run")
        assert [str(outcome and outcome.status) for outcome in map(restorer.do, trash_contents.items(homes, run))] == [
            "miss"
        ] * 2
        restorer.close()
    assert [(mounted / "sub" / name).read_bytes() for name in ("f", "gone")] == [b"old", b"gone"]
    assert again.trash_summary()[:2] == (1, 3), "what was replaced"
    again.purge_trash(1e10)
    assert again.trash_summary() == (0, 0, 0, 0)
    again.close()


def test_purge_keeps_to_its_file_system(root: Path, tmp_path: Path) -> None:
    """A folder that was moved with a mount in it."""
    state_dir = opened(root)
    kept = root / ".nbsync/trash/old/folder/mount"
    kept.mkdir(parents=True)
    (kept.parent / "f").write_bytes(b"1")
    (kept.parent / "closed").mkdir(mode=0o500)
    done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(kept)], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("not allowed to mount")
    try:
        (kept / "precious").write_bytes(b"gold")
        state_dir.purge_trash(1e10)
        assert (kept / "precious").read_bytes() == b"gold"
        assert os.listdir(kept.parent) == ["mount"]
    finally:
        subprocess.run(["umount", "-l", str(kept)], check=True)
    state_dir.close()


@pytest.mark.parametrize(("content", "held"), [("empty folders", False), ("file", True), ("link", True)])
def test_trash_is_the_users(root: Path, content: str, held: bool) -> None:
    opened(root).close()
    run = root / ".nbsync/trash/run/a"
    run.mkdir(parents=True)
    if content == "file":
        (run / "f").write_text("an hour of work")
    elif content == "link":
        (run / "f").symlink_to(".")
    assert holds_work(str(root)) is held
