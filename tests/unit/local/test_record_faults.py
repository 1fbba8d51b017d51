"""What SQLite says about a state database: only damage costs the record; all else leaves it where it is."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nbsync.core.model import RecordedEntry
from nbsync.errors import LocalError
from nbsync.local import database
from nbsync.local.record import RemoteName, open_state
from nbsync.local.unsynced import changed_since_sync

HERE = RemoteName("http://h:1", "bucket", "p/")
THERE = HERE._replace(prefix="q/")


def row(path: str, etag: str = "etag") -> RecordedEntry:
    return RecordedEntry(path, etag, "v", 1, 2, 3, 4, "md5:x")


def recorded(path: Path, *rows: RecordedEntry, remote: RemoteName = HERE) -> None:
    state = open_state(str(path), remote, writable=True)
    state.record(rows)
    state.close()


def read(path: Path, remote: RemoteName = HERE, *, writable: bool = False, seed: str = "") -> list[RecordedEntry]:
    state = open_state(str(path), remote, writable=writable, seed=seed)
    rows = list(state.rows())
    state.close()
    return rows


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A record of one file."""
    db = tmp_path / "room" / "state.sqlite3"
    db.parent.mkdir()
    recorded(db, row("f"))
    return db


def lock(path: Path) -> sqlite3.Connection:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    return other


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a lock that is not going to be let go of."""
    connect = sqlite3.connect
    monkeypatch.setattr(database.sqlite3, "connect", lambda *words, **more: connect(*words, **{"timeout": 0, **more}))


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("writable", [True, False])
def test_locked_database_stays(db: Path, writable: bool) -> None:
    other = lock(db)
    with pytest.raises(LocalError, match=r"locked.*let it end"):
        open_state(str(db), HERE, writable=writable)
    other.close()
    assert os.listdir(db.parent) == [db.name]
    assert read(db) == [row("f")]


def limit_pages(db: sqlite3.Connection) -> None:
    """As on a full disk: SQLite may not make the file longer."""
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages}")


def make_read_only(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA query_only = 1")


@pytest.mark.parametrize(("hinder", "says"), [(limit_pages, "full"), (make_read_only, "readonly")])
def test_database_that_takes_no_more_stays(
    db: Path, monkeypatch: pytest.MonkeyPatch, hinder: Callable[[sqlite3.Connection], None], says: str
) -> None:
    connect = database.connect

    def hindered(path: str, *, writable: bool) -> sqlite3.Connection:
        opened = connect(path, writable=writable)
        hinder(opened)
        return opened

    monkeypatch.setattr(database, "connect", hindered)
    remote = RemoteName("http://h", "b", "long" * 50_000)
    with pytest.raises(LocalError, match=f"cannot be used now .*{says}"):
        open_state(str(db), remote, writable=True)
    monkeypatch.undo()
    assert os.listdir(db.parent) == [db.name]
    assert read(db) == [row("f")]


@pytest.mark.parametrize("message", ["disk I/O error", "unable to open database file", "database table is locked"])
def test_other_trouble_is_told_with_advice(message: str) -> None:
    with pytest.raises(LocalError, match=f"{message}.* (Check|Another)"), database.faults("p"):
        raise sqlite3.OperationalError(message)


@pytest.mark.parametrize(
    "error",
    [
        sqlite3.DatabaseError("database disk image is malformed"),
        sqlite3.DatabaseError("file is not a database"),
        sqlite3.OperationalError("no such table: synced"),
        sqlite3.OperationalError("table synced has 8 columns but 9 values were supplied"),
        sqlite3.OperationalError("Could not decode to UTF-8 column 'path' with text 'x'"),
    ],
)
def test_damage(error: sqlite3.Error) -> None:
    with pytest.raises(database.Damaged), database.faults("p"):
        raise error


def test_our_own_mistakes_are_no_damage() -> None:
    with pytest.raises(sqlite3.ProgrammingError), database.faults("p"):
        raise sqlite3.ProgrammingError("Incorrect number of bindings supplied")


@pytest.mark.parametrize("damaged", [True, False])
def test_failed_beginning_leaves_things_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: bool
) -> None:
    path = tmp_path / "state.sqlite3"
    if damaged:
        path.write_bytes(b"no database" * 100)
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    monkeypatch.setattr(database, "_SCHEMA", "CREATE TABLE remotes (id); PRAGMA nothing; SELECT * FROM nowhere;")
    with pytest.raises((LocalError, database.Damaged)):
        open_state(str(path), HERE, writable=True)
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before


def test_leftovers_of_a_beginning_that_was_killed(tmp_path: Path) -> None:
    path, treasure = tmp_path / "state.sqlite3", tmp_path / "treasure"
    treasure.write_text("gold")
    (tmp_path / "state.sqlite3.new").symlink_to(treasure)
    recorded(path, row("f"))
    assert sorted(os.listdir(tmp_path)) == ["state.sqlite3", "treasure"]
    assert (read(path), treasure.read_text()) == ([row("f")], "gold")


def kill_in_mid_commit(path: Path) -> None:
    """Leave a journal that is to be rolled back, as a power cut does."""
    code = f"""if True:
        import os, sqlite3
        db = sqlite3.connect({str(path)!r}, isolation_level=None)
        db.execute("PRAGMA cache_size = 2")
        db.execute("BEGIN")
        db.execute("DELETE FROM synced")
        for n in range(2000):
            db.execute("INSERT INTO synced VALUES (1, ?, '', '', 1, 2, 3, 4, ?, x'')", (str(n), "x" * 200))
        os.kill(os.getpid(), 9)"""
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == -9
    assert Path(f"{path}-journal").stat().st_size > 0


@pytest.mark.parametrize("writable", [True, False])
def test_record_is_seen_after_a_kill_in_mid_commit(db: Path, writable: bool) -> None:
    kill_in_mid_commit(db)
    before = {name: (db.parent / name).read_bytes() for name in os.listdir(db.parent)}
    assert read(db, writable=writable) == [row("f")]
    if not writable:
        assert {name: (db.parent / name).read_bytes() for name in os.listdir(db.parent)} == before


def test_journal_of_a_database_that_was_removed_is_not_rolled_back(db: Path) -> None:
    kill_in_mid_commit(db)
    db.unlink()
    recorded(db, row("new"))
    assert read(db) == [row("new")]
    assert os.listdir(db.parent) == [db.name]


@pytest.mark.parametrize("writable", [True, False])
@pytest.mark.parametrize("name", ["state.sqlite3", "state.sqlite3-journal"])
def test_nothing_is_reached_through_a_link(tmp_path: Path, name: str, writable: bool) -> None:
    state_dir, elsewhere = tmp_path / "room", tmp_path / "elsewhere"
    state_dir.mkdir()
    (state_dir / name).symlink_to(elsewhere)
    with pytest.raises(LocalError, match=r"is a symbolic link.*Remove it"):
        open_state(str(state_dir / "state.sqlite3"), HERE, writable=writable)
    assert not elsewhere.exists()


def test_room_that_is_a_link_is_not_read(db: Path) -> None:
    (db.parent.parent / "link").symlink_to(db.parent)
    with pytest.raises(LocalError, match="symbolic link"):
        open_state(str(db.parent.parent / "link" / db.name), HERE, writable=False)


# LOCAL cannot be written: the record is elsewhere, and begins with what LOCAL's own says.


@pytest.mark.parametrize("writable", [True, False])
def test_locals_own_record_is_the_beginning(db: Path, tmp_path: Path, writable: bool) -> None:
    mine = tmp_path / "state.sqlite3"
    assert read(mine, writable=writable, seed=str(db)) == [row("f")]
    assert mine.exists() is writable


@pytest.mark.parametrize("writable", [True, False])
@pytest.mark.parametrize(("ours", "etag"), [(10, "etag"), (30, "newer")])
def test_the_younger_record_counts(db: Path, tmp_path: Path, ours: int, etag: str, writable: bool) -> None:
    mine = tmp_path / "state.sqlite3"
    recorded(mine, row("f", "newer"), row("g"))
    recorded(mine, row("h"), remote=THERE)
    os.utime(mine, (ours, ours))
    os.utime(db, (20, 20))
    assert read(mine, writable=writable, seed=str(db)) == [row("f", etag), row("g")]
    assert read(mine, THERE, seed=str(db)) == [row("h")], "what is known of another REMOTE stays"


def test_damaged_record_of_locals_own_is_told_and_left(tmp_path: Path) -> None:
    seed = tmp_path / "room" / "state.sqlite3"
    seed.parent.mkdir()
    seed.write_bytes(b"no database" * 100)
    state = open_state(str(tmp_path / "state.sqlite3"), HERE, writable=True, seed=str(seed))
    assert "protection: no record" in " ".join(state.notes)
    state.close()
    assert os.listdir(seed.parent) == [seed.name]


def test_after_a_kill_in_mid_commit_nothing_of_the_users_is_overlooked(tmp_path: Path) -> None:
    """LOCAL's only file was recorded before a run was killed: it is still known, and an edit still shows."""
    root = tmp_path / "local"
    (root / ".nbsync").mkdir(parents=True)
    (root / "f").write_text("from REMOTE")
    at = (root / "f").stat()
    db = root / ".nbsync/state.sqlite3"
    recorded(db, RecordedEntry("f", "e", "", at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino, "md5:x"))
    kill_in_mid_commit(db)
    assert not changed_since_sync(str(root), str(db))
    (root / "f").write_text("an hour of work")
    assert changed_since_sync(str(root), str(db))
