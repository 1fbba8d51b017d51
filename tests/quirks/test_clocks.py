"""Clocks of 1 and 2 s: an edit that leaves every time as it was is seen by the next sync all the same."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

import nbsync
from nbsync import SyncResult
from tests.functional.world import opened_below
from tests.old_layout import make_old
from tests.quirks import mounts
from tests.quirks.store import Request
from tests.quirks.world import CREDENTIALS, World, world

FIRST, EDIT, THEIRS = b"version-1", b"version-2", b"theirs-03"
Edit = Callable[[Path], object]
First = Callable[[World], Edit]


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def mount() -> Iterator[Path]:
    """A file system whose times are whole seconds."""
    with mounts.coarse() as made:
        yield made


@pytest.fixture
def here(mount: Path) -> Iterator[World]:
    """A world whose LOCAL is on it, and there."""
    with world(mount) as made:
        made.local.mkdir()
        yield made


def pull(here: World) -> SyncResult:
    return nbsync.pull("s3://b/p", here.local, endpoint_url=here.store.url)


def push(here: World) -> SyncResult:
    return nbsync.push(here.local, "s3://b/p", endpoint_url=here.store.url)


def modified(here: World) -> int:
    """How many files `status` calls modified."""
    changes = nbsync.status(here.local).changes
    assert changes is not None
    return changes["modified"]


def times(file: Path) -> tuple[int, int, int]:
    at = file.stat()
    return at.st_ctime_ns, at.st_mtime_ns, at.st_size


def rewritten(file: Path) -> None:
    file.write_bytes(EDIT)


def restored(file: Path) -> None:
    """As `touch -d` does."""
    at = file.stat()
    file.write_bytes(EDIT)
    os.utime(file, ns=(at.st_atime_ns, at.st_mtime_ns))


def unseen(here: World, sync: Callable[[Path], object], edit: Callable[[Path], object] = lambda _file: None) -> str:
    """The path of a file that was edited after `sync`, all of whose times are what they were when it was synced."""
    for number in range(20):
        file = here.local / f"f{number}"
        sync(file)
        before = times(file)
        edit(file)
        if times(file) == before:
            return file.name
    pytest.fail("no edit left the times as they were")


def first_push(here: World) -> Edit:
    def sync(file: Path) -> None:
        file.write_bytes(FIRST)
        push(here)

    return sync


def first_pull(here: World) -> Edit:
    def sync(file: Path) -> None:
        here.put(file.name, FIRST, modified=this_second())
        pull(here)

    return sync


def this_second() -> str:
    """Now, as a listing has it: the time of a file that is pulled at once is within the tick, too."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())


@pytest.mark.parametrize("first", [first_push, first_pull])
@pytest.mark.parametrize("edit", [rewritten, restored])
def test_an_edit_in_the_tick_of_the_sync_is_pushed(here: World, first: First, edit: Edit) -> None:
    path = unseen(here, first(here), edit)
    assert modified(here) == 1
    assert [row.status for row in nbsync.plan("push", here.local, "s3://b/p", endpoint_url=here.store.url)
            if row.path == path] == ["planned"]  # fmt: skip
    push(here)
    assert here.remote()[path] == EDIT


@pytest.mark.parametrize("first", [first_push, first_pull])
@pytest.mark.parametrize("edit", [rewritten, restored])
def test_an_edit_in_the_tick_of_the_sync_is_kept_by_a_pull(here: World, first: First, edit: Edit) -> None:
    path = unseen(here, first(here), edit)
    here.put(path, THEIRS)
    pull(here)
    assert here.files()[path] == THEIRS
    assert EDIT in here.trash().values()
    assert nbsync.undo(here.local).ok
    assert here.files()[path] == EDIT


@contextlib.contextmanager
def two_seconds() -> Iterator[Path]:
    with mounts.quirk("sec2") as made:
        yield made.path


@pytest.mark.parametrize("clock", [two_seconds, mounts.exfat])
def test_two_seconds(clock: Callable[[], AbstractContextManager[Path]]) -> None:
    with clock() as mount, world(mount) as here:
        here.local.mkdir()
        pushed = unseen(here, first_push(here), restored)
        push(here)
        assert here.remote()[pushed] == EDIT
        pulled = unseen(here, first_pull(here), rewritten)
        here.put(pulled, THEIRS)
        pull(here)
        assert EDIT in here.trash().values()


@pytest.mark.parametrize("size", [9, 200_000, 36_000_000])
def test_a_save_while_the_file_is_uploaded_is_pushed_the_next_time(here: World, size: int) -> None:
    at: list[tuple[int, int, int]] = []

    def save(request: Request) -> bool:
        file = here.local / request.key.removeprefix("p/")
        if request.command == "PUT" and not at:
            at.append(times(file))
            file.write_bytes(EDIT * (size // 9))
        return False

    def sync(file: Path) -> None:
        at.clear()
        file.write_bytes(FIRST * (size // 9))
        push(here)

    here.store.hook = save
    for _ in range(20):
        path = unseen(here, sync)
        if times(here.local / path) == at[0]:
            break
    push(here)
    assert here.remote()[path] == EDIT * (size // 9)


def test_parts_of_two_versions_become_no_object(here: World) -> None:
    """Each part is read when its turn comes."""
    made: set[bytes] = set()
    here.store.made = lambda stored: made.add(stored.body[:9] + stored.body[-9:])
    for number in range(20):
        file = here.write(f"f{number}", FIRST * 4_000_000)
        before = times(file)
        after: list[object] = []

        def save(request: Request, file: Path = file, after: list[object] = after) -> bool:
            if request.command == "PUT" and not after:
                file.write_bytes(EDIT * 4_000_000)
                after.append(times(file))
            return False

        here.store.hook = save
        nbsync.push(here.local, "s3://b/p", endpoint_url=here.store.url, jobs=1)
        assert made <= {FIRST * 2, EDIT * 2}
        if after == [before]:
            return
        file.unlink()
    pytest.fail("no save left the times as they were")


def test_a_save_while_the_object_is_downloaded_is_kept(here: World) -> None:
    for number in range(20):
        file = here.local / f"f{number}"
        file.write_bytes(FIRST)
        push(here)
        before = times(file)
        after: list[object] = []
        here.put(file.name, THEIRS)

        def save(request: Request, file: Path = file, after: list[object] = after) -> bool:
            if request.command == "GET" and request.key:
                file.write_bytes(EDIT)
                after.append(times(file))
            return False

        here.store.hook = save
        pull(here)
        here.store.hook = lambda _request: False
        assert EDIT in here.trash().values()
        (here.local / ".nbsync" / "trash").rename(here.local / f".nbsync/trash-{number}")
        if after == [before]:
            return
    pytest.fail("no save left the times as they were")


def test_a_file_of_the_last_tick_is_read_once_more_and_then_no_more(here: World) -> None:
    path = unseen(here, first_pull(here))
    while not _ticked(here, path):
        time.sleep(0.01)
    reads = []
    for _ in range(2):
        with opened_below(here.local) as opened:
            result = pull(here)
        assert (result.counts["hit"], result.counts["miss"]) == (len(here.remote()), 0)
        reads.append(str(here.local / path) in opened)
    assert reads == [True, False]


def _ticked(here: World, path: str) -> bool:
    probe = here.local.parent / "probe"
    probe.write_bytes(b"")
    return times(probe)[0] > times(here.local / path)[0]


def test_a_row_of_an_earlier_nbsync_is_not_believed(here: World) -> None:
    """It believed the file of this tick."""
    path = unseen(here, first_push(here), rewritten)
    ctime_ns, mtime_ns, _ = times(here.local / path)
    with contextlib.closing(sqlite3.connect(here.local / ".nbsync/state.sqlite3")) as db, db:
        db.execute("UPDATE synced SET ctime_ns = ?, mtime_ns = ? WHERE path = ?", (ctime_ns, mtime_ns, path))
    make_old(here.local / ".nbsync")
    assert modified(here) == 1
    push(here)
    assert here.remote()[path] == EDIT


@pytest.mark.parametrize("edit", [None, restored])
def test_a_cache_with_an_edit_is_kept(mount: Path, edit: Edit | None) -> None:
    with world(mount) as here:
        kept = []
        for number in range(20):
            cache = nbsync.LocalObjectCache("b", "p", here.local.with_name(f"c{number}"), endpoint_url=here.store.url)
            here.put("f", FIRST, modified=this_second())
            assert cache.sync().ok
            before = times(cache.path / "f")
            if edit is not None:
                edit(cache.path / "f")
            kept.append(times(cache.path / "f") == before)
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                cache.close()
            assert (cache.path.exists(), len(said)) == ((True, 1) if edit is not None else (False, 0))
            if kept[-1]:
                return
    pytest.fail("no edit left the times as they were")


def test_the_clock_of_a_mount_below_local(mount: Path) -> None:
    """The room is on a file system whose clock is fine."""
    with world() as here, _bound(mount, here.local / "below"):
        for number in range(20):
            file = here.write(f"below/f{number}", FIRST)
            push(here)
            before = times(file)
            rewritten(file)
            push(here)
            assert here.remote()[f"below/{file.name}"] == EDIT
            if times(file) == before:
                return
    pytest.fail("no edit left the times as they were")


@contextlib.contextmanager
def _bound(source: Path, place: Path) -> Iterator[None]:
    place.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=source) as folder:
        subprocess.run(["mount", "--bind", folder, place], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", "-l", place], check=True)


def test_a_plan_is_held_against_the_content(here: World, tmp_path: Path) -> None:
    """What was edited in the tick of the plan is not done as it was planned, or is in the trash."""
    for number in range(20):
        file = here.write(f"f{number}", FIRST)
        here.put(file.name, THEIRS)
        before = times(file)
        saved = tmp_path / f"{number}.jsonl"
        nbsync.plan("pull", "s3://b/p", here.local, endpoint_url=here.store.url, save=str(saved))
        rewritten(file)
        seen = times(file)
        nbsync.apply(str(saved))
        assert EDIT in here.everywhere()
        if seen == before:
            return
    pytest.fail("no edit left the times as they were")
