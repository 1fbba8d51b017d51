"""Undo where the trash cannot be read, is planted, or its files have no numbers: 0 only if all is back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import nbsync
from nbsync.errors import NbsyncError
from nbsync.results.sync_result import SyncResult
from tests.quirks.mounts import quirk
from tests.quirks.world import CREDENTIALS, World, world

MINE = {"a": b"EDIT a", "b/c": b"EDIT b"}


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


def pull(here: World, **options: bool) -> SyncResult:
    return nbsync.pull("s3://b/p", here.local, endpoint_url=here.store.url, **options)


def replace_edits(here: World) -> None:
    """A pull replaces edits of two files, which lie in the trash then."""
    for path in MINE:
        here.put(path, b"1")
    pull(here)
    for path, content in MINE.items():
        here.write(path, content)
        here.put(path, b"2")
    pull(here)
    assert set(MINE.values()) <= set(here.trash().values())


@pytest.fixture
def replaced() -> Iterator[World]:
    """A world in which a pull replaced edits."""
    with world() as here:
        replace_edits(here)
        yield here


def undone(local: Path, *, dry_run: bool = False) -> tuple[bool, str]:
    """Whether an undo says that all is well, and all that it says."""
    try:
        result = nbsync.undo(local, dry_run=dry_run)
    except NbsyncError as error:
        return False, str(error)
    return result.exit_code == 0, " ".join([*result.notes, *(problem.message for problem in result.problems)])


def all_comes_back(here: World) -> None:
    """An undo puts the edits back, and says that it has."""
    ok, said = undone(here.local)
    assert ok, said
    assert here.files() == MINE


@pytest.mark.parametrize(("calls", "step"), [(("open", "opendir"), 2), (("lookup",), 9)])
def test_one_reading_of_the_trash_fails(calls: tuple[str, ...], step: int, tmp_path: Path) -> None:
    """Whichever it is, undo has put all back, or says what is not; the next one puts all back."""
    with quirk("fail") as mount, world(mount.path) as here:
        replace_edits(here)
        local, kept = here.local, tmp_path / "kept"
        shutil.copytree(local, kept)
        for number in range(1, 99, step):
            here.local = local.with_name(f"local-{number}")
            shutil.copytree(kept, here.local)
            mount.fail(number, "trash", calls)
            ok, said = undone(here.local)
            fired = mount.fired()
            mount.heal()
            assert not ok or here.files() == MINE, f"{fired}: {said}"
            assert set(MINE.values()) <= set(here.everywhere())
            if not fired:
                break
            if not ok:
                assert "Input/output error" in said or "stays in the trash" in said
                all_comes_back(here)
        assert number > 4 * step


def test_a_dry_run_says_what_it_cannot_read() -> None:
    with quirk("fail") as mount, world(mount.path) as here:
        replace_edits(here)
        mount.fail(3, "trash", ("opendir",))
        ok, said = undone(here.local, dry_run=True)
        assert mount.fired()
        assert not ok
        assert "undo again" in said


@pytest.mark.parametrize("quirks", [("inode1",), ("inode1", "sec1"), ("inode1", "nolink")])
def test_all_files_have_one_number(quirks: tuple[str, ...]) -> None:
    """What was replaced comes back, and what that replaced, when it is undone in turn."""
    with quirk(*quirks) as mount, world(mount.path) as here:
        replace_edits(here)
        assert undone(here.local)[0]
        assert here.files() == MINE
        assert undone(here.local)[0]
        assert here.files() == dict.fromkeys(MINE, b"2")
        assert set(MINE.values()) <= set(here.everywhere())
        here.drop("a")
        assert pull(here, delete=True)["a"].status == "deleted"
        assert undone(here.local)[0]
        assert here.files() == dict.fromkeys(MINE, b"2")


PLANTED = [
    "2026-01-01T000000Z-000000000-1+999999",
    "2099-01-01T000000Z-000000000-1+999999",
    "2999-12-31T235959Z-999999999-1+999999",
    "9999-12-31T235959Z-999999999-99999+999999",
    "9999-12-31T235959Z-999999999-1",
    "2099-01-01T000000Z-000000000-" + "9" * 200,
    "2099-01-01T000000Z-000000000-1." + "9" * 200,
]


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_name_hides_nothing(name: str) -> None:
    """Of whatever age it says it is: what the next pull replaces comes back."""
    with world() as here:
        (here.local / ".nbsync/trash" / name).mkdir(parents=True)
        (here.local / ".nbsync/trash" / name / "planted").write_bytes(b"p")
        replace_edits(here)
        all_comes_back(here)


def test_planted_things_that_are_no_folders(replaced: World) -> None:
    """Links, pipes and files with names of runs, and a pipe for the list of mounts: none is opened or followed."""
    home = replaced.local / ".nbsync/trash"
    beside = replaced.top / "beside"
    beside.mkdir()
    (beside / "a").write_bytes(b"elsewhere")
    (home / "2099-01-01T000000Z-000000000-1").symlink_to(beside)
    os.mkfifo(home / "2099-01-01T000000Z-000000000-2")
    (home / "2099-01-01T000000Z-000000000-3").write_bytes(b"")
    os.mkfifo(replaced.local / ".nbsync/mounts")
    os.mkfifo(replaced.local / ".nbsync/undoing")
    ok, said = undone(replaced.local, dry_run=True)
    assert ok, said
    (replaced.local / ".nbsync/undoing").unlink()
    all_comes_back(replaced)


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_trash_that_is_no_folder_is_told(replaced: World, kind: str) -> None:
    home = replaced.local / ".nbsync/trash"
    home.rename(replaced.top / "trash")
    home.symlink_to(replaced.top / "trash") if kind == "link" else home.write_bytes(b"")
    for dry_run in (True, False):
        ok, said = undone(replaced.local, dry_run=dry_run)
        assert not ok
        assert str(home) in said
