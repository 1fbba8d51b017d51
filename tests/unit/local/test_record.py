"""The state database: what is written is read again, by REMOTE, in order; damage is set aside, never lost."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbsync.core.model import RecordedEntry
from nbsync.errors import LocalError
from nbsync.local import database, record
from nbsync.local.record import RemoteName, State, open_state

HERE = RemoteName("http://h:1", "bucket", "p/")


def opened(path: Path, remote: RemoteName = HERE, *, writable: bool = True) -> State:
    return open_state(str(path), remote, writable=writable)


def row(path: str, **more: object) -> RecordedEntry:
    return RecordedEntry(path, "etag", "v", 1, 2, 3, 4, "md5:x")._replace(**more)  # type: ignore[arg-type]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """Where a database may be."""
    return tmp_path / "a place?with#odd %20 name" / "state.sqlite3"


@pytest.fixture(autouse=True)
def _folder(db: Path) -> None:
    db.parent.mkdir()


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), unique=True))
def test_rows_come_in_the_order_of_paths(paths: list[str]) -> None:
    here = State(database.scratch(), HERE, path="", writable=True, notes=[])
    here.record(map(row, paths))
    assert list(here.rows()) == [row(path) for path in sorted(paths)]
    here.close()


def test_rows_stay(db: Path) -> None:
    entry = row("f", mtime_ns=2**62, ctime_ns=-1, inode=2**63 - 1, size=2**50)
    first = opened(db)
    assert first.fresh
    first.record([entry])
    first.close()

    second = opened(db)
    assert (list(second.rows()), second.fresh, second.notes) == ([entry], False, [])
    second.close()


@pytest.mark.parametrize("inode", [2**63, 2**64 - 1])
def test_numbers_of_64_bits_without_a_sign_stay(db: Path, inode: int) -> None:
    first = opened(db)
    first.record([row("f", inode=inode)])
    assert list(first.rows()) == [row("f", inode=inode)]
    first.close()


def test_times_that_no_database_holds_are_never_those_of_a_file(db: Path) -> None:
    first = opened(db)
    first.record([row("f", mtime_ns=15_032_385_535 * 10**9, ctime_ns=2**64), row("g", mtime_ns=-(2**64))])
    late, early = first.rows()
    assert late.mtime_ns < 15_032_385_535 * 10**9
    assert early.mtime_ns > -(2**64)
    first.close()


def test_record_replaces_and_forgets(db: Path) -> None:
    here = opened(db)
    here.record([row("a"), row("b"), row("c")])
    here.record([row("a", etag="new")], forget=["b", "never was"])
    assert list(here.rows()) == [row("a", etag="new"), row("c")]
    here.close()


@pytest.mark.parametrize("field", RemoteName._fields)
def test_remotes_are_apart(db: Path, field: str) -> None:
    here, other = opened(db), opened(db, HERE._replace(**{field: "other"}))
    here.record([row("f")])
    assert list(other.rows()) == []
    other.record([row("f", etag="theirs")], forget=["g"])
    assert list(here.rows()) == [row("f")]
    here.close()
    other.close()


def test_rows_may_be_written_while_they_are_read(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "PAGE_ROWS", 3)
    here = opened(db)
    here.record(row(f"{n:02}") for n in range(10))
    seen = []
    for entry in here.rows():
        seen.append(entry.path)
        here.record([entry._replace(etag="seen")], forget=["09"])
    assert seen == [f"{n:02}" for n in range(9)]
    here.close()


def test_without_writing_nothing_is_made(db: Path) -> None:
    here = opened(db, writable=False)
    here.record([row("f")])
    assert (list(here.rows()), os.listdir(db.parent)) == ([], [])
    here.close()


def test_reading_leaves_the_file_alone(db: Path) -> None:
    first = opened(db)
    first.record([row("f")])
    first.close()
    before = db.read_bytes()

    reader = opened(db, HERE, writable=False)
    reader.record([row("g")], forget=["f"])
    assert list(reader.rows()) == [row("f")]
    reader.close()
    stranger = opened(db, HERE._replace(bucket="unknown"), writable=False)
    assert (list(stranger.rows()), stranger.fresh) == ([], True)
    stranger.close()
    assert (db.read_bytes(), os.listdir(db.parent)) == (before, ["state.sqlite3"])


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000, b"SQLite format 3\0" + b"\1" * 5000])
@pytest.mark.parametrize("writable", [True, False])
def test_unreadable_is_set_aside(db: Path, content: bytes, writable: bool) -> None:
    for number in (1, 2):
        db.write_bytes(content)
        here = opened(db, writable=writable)
        assert len(here.notes) == 1
        assert here.notes[0].startswith("protection: no record")
        here.record([row("f")])
        assert list(here.rows()) == ([row("f")] if writable else [])
        here.close()
        aside = db.with_name(f"state.sqlite3.unreadable-{number}")
        assert aside.exists() is writable
        assert (aside if writable else db).read_bytes() == content


def test_newer_version_is_set_aside(db: Path) -> None:
    opened(db).close()
    with sqlite3.connect(db) as raw:
        raw.execute(f"PRAGMA user_version = {database.FORMAT + 1}")

    here = opened(db)

    assert f"format {database.FORMAT + 1}" in here.notes[0]
    here.close()


def test_damage_met_later_is_set_aside_and_told(db: Path) -> None:
    here = opened(db)
    here.record(row(f"{n:05}", content="c" * 200) for n in range(3000))
    here.close()
    damaged = bytearray(db.read_bytes())
    damaged[-200_000:-20_000] = os.urandom(180_000)
    db.write_bytes(damaged)

    here = opened(db)
    with pytest.raises(LocalError, match="was kept as state"):
        list(here.rows())
    here.record([row("f")])  # a run that is ending writes what it has: nowhere
    assert not db.exists()


def test_locked_is_told_and_left_alone(db: Path) -> None:
    here = opened(db)
    here._db.execute("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(db, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(LocalError, match="cannot be used"):
        here.record([row("f")])

    other.close()
    here.record([row("f")])
    assert list(here.rows()) == [row("f")]
    here.close()


def test_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="cannot be used now"):
        opened(tmp_path / "no folder" / "state.sqlite3")


def test_waypoints_are_those_of_their_remote_and_of_the_last_listing(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    one, two = (open_state(path, RemoteName("e", "b", prefix), writable=True) for prefix in ("one/", "two/"))
    assert one.page_boundaries() == []
    one.note_page_boundaries(["a", "b", "\udcff"])
    two.note_page_boundaries(["c", "é"])
    one.note_page_boundaries(["d", "b"])
    assert (one.page_boundaries(), two.page_boundaries()) == (["b", "d"], ["c", "é"])
    one.close()
    two.close()
    reading = open_state(path, RemoteName("e", "b", "one/"), writable=False)
    reading.note_page_boundaries(["x"])
    assert reading.page_boundaries() == ["b", "d"]
    reading.close()
