"""`nbsync.toml` and `nbsync.lock` on the disk; and that nobody but the user accepts what a project sends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nbsync.core.lock_file import Pinned
from nbsync.errors import LocalError, UsageError
from nbsync.local import project_files
from nbsync.local.project_files import FoundProject

TEXT = """# our data
[folder.raw]
remote = "s3://b/raw"  # from the lab

[folder.out]
remote = "s3://b/out"
way = "push"
"""


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))


@pytest.fixture
def path(tmp_path: Path) -> str:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "nbsync.toml").write_text(TEXT)
    return str(folder / "nbsync.toml")


def test_the_nearest_project_above_is_found(path: str, tmp_path: Path) -> None:
    deep = Path(path).parent / "a" / "b"
    deep.mkdir(parents=True)
    assert project_files.find(str(deep)) == path == project_files.find(os.path.dirname(path))
    assert project_files.find(str(tmp_path)) == ""


@pytest.mark.parametrize("text", [b"[folder", b"\xff", b'a = "\xc3"', b"[" * 5000, b"x" * (1 << 21), b"a = 1\na = 2"])
def test_what_is_no_project_is_one_line(path: str, text: bytes) -> None:
    Path(path).write_bytes(text)
    with pytest.raises(UsageError, match=r"nbsync\.toml"):
        project_files.read(path)


def test_a_project_that_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "nbsync.toml")
    with pytest.raises(LocalError, match="no regular file"):
        project_files.read(str(tmp_path / "nbsync.toml"))
    with pytest.raises(LocalError, match="No such file"):
        project_files.read(str(tmp_path / "other.toml"))


def test_a_local_may_not_leave_through_a_link(path: str, tmp_path: Path) -> None:
    elsewhere, root = tmp_path / "elsewhere", Path(path).parent
    elsewhere.mkdir()
    (root / "raw").symlink_to(elsewhere)
    with pytest.raises(UsageError, match=r"line 2: local 'raw' leaves the project through a link"):
        project_files.read(path)
    (root / "raw").unlink()
    (root / "out").mkdir()
    (root / "raw").symlink_to("out")
    with pytest.raises(UsageError, match=r"line 5: out of out is raw of raw"):
        project_files.read(path)
    (root / "raw").unlink()
    (root / ".git").mkdir()
    (root / "raw").symlink_to(".git")
    with pytest.raises(UsageError, match=r"line 2: local 'raw' is inside of \.git"):
        project_files.read(path)


def test_a_folder_is_added_and_all_else_stays(path: str, tmp_path: Path) -> None:
    found = project_files.add(path, "more", {"remote": "s3://b/more", "way": "push", "exclude": ["*.tmp"]})
    assert Path(path).read_text() == TEXT + (
        '\n[folder.more]\nremote = "s3://b/more"\nway = "push"\nexclude = ["*.tmp"]\n'
    )
    assert [folder.name for folder in found.project.folders] == ["raw", "out", "more"]
    new = tmp_path / "nbsync.toml"
    project_files.add(str(new), "a", {"remote": "s3://b/a"})
    assert new.read_text() == '[folder.a]\nremote = "s3://b/a"\n'


def test_a_folder_that_cannot_be_is_not_added(path: str) -> None:
    for name, values in (("raw", {"remote": "s3://b"}), ("x", {"remote": "s3://b", "local": "raw"}), ("y", {})):
        with pytest.raises(UsageError, match=r"nbsync\.toml"):
            project_files.add(path, name, values)
    assert Path(path).read_text() == TEXT
    assert os.listdir(os.path.dirname(path)) == ["nbsync.toml"]


def accepted(found: FoundProject) -> list[str]:
    return [folder.name for folder in found.project.folders if project_files.is_accepted(found, folder)]


def test_what_was_accepted_holds_until_it_changes_and_only_there(path: str, tmp_path: Path) -> None:
    found = project_files.read(path)
    assert accepted(found) == []
    assert not (tmp_path / "home").exists()  # asking makes nothing
    project_files.accept(found, found.project.chosen(["out"]))
    assert accepted(found) == ["out"]
    Path(path).write_text(TEXT + "jobs = 3\n")
    assert accepted(project_files.read(path)) == ["out"]
    Path(path).write_text(TEXT.replace("b/out", "b/other"))
    assert accepted(project_files.read(path)) == []
    Path(path).write_text(TEXT)
    assert accepted(project_files.read(path)) == ["out"]
    moved = Path(path).parent.rename(tmp_path / "moved")
    assert accepted(project_files.read(str(moved / "nbsync.toml"))) == []


def test_another_user_has_accepted_nothing(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = project_files.read(path)
    project_files.accept(found, found.project.folders)
    secret = tmp_path / "home" / "nbsync" / ".nbsync" / "secret"
    secret.write_bytes(bytes(32))
    assert accepted(found) == []


def test_a_lock_is_written_whole_and_read_again(path: str) -> None:
    found = project_files.read(path)
    with pytest.raises(UsageError, match=r"there is no nbsync\.lock"):
        list(project_files.locked(found))
    pinned = [Pinned("raw", name, 3, "e", "", "ab" * 32) for name in ("a", "b ü")]
    project_files.write_lock(found, pinned)
    assert list(project_files.locked(found)) == pinned
    before = Path(found.lock_path).read_bytes()

    def breaks() -> object:
        yield pinned[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        project_files.write_lock(found, breaks())  # type: ignore[arg-type]
    assert Path(found.lock_path).read_bytes() == before
    assert sorted(os.listdir(found.root)) == ["nbsync.lock", "nbsync.toml"]
    Path(found.lock_path).write_bytes(before + b"\xff\n")
    with pytest.raises(UsageError, match=r"nbsync\.lock"):
        list(project_files.locked(found))
