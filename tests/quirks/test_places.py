"""Places that refuse what most allow: times, permissions, hard links, whole writes, long paths, a home."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import nbsync
from nbsync.errors import LocalError
from nbsync.local import user_state
from nbsync.transfer.pull_actions import TIMES_NOT_KEPT
from tests.quirks import mounts
from tests.quirks.world import CREDENTIALS, World, world

SIZES = {"small": 100, "whole": 100_000, "streamed": 1 << 20, "empty": 0}


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


def pull(here: World, **options: Any) -> nbsync.SyncResult:
    return nbsync.pull("s3://b/p", here.local, endpoint_url=here.store.url, **options)


def push(here: World, **options: Any) -> nbsync.SyncResult:
    return nbsync.push(here.local, "s3://b/p", endpoint_url=here.store.url, **options)


def counts(result: nbsync.SyncResult) -> dict[str, int]:
    """Without zeros, of a run in which nothing went wrong but what they say."""
    assert result.error is None
    return {status: count for status, count in result.counts.items() if count}


def test_times_that_cannot_be_set() -> None:
    """The files come, each fetched once; it is said once, and the next run finds all as it should be."""
    with mounts.quirk("eperm") as mount, world(mount.path) as here:
        for name, size in SIZES.items():
            here.put(f"d/{name}", name.encode()[:1] * size)
        first = pull(here)
        assert counts(first) == {"miss": 4}
        assert first.requests["get"] == 4
        assert first.notes.count(TIMES_NOT_KEPT) == 1
        assert here.files() == here.remote()

        here.put("d/small", b"edited")
        assert counts(pull(here)) == {"hit": 3, "miss": 1}
        third = pull(here)
        assert (counts(third), third.requests["get"]) == ({"hit": 4}, 0)
        assert TIMES_NOT_KEPT not in third.notes
        assert push(here).requests["put"] == 0


@pytest.mark.parametrize("quirk", ["nolink", "shortw"])
def test_pull_edit_undo_and_push(quirk: str) -> None:
    with mounts.quirk(quirk) as mount, world(mount.path) as here:
        for name, size in SIZES.items():
            here.put(f"d/{name}", name.encode()[:1] * size)
        here.put("no digest", b"whole" * 9_000, etag="opaque")  # not one of those that come by hundreds
        assert counts(pull(here)) == {"miss": 5}
        assert here.files() == here.remote()

        here.write("d/small", b"mine")
        here.put("d/small", b"theirs!")
        assert counts(pull(here, delete=True)) == {"hit": 4, "miss": 1}
        assert here.files()["d/small"] == b"theirs!"
        assert counts(nbsync.undo(here.local)) == {"miss": 1}
        assert here.files()["d/small"] == b"mine"
        assert counts(push(here, delete=True)) == {"hit": 4, "miss": 1}
        assert here.remote()["d/small"] == b"mine"


def long_folder(top: Path, length: int) -> Path:
    """A folder below `top` whose path has so many bytes."""
    folder = top
    while len(str(folder)) < length - 101:
        folder /= "d" * 100
    folder /= "e" * (length - len(str(folder)) - 1)
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("length", [477, 484, 700, 3900])
def test_long_local(length: int) -> None:
    """SQLite opens no database whose path has more than some 500 bytes; most else goes up to PATH_MAX."""
    with world() as here:
        local = here.local = long_folder(here.top, length)
        here.put("a/b", b"theirs")
        assert counts(pull(here)) == {"miss": 1}
        again = pull(here)
        assert (counts(again), again["a/b"].evidence) == ({"hit": 1}, "state")
        assert nbsync.status(local).changes == {"unchanged": 1, "added": 0, "modified": 0, "deleted": 0, "maybe": 0,
                                                "left-out": 0}  # fmt: skip
        (local / "a" / "b").write_bytes(b"mine")
        here.put("a/b", b"theirs, edited")
        assert counts(pull(here)) == {"miss": 1}
        assert counts(nbsync.undo(local)) == {"miss": 1}
        assert (local / "a" / "b").read_bytes() == b"mine"
        assert counts(push(here)) == {"miss": 1}
        assert here.remote() == {"a/b": b"mine"}


def test_path_that_is_too_long_below_a_long_local() -> None:
    with world() as here:
        here.local = long_folder(here.top, 3900)
        here.put("fits")
        here.put("long/" + "x" * 200)
        result = pull(here)
        assert counts(result) == {"miss": 1, "skipped": 1}
        assert "too long" in result.problems[0].message
        assert here.files() == {"fits": b"x"}


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A container's user without name and home; `tmp_path` is for temporary files."""

    def nobody(_uid: int) -> None:
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("homeless")
def test_container_user_without_name_and_home(tmp_path: Path) -> None:
    """What is kept outside of LOCAL is kept among the temporary files, if they are this user's alone."""
    found = user_state.user_state_dir()
    assert os.path.dirname(found) == str(tmp_path)
    os.mkdir(found, 0o700)
    assert user_state.user_state_dir() == found

    os.chmod(found, 0o777)
    with pytest.raises(LocalError, match="not yours alone"):
        user_state.user_state_dir()


@pytest.mark.usefixtures("homeless")
@pytest.mark.parametrize("umask", [0o002, 0])
def test_state_directory_is_the_users_alone_whatever_the_umask(umask: int) -> None:
    """Containers run with either, and what others could write into is refused the next time."""
    before = os.umask(umask)
    try:
        with world() as here:
            here.put("a")
            assert not any("state directory" in note for note in pull(here).notes)
            assert nbsync.status(here.local).syncs[0].proved
    finally:
        os.umask(before)


@pytest.mark.usefixtures("homeless")
def test_status_of_a_folder_without_a_state_directory(tmp_path: Path) -> None:
    """Anybody can take its name among the temporary files: that stops nothing but what would be kept in it."""
    with world() as here:
        here.put("a")
        pull(here)
        state = tmp_path / f"nbsync-{os.geteuid()}"
        state.rename(tmp_path / "moved")
        state.write_bytes(b"")
        assert nbsync.status(here.local).remote == "s3://b/p/"
        assert counts(pull(here)) == {"hit": 1}


def test_home_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Docker gives a nameless user `/` for a home."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("HOME", "/")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr("os.access", lambda path, _mode: path != "/")
    assert os.path.dirname(user_state.user_state_dir()) == str(tmp_path)


def test_own_room_that_is_a_mount_of_its_own() -> None:
    """Nothing can be renamed from there: what is staged or trashed lies beside it."""
    with mounts.tmpfs() as other, world() as here:
        (here.local / ".nbsync").mkdir(parents=True)
        with mounted("--bind", other, at=here.local / ".nbsync"):
            for name, size in SIZES.items():
                here.put(f"d/{name}", name.encode()[:1] * size)
            assert counts(pull(here)) == {"miss": 4}
            assert {path: body for path, body in here.files().items() if path in here.remote()} == here.remote()
            here.write("d/small", b"mine")
            here.put("d/small", b"theirs!")
            here.drop("d/whole")
            assert counts(pull(here, delete=True)) == {"hit": 2, "miss": 1, "deleted": 1}
            assert sorted(os.listdir(here.local)) == [".NBSYNC", ".nbsync", "d"]
            assert counts(nbsync.undo(here.local)) == {"miss": 2}
            assert here.files()["d/small"] == b"mine"
            assert counts(push(here)) == {"hit": 2, "miss": 2}
            assert sorted(here.remote()) == sorted(f"d/{name}" for name in SIZES)


def test_undo_finds_the_last_run_in_either_room_of_a_mount() -> None:
    """`.nbsync` there was a mount of its own for a while."""
    with mounts.tmpfs() as top, mounts.tmpfs() as other, world() as here:
        (here.local / "d").mkdir(parents=True)
        with mounted("--bind", top, at=here.local / "d"):
            here.put("d/x")
            pull(here)
            here.write("d/x", b"first edit")
            here.put("d/x", b"2")
            pull(here)
            here.write("d/x", b"last edit")
            here.put("d/x", b"3")
            with mounted("--bind", other, at=here.local / "d" / ".nbsync"):
                pull(here)
            assert counts(nbsync.undo(here.local)) == {"miss": 1}
            assert here.files()["d/x"] == b"last edit"


def test_own_room_on_another_file_system_tells_nothing_of_names_in_local() -> None:
    with mounts.quirk("ci") as mount, mounts.tmpfs() as other, world(mount.path) as here:
        (here.local / ".nbsync").mkdir(parents=True)
        with mounted("--bind", other, at=here.local / ".nbsync"):
            for name in ("A.txt", "a.txt"):
                here.put(name, name.encode())
            assert counts(pull(here)) == {"miss": 1, "skipped": 1}
            assert counts(push(here, delete=True)) == {"hit": 1, "skipped": 1}
            here.drop("a.txt")
            here.store.keys["p/a.TXT"] = here.store.keys.pop("p/A.txt")
            assert counts(pull(here, delete=True)) == {"hit": 1}
            assert here.files()["a.TXT"] == b"A.txt"


def test_folder_of_a_containers_image_goes_to_the_trash() -> None:
    """overlayfs renames no folder of a lower layer; what is in it goes one by one, and comes back."""
    with mounts.tmpfs() as top, world() as here:
        for name in ("lower/local/dir/sub", "upper", "work", "merged"):
            (top / name).mkdir(parents=True)
        (top / "lower/local/dir/sub/f").write_bytes(b"of the image")
        (top / "lower/local/dir").chmod(0o750)
        layers = f"lowerdir={top}/lower,upperdir={top}/upper,workdir={top}/work"
        with mounted("-t", "overlay", "overlay", "-o", layers, at=top / "merged"):
            here.local = top / "merged" / "local"
            here.put("dir", b"a file by now")
            assert counts(pull(here, delete=True)) == {"miss": 1}
            assert here.files() == {"dir": b"a file by now"}
            assert counts(nbsync.undo(here.local)) == {"miss": 1}
            assert here.files() == {"dir/sub/f": b"of the image"}
            assert (here.local / "dir").stat().st_mode & 0o777 == 0o750


@contextmanager
def mounted(*words: object, at: Path) -> Iterator[None]:
    """A mount, if it can be had."""
    if subprocess.run(["mount", *map(str, words), at], capture_output=True, check=False).returncode:
        pytest.skip(f"cannot be mounted here: {words[0]} {words[1]}")
    try:
        yield
    finally:
        subprocess.run(["umount", at], check=True)
