"""The room: lock, staging, trash, and the clock's tick."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbsync.errors import LocalError, LockedError
from nbsync.local import lease
from nbsync.local import state_dir as module
from nbsync.local.folding import PROBE
from nbsync.local.place import find_place
from nbsync.local.state_dir import StateDir


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """An empty LOCAL."""
    root = tmp_path / "local"
    root.mkdir()
    return root


def opened(root: Path, run: str = "run") -> StateDir:
    return StateDir(str(root), str(root / ".nbsync"), run, wait=lambda _: True)


def test_layout(root: Path) -> None:
    opened(root).close()
    assert sorted(os.listdir(root / ".nbsync")) == [".gitignore", "lock", PROBE, "stage"]
    assert (root / ".nbsync/.gitignore").read_text() == "*\n"


def test_users_gitignore_stays(root: Path) -> None:
    opened(root).close()
    (root / ".nbsync/.gitignore").write_text("mine")
    opened(root).close()
    assert (root / ".nbsync/.gitignore").read_text() == "mine"


def test_leftovers_of_a_killed_run_go(root: Path) -> None:
    opened(root).close()
    (root / ".nbsync/stage/123-0").write_bytes(b"half")
    opened(root).close()
    assert os.listdir(root / ".nbsync/stage") == []


def test_second_room_waits_then_says_who(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCK_WAIT_SECONDS", 1.0)
    first, waits = opened(root), []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return False

    with pytest.raises(LockedError, match=f"process {os.getpid()}"):
        StateDir(str(root), str(root / ".nbsync"), "two", wait=wait)
    assert 1.0 <= sum(waits) < 1.5
    first.close()
    opened(root).close()


def test_waiting_ends_when_the_first_is_done(root: Path) -> None:
    first = opened(root)

    def wait(_: float) -> bool:
        first.close()
        return False

    StateDir(str(root), str(root / ".nbsync"), "two", wait=wait).close()


def test_cancelled_while_waiting(root: Path) -> None:
    first = opened(root)
    with pytest.raises(LockedError):
        opened(root)
    first.close()


def test_lock_dies_with_its_process(root: Path) -> None:
    code = f"""if True:
        import os, sys
        from nbsync.local.state_dir import StateDir
        StateDir({str(root)!r}, {str(root / ".nbsync")!r}, "x", wait=lambda _: True)
        os.kill(os.getpid(), 9)"""
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60, cwd=Path(__file__).parents[3])
    assert done.returncode == -9
    opened(root).close()


def test_file_system_without_locks(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is refused in a line, at once."""

    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("nbsync.local.forks.fcntl.flock", flock)
    with pytest.raises(LocalError, match=r"lock: this file system has no locks.*choose another LOCAL"):
        opened(root)


def test_deep_trash_goes(root: Path) -> None:
    """However deep, and with a folder that is closed to its owner; a young run stays."""
    state_dir = opened(root)
    home = root / ".nbsync/trash"
    (home / "young").mkdir(parents=True)
    (home / "old").mkdir()
    fd = os.open(home / "old", os.O_RDONLY)
    for _ in range(400):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.fchmod(fd, 0o500)
    os.close(fd)
    os.utime(home / "old", (1, 1))
    state_dir.purge_trash(8 * 86_400)
    assert os.listdir(home) == ["young"]
    state_dir.close()


def test_trash_of_a_week_ago_goes(root: Path) -> None:
    state_dir = opened(root)
    trash = root / ".nbsync/trash"
    for name, days in (("old", 8), ("young", 6)):
        (trash / name).mkdir(parents=True)
        (trash / name / "f").write_bytes(b"1")
        os.utime(trash / name, (10**9 - days * 86_400,) * 2)
    state_dir.purge_trash(10**9)
    assert os.listdir(trash) == ["young"]
    state_dir.close()
    assert os.listdir(trash) == ["young"]


def test_trash_summary_is_of_this_run(root: Path) -> None:
    state_dir = opened(root)
    assert state_dir.trash_summary() == (0, 0, 0, 0)
    for path, size in (("run/a/b", 5), ("run/c", 7), ("earlier/d", 100)):
        file = root / ".nbsync/trash" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * size)
    assert state_dir.trash_summary() == (2, 12, 3, 112)
    state_dir.close()


@pytest.mark.parametrize("part", ["", "stage", "trash"])
def test_link_is_not_written_through(root: Path, tmp_path: Path, part: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/precious").write_bytes(b"1")
    place = root / ".nbsync"
    if part:
        place.mkdir()
    (place / part).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LocalError, match="symbolic link"):
        opened(root)
    assert os.listdir(tmp_path / "elsewhere") == ["precious"]


def test_file_where_the_room_should_be(root: Path) -> None:
    (root / ".nbsync").write_bytes(b"")
    with pytest.raises(LocalError):
        opened(root)


def test_place(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = str(root / ".nbsync")
    assert find_place(str(root), elsewhere=True) == inside
    assert find_place(str(root / "missing"), elsewhere=True) == str(root / "missing" / ".nbsync")
    monkeypatch.setattr(module.os, "access", lambda _path, _mode: False)
    assert find_place(str(root), elsewhere=False) == inside
    outside = find_place(str(root), elsewhere=True)
    assert not outside.startswith(str(root))
    (root.parent / "link").symlink_to(root)
    assert find_place(str(root.parent / "link"), elsewhere=True) == outside, "keyed by the real path"


def test_the_workers_of_a_run_that_died_are_waited_for(root: Path) -> None:
    opened(root).close()
    stage = str(root / ".nbsync" / "stage")
    naps: list[float] = []

    def wait(seconds: float) -> bool:
        naps.append(seconds)
        return False

    StateDir(str(root), str(root / ".nbsync"), "run", wait=wait).close()
    assert naps == []
    issued = lease.issue(stage)
    StateDir(str(root), str(root / ".nbsync"), "run", wait=wait).close()
    assert naps == [lease.SEEN_SECONDS]
    assert not lease.holds(stage, issued)
