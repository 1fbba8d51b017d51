"""What files get besides their content: of their folder when they are new, of their predecessor when they are not."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import pytest

from nbsync.local import attributes
from nbsync.local.install import Installer
from nbsync.local.state_dir import StateDir
from tests.unit.local.test_install import entry, staged

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
OWNER, USER, GROUP, MASK, OTHER = 1, 2, 4, 16, 32
NOBODY = 0xFFFFFFFF
READ_BY_5003 = ((OWNER, 7, NOBODY), (GROUP, 5, NOBODY), (8, 7, 5003), (MASK, 7, NOBODY), (OTHER, 0, NOBODY))


def acl(*entries: tuple[int, int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


@pytest.mark.parametrize(
    ("default", "made"),
    [
        pytest.param(
            READ_BY_5003,
            ((OWNER, 6, NOBODY), (GROUP, 5, NOBODY), (8, 7, 5003), (MASK, 6, NOBODY), (OTHER, 0, NOBODY)),
            id="the mask is limited, and who it limits is not",
        ),
        pytest.param(
            ((OWNER, 7, NOBODY), (GROUP, 5, NOBODY), (OTHER, 1, NOBODY)),
            ((OWNER, 6, NOBODY), (GROUP, 4, NOBODY), (OTHER, 0, NOBODY)),
            id="without a mask, the group is",
        ),
    ],
)
def test_what_a_default_acl_hands_down(default: tuple[tuple[int, int, int], ...], made: object) -> None:
    assert attributes.handed_down(acl(*default)) == acl(*made)  # type: ignore[misc]


def with_default_acl(folder: Path) -> None:
    """Give a folder a default ACL."""
    try:
        os.setxattr(folder, "system.posix_acl_default", acl(*READ_BY_5003))
    except (AttributeError, OSError):
        pytest.skip("no ACLs here")


def looks(file: Path) -> tuple[int, int, dict[str, bytes]]:
    """Group, mode, extended attributes."""
    names = os.listxattr(file) if sys.platform == "linux" else []
    return file.stat().st_gid, file.stat().st_mode & 0o7777, {name: os.getxattr(file, name) for name in names}


def made_there(folder: Path) -> Path:
    """A file that a program makes in a folder."""
    file = folder / "made there"
    file.write_bytes(b"")
    return file


@needs_root
def test_new_file_has_its_folders_group(root: Path, state_dir: StateDir, installer: Installer) -> None:
    (root / "shared").mkdir()
    os.chown(root / "shared", -1, 5002)
    (root / "shared").chmod(0o2775)

    installer.install(staged(state_dir), "shared/new/f", None, keep_old=False)
    installer.install(staged(state_dir), "own/f", None, keep_old=False)

    assert looks(root / "shared/new/f") == looks(made_there(root / "shared"))
    assert looks(root / "own/f") == looks(made_there(root / "own"))


def test_new_file_has_its_folders_acl(root: Path, state_dir: StateDir, installer: Installer) -> None:
    (root / "d").mkdir()
    with_default_acl(root / "d")
    installer.install(staged(state_dir), "d/f", None, keep_old=False)
    assert looks(root / "d/f") == looks(made_there(root / "d"))


def test_what_staging_hands_down_is_taken_away(root: Path) -> None:
    """The room was made in a folder with an ACL and has it, too; another folder of LOCAL has none."""
    (root / "plain").mkdir()
    with_default_acl(root)
    state_dir = StateDir(str(root), str(root / ".nbsync"), "run", wait=lambda _: True)
    installer = Installer(state_dir)
    (root / "plain/old").write_bytes(b"old")
    (root / "plain/old").chmod(0o644)

    installer.install(staged(state_dir), "plain/f", None, keep_old=False)
    installer.install(staged(state_dir), "f", None, keep_old=False)
    installer.install(staged(state_dir), "plain/old", entry(root, "plain/old"), keep_old=False)

    assert looks(root / "plain/f") == looks(made_there(root / "plain"))
    assert looks(root / "f") == looks(made_there(root))
    assert looks(root / "plain/old")[1:] == (0o644, {})
    installer.close()
    state_dir.close()


@needs_root
def test_replaced_file_keeps_what_it_had(root: Path, state_dir: StateDir, installer: Installer) -> None:
    (root / "f").write_bytes(b"old")
    os.chown(root / "f", 5001, 5002)
    (root / "f").chmod(0o4750)
    try:
        os.setxattr(root / "f", "user.project", b"seeds")
        os.setxattr(root / "f", "system.posix_acl_access", acl(*READ_BY_5003))
    except (AttributeError, OSError):
        pytest.skip("no extended attributes here")
    before = looks(root / "f")

    installed = installer.install(staged(state_dir), "f", entry(root, "f"), keep_old=False)

    assert installed.note == ""
    assert (root / "f").stat().st_uid == 5001
    assert looks(root / "f") == (before[0], before[1] & 0o777, before[2])  # not the right to run as its owner


@needs_root
def test_what_may_not_be_given_is_noted(
    root: Path, state_dir: StateDir, installer: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    (root / "f").write_bytes(b"old")
    (root / "f").chmod(0o600)
    (root / "d").mkdir()
    os.chown(root / "d", -1, 5002)
    (root / "d").chmod(0o2775)
    monkeypatch.setattr(attributes.os, "chown", refuse)
    monkeypatch.setattr(attributes.os, "chmod", refuse)

    replaced = installer.install(staged(state_dir), "f", entry(root, "f"), keep_old=False)
    new = installer.install(staged(state_dir), "d/f", None, keep_old=False)

    assert [replaced.note, new.note] == [attributes.NOT_KEPT] * 2
    assert (root / "f").read_bytes() == (root / "d/f").read_bytes() == b"new"
