"""Installing staged files: what was there is kept, nothing goes through a link, mounts below LOCAL work."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from errno import ENOSPC, EXDEV
from pathlib import Path
from typing import Any

import pytest

from nbsync.core.model import Kind, LocalEntry
from nbsync.storage import install, rename
from nbsync.storage.folders import InTheWay
from nbsync.storage.install import Installer, Twin
from nbsync.storage.room import Room


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty LOCAL."""
    root = tmp_path / "local"
    root.mkdir()
    return root


@pytest.fixture
def room(root: Path) -> Iterator[Room]:
    """Its room."""
    room = Room(str(root), str(root / ".nbsync"), "run", wait=lambda _: True)
    yield room
    room.close()


@pytest.fixture
def installer(room: Room) -> Iterator[Installer]:
    """One worker's installer."""
    installer = Installer(room)
    yield installer
    installer.close()


def staged(room: Room, content: bytes = b"new") -> str:
    path = Path(room.stage) / "1-0"
    path.write_bytes(content)
    os.utime(path, ns=(1, 123_456_789))
    return str(path)


def entry(root: Path, path: str) -> LocalEntry:
    at = os.lstat(root / path)
    return LocalEntry(path, Kind.FILE, at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino)


def trash(room: Room) -> dict[str, bytes]:
    found = Path(room.trash)
    return {path.relative_to(found).as_posix(): path.read_bytes() for path in found.rglob("*") if path.is_file()}


def test_into_new_folders(root: Path, room: Room, installer: Installer) -> None:
    at = installer.install(staged(room), "deep/er/f", None, keep_old=False)

    assert (root / "deep/er/f").read_bytes() == b"new"
    assert (at.st_mtime_ns, at.st_ino) == (123_456_789, (root / "deep/er/f").stat().st_ino)
    assert os.listdir(room.stage) == []


@pytest.mark.parametrize("keep_old", [False, True])
def test_expected_file_is_kept_if_asked(root: Path, room: Room, installer: Installer, keep_old: bool) -> None:
    (root / "f").write_bytes(b"old")

    installer.install(staged(room), "f", entry(root, "f"), keep_old=keep_old)

    assert (root / "f").read_bytes() == b"new"
    assert trash(room) == ({"f": b"old"} if keep_old else {})


def test_file_changed_since_is_always_kept(root: Path, room: Room, installer: Installer) -> None:
    (root / "f").write_bytes(b"old")
    expected = entry(root, "f")
    (root / "f").write_bytes(b"edited")

    installer.install(staged(room), "f", expected, keep_old=False)

    assert trash(room) == {"f": b"edited"}


def test_unexpected_file_is_always_kept(root: Path, room: Room, installer: Installer) -> None:
    (root / "f").write_bytes(b"appeared")

    installer.install(staged(room), "f", None, keep_old=False)

    assert trash(room) == {"f": b"appeared"}


@pytest.mark.parametrize("can_exchange", [True, False])
def test_there_is_a_file_at_every_moment(
    root: Path, room: Room, installer: Installer, monkeypatch: pytest.MonkeyPatch, can_exchange: bool
) -> None:
    (root / "f").write_bytes(b"old")
    seen: list[bytes] = []
    if not can_exchange:
        monkeypatch.setattr(rename, "_call", None)
    for module, name in ((rename, "exchange"), (rename.os, "rename"), (rename.os, "unlink"), (rename.os, "link")):
        before(monkeypatch, module, name, lambda: seen.append((root / "f").read_bytes()))

    installer.install(staged(room), "f", None, keep_old=True)

    assert set(seen) <= {b"old", b"new"}
    assert ((root / "f").read_bytes(), trash(room)) == (b"new", {"f": b"old"})


def before(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, do: Callable[[], object], *, times: int = 99
) -> None:
    """Do something at each of the first `times` calls of `module.name`, just before it."""
    real, calls = getattr(module, name), []

    def call(*words: Any, **more: Any) -> Any:
        calls.append(name)
        if len(calls) <= times:
            do()
        return real(*words, **more)

    monkeypatch.setattr(module, name, call)


@pytest.mark.parametrize("can_exchange", [True, False])
def test_without_hard_links(
    root: Path, room: Room, installer: Installer, monkeypatch: pytest.MonkeyPatch, can_exchange: bool
) -> None:
    def link(*_: Any, **__: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(rename.os, "link", link)
    if not can_exchange:
        monkeypatch.setattr(rename, "_call", None)
    (root / "f").write_bytes(b"old")

    installer.install(staged(room), "f", None, keep_old=True)
    assert installer.delete("f", entry(root, "f"))

    assert every_trash(root) == {"run/f": b"old", "run.2/f": b"new"}
    assert os.listdir(room.stage) == []


def test_mode_of_the_old_file_stays(root: Path, room: Room, installer: Installer) -> None:
    (root / "f").write_bytes(b"old")
    (root / "f").chmod(0o640)
    installer.install(staged(room), "f", entry(root, "f"), keep_old=False)
    assert (root / "f").stat().st_mode & 0o7777 == 0o640


def test_linked_parent(root: Path, room: Room, installer: Installer, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "sub").mkdir(parents=True)
    (root / "d").symlink_to(outside)

    for path in ("d/f", "d/sub/f"):
        with pytest.raises(InTheWay) as caught:
            installer.install(staged(room), path, None, keep_old=False)
        assert caught.value.args == ("d",)
    assert [path for path in outside.rglob("*") if path.is_file()] == []


def test_parent_that_becomes_a_link_later(root: Path, room: Room, installer: Installer, tmp_path: Path) -> None:
    """The open folder stays the one that was checked: nothing is written elsewhere."""
    outside = tmp_path / "outside"
    outside.mkdir()
    installer.install(staged(room), "d/f", None, keep_old=False)
    (root / "d").rename(root / "moved")
    (root / "d").symlink_to(outside)

    installer.install(staged(room), "d/g", None, keep_old=False)

    assert os.listdir(outside) == []


def test_link_in_place_is_replaced_not_followed(root: Path, room: Room, installer: Installer, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    target.chmod(0o600)
    (root / "f").symlink_to(target)

    installer.install(staged(room), "f", None, keep_old=False)

    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"precious", 0o600)
    assert not (root / "f").is_symlink()
    assert (root / "f").stat().st_mode & 0o111 == 0, "a link's mode is not the file's"
    assert os.readlink(Path(room.trash) / "f") == str(target)


def test_folder_in_place(root: Path, room: Room, installer: Installer) -> None:
    (root / "f" / "x").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        installer.install(staged(room), "f", None, keep_old=False)


def test_file_as_parent(root: Path, room: Room, installer: Installer) -> None:
    (root / "d").write_bytes(b"a file")
    with pytest.raises(InTheWay):
        installer.install(staged(room), "d/f", None, keep_old=False)


def test_folder_removed_meanwhile_is_made_again(root: Path, room: Room, installer: Installer) -> None:
    installer.install(staged(room), "d/f", None, keep_old=False)
    shutil.rmtree(root / "d")

    installer.install(staged(room), "d/g", None, keep_old=False)

    assert os.listdir(root / "d") == ["g"]


def test_many_folders(root: Path, room: Room, installer: Installer) -> None:
    """More than are kept open, twice."""
    before = len(os.listdir("/proc/self/fd"))
    for name in "fg":
        for number in range(40):
            installer.install(staged(room), f"{number}/{name}", None, keep_old=False)
    assert len(os.listdir("/proc/self/fd")) - before < 10
    assert len(list(root.glob("[0-9]*/*"))) == 80


def test_delete(root: Path, room: Room, installer: Installer) -> None:
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/f").write_bytes(b"gone")
    (root / "a/keep").write_bytes(b"1")

    assert installer.delete("a/b/f", entry(root, "a/b/f"))

    assert trash(room) == {"a/b/f": b"gone"}
    assert os.listdir(root / "a") == ["keep"]


def test_delete_of_what_changed(root: Path, room: Room, installer: Installer) -> None:
    (root / "f").write_bytes(b"old")
    expected = entry(root, "f")
    (root / "f").write_bytes(b"edited")

    assert not installer.delete("f", expected)
    assert ((root / "f").read_bytes(), trash(room)) == (b"edited", {})


def every_trash(root: Path) -> dict[str, bytes]:
    home = root / ".nbsync/trash"
    return {path.relative_to(home).as_posix(): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def test_trash_never_overwrites_itself(root: Path, installer: Installer) -> None:
    """Nor makes names up: each layer has real ones."""
    for content in (b"1", b"2", b"3"):
        (root / "f").write_bytes(content)
        assert installer.to_trash("f")
    (root / "f").mkdir()
    (root / "f/x").write_bytes(b"4")
    assert installer.to_trash("f/x")
    assert every_trash(root) == {"run/f": b"1", "run.2/f": b"2", "run.3/f": b"3", "run.4/f/x": b"4"}


# ---- an editor saves between our look and our change --------------------------------------------------


def saved(root: Path, how: str) -> Callable[[], None]:
    """An editor's save of `f`, in the file or by a rename as most do."""

    def save() -> None:
        target = root / ("f" if how == "in place" else "other")
        target.write_bytes(b"an hour of work")
        if how == "by rename":
            target.rename(root / "f")

    return save


@pytest.mark.parametrize("how", ["in place", "by rename"])
@pytest.mark.parametrize("keep_old", [False, True])
def test_save_at_the_moment_of_the_install(
    root: Path, room: Room, installer: Installer, monkeypatch: pytest.MonkeyPatch, how: str, keep_old: bool
) -> None:
    (root / "f").write_bytes(b"old")
    expected = entry(root, "f")
    before(monkeypatch, rename, "exchange", saved(root, how))

    installer.install(staged(room), "f", expected, keep_old=keep_old)

    assert (root / "f").read_bytes() == b"new"
    assert b"an hour of work" in every_trash(root).values()
    assert {path.partition("/")[2] for path in every_trash(root)} == {"f"}
    assert os.listdir(room.stage) == []


@pytest.mark.parametrize("can_exchange", [True, False])
def test_file_made_at_the_moment_of_the_install(
    root: Path, room: Room, installer: Installer, monkeypatch: pytest.MonkeyPatch, can_exchange: bool
) -> None:
    if not can_exchange:
        monkeypatch.setattr(rename, "_call", None)
    before(monkeypatch, rename, "into_nothing", saved(root, "by rename"), times=1)

    installer.install(staged(room), "f", None, keep_old=False)

    assert ((root / "f").read_bytes(), every_trash(root)) == (b"new", {"run/f": b"an hour of work"})


def test_folder_made_at_the_moment_of_the_install(
    root: Path, room: Room, installer: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before(monkeypatch, rename, "into_nothing", lambda: (root / "f").mkdir(), times=1)
    with pytest.raises(IsADirectoryError):
        installer.install(staged(room), "f", None, keep_old=False)


def test_file_gone_at_the_moment_of_the_install(
    root: Path, room: Room, installer: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "f").write_bytes(b"old")
    before(monkeypatch, rename, "exchange", lambda: (root / "f").unlink())
    installer.install(staged(room), "f", entry(root, "f"), keep_old=False)
    assert (root / "f").read_bytes() == b"new"


@pytest.mark.parametrize("how", ["in place", "by rename"])
def test_save_at_the_moment_of_the_delete(
    root: Path, installer: Installer, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """What was moved is looked at, and given back."""
    (root / "f").write_bytes(b"old")
    expected = entry(root, "f")
    before(monkeypatch, rename, "into_nothing", saved(root, how), times=1)

    assert not installer.delete("f", expected)
    installer.close()

    assert ((root / "f").read_bytes(), every_trash(root)) == (b"an hour of work", {})


def test_save_twice_around_the_delete(root: Path, installer: Installer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second save has the name: the first is in the trash."""
    (root / "f").write_bytes(b"old")
    expected = entry(root, "f")
    saves = iter([b"first", b"second"])
    before(monkeypatch, rename, "into_nothing", lambda: (root / "f").write_bytes(next(saves)), times=2)

    assert not installer.delete("f", expected)
    assert ((root / "f").read_bytes(), every_trash(root)) == (b"second", {"run/f": b"first"})


@pytest.mark.parametrize("how", ["folder", "file"])
def test_what_is_in_the_way_changes_at_the_moment_of_its_move(
    root: Path, installer: Installer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    """A link that has come into its place is the user's: it is given back, not moved."""
    (root / "f").mkdir() if how == "folder" else (root / "f").write_bytes(b"old")

    def becomes_a_link() -> None:
        (root / "f").rename(tmp_path / "away")
        (root / "f").symlink_to(tmp_path)

    before(monkeypatch, rename, "into_nothing", becomes_a_link, times=1)
    movable = stat.S_ISDIR if how == "folder" else stat.S_ISREG

    assert not installer.to_trash("f", movable=movable)
    assert ((root / "f").readlink(), every_trash(root)) == (tmp_path, {})


def test_twin_that_appears_is_not_overwritten(
    root: Path, room: Room, installer: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system that ignores case: the file is there under another spelling."""
    (root / "F").write_bytes(b"mine")
    real = os.listdir
    monkeypatch.setattr(install.os, "listdir", lambda fd: ["f" if name == "F" else name for name in real(fd)])
    with pytest.raises(Twin, match="f"):
        installer.install(staged(room), "F", None, keep_old=False)
    assert (root / "F").read_bytes() == b"mine"


def test_disk_full_while_it_goes_to_the_trash(
    root: Path, room: Room, installer: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is not touched; when there is room again, all is as if nothing had been."""
    (root / "f").write_bytes(b"old")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(rename.os, "link", full)
        with pytest.raises(OSError, match="No space"):
            installer.install(staged(room), "f", None, keep_old=True)
    assert ((root / "f").read_bytes(), every_trash(root)) == (b"old", {})
    installer.install(staged(room), "f", None, keep_old=True)
    assert ((root / "f").read_bytes(), every_trash(root)) == (b"new", {"run/f": b"old"})


def test_a_cold_install_is_two_calls(
    root: Path, room: Room, installer: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into a folder that is open already: one rename, one look at what is there now."""
    installer.install(staged(room), "d/f", None, keep_old=False)
    file, calls = staged(room), []
    for module, name in ((rename, "_call"), *((os, n) for n in ("stat", "open", "link", "unlink", "rename", "chmod"))):
        before(monkeypatch, module, name, lambda name=name: calls.append(name))  # type: ignore[misc]
    installer.install(file, "d/g", None, keep_old=False)
    assert calls == ["_call", "stat"]


def test_another_file_system_below(
    root: Path, room: Room, installer: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mounting needs root, so the system's answer for it is made up: staged again beside the target, then renamed."""
    real, seen = rename.into_nothing, []

    def into_nothing(source: str, *words: Any) -> None:
        seen.append(source)
        if os.path.dirname(source) == room.stage:
            raise OSError(EXDEV, "Invalid cross-device link")
        real(source, *words)

    monkeypatch.setattr(rename, "into_nothing", into_nothing)
    near = root / "mnt"
    near.mkdir()
    monkeypatch.setattr(Installer, "_mount", lambda _self, _folder: ("mnt", os.open(near, os.O_RDONLY)))

    at = installer.install(staged(room), "mnt/sub/f", None, keep_old=False)

    assert ((near / "sub/f").read_bytes(), at.st_mtime_ns) == (b"new", 123_456_789)
    assert len(seen) == 2
    [stage] = (near / ".nbsync").glob("stage-*")
    assert os.listdir(stage) == os.listdir(room.stage) == []
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
        room = Room(str(root), f"{place}/room", "run", wait=lambda _: True)
        installer = Installer(room)
        (root / "f").write_bytes(b"old")
        (root / "d").mkdir()
        (root / "d/x").write_bytes(b"x")

        installer.to_trash("d")
        installer.install(staged(room), "f", None, keep_old=True)

        [near] = root.glob(".nbsync/trash-*/run")
        assert ((near / "f").read_bytes(), (near / "d/x").read_bytes()) == (b"old", b"x")
        assert trash(room) == {}
        assert room.trash_summary() == (2, 4, 2, 4)
        assert (root / "f").read_bytes() == b"new"
        installer.close()
        room.close()
