"""A folder that is moved one thing after another: wholly, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbsync.local import folder_move
from nbsync.local.folder_move import move_folder, moves_piecemeal


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`from/d`, and `to`; folders cannot be renamed, as on overlayfs those of a lower layer."""
    (tmp_path / "from/d/sub/deep").mkdir(parents=True)
    (tmp_path / "to").mkdir()
    for path in ("a", "sub/b", "sub/deep/c"):
        (tmp_path / "from/d" / path).write_text(path)
    (tmp_path / "from/d/link").symlink_to("/nowhere")
    (tmp_path / "from/d/sub").chmod(0o750)
    rename = os.rename

    def only_files(old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        if os.path.isdir(f"/dev/fd/{src_dir_fd}/{old}"):
            raise OSError(18, "Invalid cross-device link")
        rename(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(folder_move.os, "rename", only_files)
    return tmp_path


def shape(top: Path) -> dict[str, object]:
    return {str(path.relative_to(top)): path.lstat().st_mode for path in top.rglob("*")}


def test_all_of_it_is_moved(at: Path) -> None:
    before = shape(at / "from/d")
    source, target = os.open(at / "from", os.O_RDONLY), os.open(at / "to", os.O_RDONLY)
    assert moves_piecemeal("d", source, target)
    move_folder("d", source, "kept", target)
    assert shape(at / "to/kept") == before
    assert os.listdir(at / "from") == []


def test_what_fails_is_where_it_was(at: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody makes a file in it meanwhile."""
    before = shape(at / "from/d")
    rmdir = os.rmdir

    def too_late(name: str, *, dir_fd: int) -> None:
        if name == "d":
            raise OSError(39, "Directory not empty")
        rmdir(name, dir_fd=dir_fd)

    monkeypatch.setattr(folder_move.os, "rmdir", too_late)
    source, target = os.open(at / "from", os.O_RDONLY), os.open(at / "to", os.O_RDONLY)
    with pytest.raises(OSError, match="not empty"):
        move_folder("d", source, "kept", target)
    assert shape(at / "from/d") == before
    assert os.listdir(at / "to") == []
