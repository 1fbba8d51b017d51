"""The SQLite file of the recorded state: opened, begun, copied, set aside. Runs in the run's thread.

One reading of what SQLite says (`faults`): a healthy database that cannot be used now stays where it is,
and the run ends; only a damaged one, or one of another format, is set aside.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from urllib.parse import quote

from nbsync.core.clock import COARSE_NS, NO_TIME
from nbsync.errors import LocalError
from nbsync.local.forks import AT_REST
from nbsync.local.openat import check_files
from nbsync.local.schema import check_tables
from nbsync.local.user_state import database_folder

NAME = "state.sqlite3"
FORMAT = 2
_BEFORE = 1  # had no proofs; it is read, and taken over where it is written
_TAILS = ("-journal", "-wal", "-shm")
_NEW = ".new"
COLUMNS = "path, etag, version_id, size, mtime_ns, ctime_ns, inode, content"
# Early versions believed a row even if its file could still change in the same tick: where stamps are coarse, none is.
_UNSURE = f"ctime_ns % {COARSE_NS} = 0"
_SURE_COLUMNS = COLUMNS.replace("ctime_ns", f"CASE WHEN {_UNSURE} THEN {NO_TIME} ELSE ctime_ns END")

_SCHEMA = f"""
CREATE TABLE remotes (
    id INTEGER PRIMARY KEY,
    endpoint TEXT NOT NULL, bucket TEXT NOT NULL, prefix TEXT NOT NULL,
    UNIQUE (endpoint, bucket, prefix)
);
CREATE TABLE synced (
    remote INTEGER NOT NULL REFERENCES remotes (id),
    path TEXT NOT NULL,
    etag TEXT NOT NULL, version_id TEXT NOT NULL,
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
    content TEXT NOT NULL,
    proof BLOB NOT NULL,
    PRIMARY KEY (remote, path)
) WITHOUT ROWID;
PRAGMA user_version = {FORMAT};
"""

# Where the pages of the last listing ended: a hint that may be missing, so it is no matter of the format.
WAYPOINTS = """CREATE TABLE IF NOT EXISTS waypoints (
    remote INTEGER NOT NULL REFERENCES remotes (id),
    path TEXT NOT NULL,
    PRIMARY KEY (remote, path)
) WITHOUT ROWID"""

# How LOCAL spells the files whose keys it spells otherwise; that of the empty path says that all are known.
SPELLINGS = """CREATE TABLE IF NOT EXISTS spellings (
    remote INTEGER NOT NULL REFERENCES remotes (id),
    path TEXT NOT NULL,
    local TEXT NOT NULL,
    PRIMARY KEY (remote, path)
) WITHOUT ROWID"""

# What SQLite reports as operational, and is in the file: not the tables, or the text, that this format has.
_NOT_THIS_FORMAT = ("no such table", "no such column", "table ", "unsupported file format", "Could not decode")
_ADVICE = (
    ("locked", "Another program has it open: let it end, then run this again"),
    ("full", "Free some room on the disk, then run this again"),
    ("readonly", "Check the permissions of it and its folder"),
    ("unable to open", "Check the permissions of it and its folder"),
    ("", "Check the disk, then run this again"),
)


def path_in(place: str) -> str:
    """Where the database of the state directory at `place` is."""
    return os.path.join(database_folder(place), NAME)


class Damaged(Exception):
    """The file holds no record that can be read; its argument says why."""


@contextlib.contextmanager
def faults(path: str) -> Iterator[None]:
    """Say what a failure means for the database at `path`; no process is forked meanwhile.

    Raises:
        LocalError: it is healthy, and locked, on a full disk, not to be written. Damaged: it is not.
    """
    try:
        with AT_REST:
            yield
    except sqlite3.OperationalError as error:
        if str(error).startswith(_NOT_THIS_FORMAT):
            raise Damaged(str(error)) from None
        advice = next(hint for word, hint in _ADVICE if word in str(error))
        raise LocalError(f"{path}: the state database cannot be used now ({error})", advice) from None
    except OSError as error:
        raise LocalError(f"{path}: the state database cannot be used now ({error.strerror})", _ADVICE[-1][1]) from None
    except sqlite3.DatabaseError as error:
        if type(error) is not sqlite3.DatabaseError:  # a wrong statement or value: our own mistake
            raise
        raise Damaged(str(error)) from None


def check(path: str) -> None:
    """Refuse a database, or a journal of it, that is reached through a link.

    Raises:
        LocalError: it is no regular file, or its folder is none. OSError: the folder cannot be read.
    """
    place, name = os.path.split(path)
    check_files(place, tuple(name + tail for tail in ("", *_TAILS)))


def connect(path: str, *, writable: bool) -> sqlite3.Connection:
    """The database at `path`, which has our format.

    Raises:
        Damaged: it has another. sqlite3.Error.
    """
    uri = f"file:{quote(os.fsencode(os.path.abspath(path)))}?mode={'rw' if writable else 'ro'}"
    db = sqlite3.connect(uri, uri=True, check_same_thread=False)
    try:
        check_tables(db)
        found = _format(db)
        if found not in (FORMAT, _BEFORE):
            raise Damaged(f"format {found}, this nbsync reads {FORMAT}")
        if writable and found == _BEFORE:
            _take_over(db)
        db.execute(f"SELECT path, content, {proof_column(db)} FROM synced LIMIT 1").fetchone()
    except BaseException:
        db.close()
        raise
    return db


def _format(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _take_over(db: sqlite3.Connection) -> None:
    """Make a database of the format before one of this: its rows are not proved, and none that is unsure is believed.

    Not even those of this very folder are: whoever edits a proved record could make it an old one.
    """
    with db:
        db.execute("BEGIN")
        db.execute("ALTER TABLE synced ADD COLUMN proof BLOB NOT NULL DEFAULT x''")
        db.execute(f"UPDATE synced SET ctime_ns = {NO_TIME} WHERE {_UNSURE}")
        db.execute(f"PRAGMA user_version = {FORMAT}")


def columns(db: sqlite3.Connection) -> str:
    """What to select of a row of `synced`, so that no row of an earlier nbsync is believed that cannot be."""
    return COLUMNS if _format(db) == FORMAT else _SURE_COLUMNS


def proof_column(db: sqlite3.Connection) -> str:
    """What to select for the proof of a row."""
    return "proof" if _format(db) == FORMAT else "x''"


def connect_reading(path: str) -> sqlite3.Connection:
    """As `connect`, to read; nothing is created beside it, whatever state a killed run left it in.

    Raises: as connect; OSError.
    """
    try:
        return connect(path, writable=False)
    except sqlite3.OperationalError as error:
        if "readonly" not in str(error):
            raise
        return snapshot(path)  # a killed run's journal is to be rolled back first (SQLITE_READONLY_ROLLBACK)


def snapshot(path: str) -> sqlite3.Connection:
    """A copy of the database at `path` that goes with its connection; a journal is rolled back in the copy.

    Raises: as connect; OSError.
    """
    with tempfile.TemporaryDirectory(prefix="nbsync-") as folder:
        at = os.path.join(folder, NAME)
        shutil.copyfile(path, at)
        for tail in ("-journal", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(path + tail, at + tail)
        with contextlib.closing(connect(at, writable=True)) as source:
            copy = sqlite3.connect("", check_same_thread=False)  # SQLite's own temporary file: it needs no memory
            source.backup(copy)
    return copy


def scratch() -> sqlite3.Connection:
    """An empty record that goes with its connection."""
    db = sqlite3.connect("", check_same_thread=False)
    db.executescript(_SCHEMA)
    return db


def begin(path: str, damage: Damaged | None) -> tuple[sqlite3.Connection, str]:
    """A new database at `path`, and a note of what became of the damaged one there, if there was `damage`.

    It is made under another name first: a full disk leaves what was there as it was.

    Raises:
        sqlite3.Error, OSError: it cannot be made.
    """
    new = path + _NEW
    for tail in ("", *_TAILS):  # a killed run's
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new + tail)
    os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
    try:
        with contextlib.closing(sqlite3.connect(new)) as db:
            db.executescript(_SCHEMA)
        note = set_aside(path, damage) if damage is not None else ""
        for tail in _TAILS:  # of a database that somebody removed: SQLite would roll it back into the new one
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path + tail)
        os.replace(new, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(new)
        raise
    return connect(path, writable=True), note


def no_record(why: object) -> str:
    """The note that there is no record to protect others' changes by."""
    return f"protection: no record; the state database could not be used ({why})"


def set_aside(path: str, damage: Damaged) -> str:
    """Move a damaged database away, so that nothing of it is lost; returns the note for the user.

    Raises:
        OSError: it cannot be moved.
    """
    number = 1
    while os.path.lexists(aside := f"{path}.unreadable-{number}"):
        number += 1
    for tail in (*_TAILS, ""):
        with contextlib.suppress(FileNotFoundError):
            os.replace(path + tail, aside + tail)
    return f"{no_record(damage)}, was kept as {os.path.basename(aside)} and begun anew"
