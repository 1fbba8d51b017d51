"""Databases that anybody may have written: nothing in them is run, and reading them comes to an end."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from nbsync.local import database, journal_schema, schema
from nbsync.local.database import Damaged, faults
from nbsync.local.record import RemoteName, open_state
from nbsync.local.schema import bounded, check_tables

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"
HERE = RemoteName("http://h:1", "bucket", "p/")
PROGRAMS = [
    f"DROP TABLE synced; CREATE VIEW synced AS {ENDLESS}",
    f"CREATE VIEW anything AS {ENDLESS}",
    f"CREATE TRIGGER t AFTER INSERT ON remotes BEGIN DELETE FROM synced WHERE size IN ({ENDLESS}); END",
    "CREATE TRIGGER t BEFORE UPDATE ON synced BEGIN SELECT RAISE(IGNORE); END",
    "DROP TABLE synced; CREATE TABLE synced (path, content AS (hex(zeroblob(900000000))))",
    "DROP TABLE synced; CREATE TABLE synced (path, content CHECK (length(hex(zeroblob(900000000))) > 1))",
    "DROP TABLE synced; CREATE VIRTUAL TABLE synced USING fts5(path, content)",
    "CREATE INDEX i ON synced (abs(size))",
]


def test_ours_are_plain_tables(tmp_path: Path) -> None:
    state = open_state(str(tmp_path / "state.sqlite3"), HERE, writable=True)
    state.note_page_boundaries(["a"])
    state.close()
    journal_schema.connect(str(tmp_path / "unfinished.sqlite3")).close()
    for name in ("state.sqlite3", "unfinished.sqlite3"):
        with sqlite3.connect(tmp_path / name) as db:
            check_tables(db)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("writable", [True, False])
def test_a_record_that_holds_a_program_is_none(tmp_path: Path, program: str, writable: bool) -> None:
    path = tmp_path / "state.sqlite3"
    open_state(str(path), HERE, writable=True).close()
    with sqlite3.connect(path) as db:
        db.executescript(program)
    state = open_state(str(path), HERE, writable=writable)
    assert list(state.rows()) == []
    assert "it holds what no nbsync writes" in state.notes[0]
    state.close()
    assert (tmp_path / "state.sqlite3.unreadable-1").exists() is writable


def test_a_journal_that_holds_a_program_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "unfinished.sqlite3"
    db = journal_schema.connect(str(path))
    db.executescript(
        f"CREATE TRIGGER t AFTER DELETE ON uploads BEGIN DELETE FROM parts WHERE upload IN ({ENDLESS}); END"
    )
    db.close()
    with pytest.raises(sqlite3.DatabaseError):
        journal_schema.connect_to_read(str(path))
    db = journal_schema.connect(str(path))
    assert db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall() == []
    db.close()


def test_what_has_no_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "_STEPS", 3_000_000)
    db = sqlite3.connect(":memory:")
    with pytest.raises(Damaged, match="no end"), faults("x"), bounded(db):
        db.execute(f"SELECT max(x) FROM ({ENDLESS})").fetchone()
    with pytest.raises(sqlite3.OperationalError, match="no such table"), bounded(db):
        db.execute("SELECT * FROM nowhere")
    with bounded(db):
        assert db.execute("SELECT 1").fetchone() == (1,)
    assert db.execute(f"SELECT x FROM ({ENDLESS}) LIMIT 1 OFFSET 2000000").fetchone() == (2000001,), "no longer bounded"


def test_rows_of_other_types_are_passed_over(tmp_path: Path) -> None:
    path = str(tmp_path / database.NAME)
    open_state(path, HERE, writable=True).close()
    good = ["b", "etag", "", 1, 2, 3, 4, "md5:x"]
    with sqlite3.connect(path) as db:
        for number, odd in ((1, b"e"), (2, b"v"), (3, "long"), (3, 1.5), (6, "i"), (6, b"i"), (7, b"md5:x")):
            row = [f"a{number}{odd!r}", *good[1:]]
            row[number] = odd
            db.execute("INSERT INTO synced VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, x'')", row)
        for name in ("b", b"a", b"\xff"):
            db.execute("INSERT INTO synced VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, x'')", [name, *good[1:]])
    state = open_state(path, HERE, writable=True)
    assert [entry.path for entry in state.rows()] == ["b"]
    state.close()
