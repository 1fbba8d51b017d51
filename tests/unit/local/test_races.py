"""An editor saves between our look at a path and our change of it: its work is never lost."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from errno import ENOSPC
from pathlib import Path
from typing import Any

import pytest

from nbsync.local import install, rename
from nbsync.local.install import Installer, Twin
from nbsync.local.openat import InTheWay
from nbsync.local.state_dir import StateDir
from tests.unit.local.helpers import before, entry, every_trash, staged


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
    root: Path, state_dir: StateDir, installer: Installer, monkeypatch: pytest.MonkeyPatch, how: str, keep_old: bool
) -> None:
    (root / "f").write_bytes(b"old")
    expected = entry(root, "f")
    before(monkeypatch, rename, "exchange", saved(root, how))

    installer.install(staged(state_dir), "f", expected, keep_old=keep_old)

    assert (root / "f").read_bytes() == b"new"
    assert b"an hour of work" in every_trash(root).values()
    assert {path.partition("/")[2] for path in every_trash(root)} == {"f"}
    assert os.listdir(state_dir.stage) == []


@pytest.mark.parametrize("can_exchange", [True, False])
def test_file_made_at_the_moment_of_the_install(
    root: Path, state_dir: StateDir, installer: Installer, monkeypatch: pytest.MonkeyPatch, can_exchange: bool
) -> None:
    if not can_exchange:
        monkeypatch.setattr(rename, "_call", None)
    before(monkeypatch, rename, "into_nothing", saved(root, "by rename"), times=1)

    installer.install(staged(state_dir), "f", None, keep_old=False)

    assert ((root / "f").read_bytes(), every_trash(root)) == (b"new", {"run/f": b"an hour of work"})


def test_folder_made_at_the_moment_of_the_install(
    root: Path, state_dir: StateDir, installer: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before(monkeypatch, rename, "into_nothing", (root / "f").mkdir, times=1)
    with pytest.raises(IsADirectoryError):
        installer.install(staged(state_dir), "f", None, keep_old=False)


def test_file_gone_at_the_moment_of_the_install(
    root: Path, state_dir: StateDir, installer: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "f").write_bytes(b"old")
    before(monkeypatch, rename, "exchange", (root / "f").unlink)
    installer.install(staged(state_dir), "f", entry(root, "f"), keep_old=False)
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
    root: Path, state_dir: StateDir, installer: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system that ignores case: the file is there under another spelling."""
    (root / "F").write_bytes(b"mine")
    real = os.listdir
    monkeypatch.setattr(install.os, "listdir", lambda fd: ["f" if name == "F" else name for name in real(fd)])
    with pytest.raises(Twin, match="f"):
        installer.install(staged(state_dir), "F", None, keep_old=False)
    assert (root / "F").read_bytes() == b"mine"


def test_disk_full_while_it_goes_to_the_trash(
    root: Path, state_dir: StateDir, installer: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is not touched; when there is room again, all is as if nothing had been."""
    (root / "f").write_bytes(b"old")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(rename.os, "link", full)
        with pytest.raises(OSError, match="No space"):
            installer.install(staged(state_dir), "f", None, keep_old=True)
    assert ((root / "f").read_bytes(), every_trash(root)) == (b"old", {})
    installer.install(staged(state_dir), "f", None, keep_old=True)
    assert ((root / "f").read_bytes(), every_trash(root)) == (b"new", {"run/f": b"old"})


def test_a_cold_install_is_two_calls(
    root: Path, state_dir: StateDir, installer: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into a folder that is open already: one rename, one look at what is there now."""
    installer.install(staged(state_dir), "d/f", None, keep_old=False)
    file, calls = staged(state_dir), []
    for module, name in ((rename, "_call"), *((os, n) for n in ("stat", "open", "link", "unlink", "rename", "chmod"))):
        before(monkeypatch, module, name, lambda name=name: calls.append(name))  # type: ignore[misc]
    installer.install(file, "d/g", None, keep_old=False)
    assert calls == ["_call", "stat"]


def test_folder_that_becomes_a_link_before_the_delete(root: Path, installer: Installer, tmp_path: Path) -> None:
    (root / "d").mkdir()
    (root / "d/f").write_bytes(b"old")
    expected = entry(root, "d/f")
    (root / "d").rename(tmp_path / "away")
    (root / "d").symlink_to(tmp_path / "away")
    with pytest.raises(InTheWay):
        installer.delete("d/f", expected)
    assert (tmp_path / "away/f").read_bytes() == b"old"


def test_disk_full_at_the_moment_of_a_save(
    root: Path, state_dir: StateDir, installer: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came out and cannot be kept is put in its place again: the caller removes what is in staging."""
    (root / "f").write_bytes(b"old")
    expected = entry(root, "f")
    file, saves = staged(state_dir), saved(root, "by rename")
    before(monkeypatch, rename, "exchange", saves, times=1)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr(rename, "into_nothing", full)
    with pytest.raises(OSError, match="No space"):
        installer.install(file, "f", expected, keep_old=False)
    assert ((root / "f").read_bytes(), Path(file).read_bytes()) == (b"an hour of work", b"new")
