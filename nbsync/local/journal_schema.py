"""The file of the journal: its tables, opened or begun anew; what is not ours, or makes no sense, is dropped unread.

A journal aborts uploads, and takes staged bytes for an object's: it bears a proof by the user's secret over its
real path.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from urllib.parse import quote

from nbsync.local import own_secret
from nbsync.local.openat import check_files
from nbsync.local.schema import bounded, check_tables
from nbsync.local.user_state import database_folder

NAME = "unfinished.sqlite3"
TAILS = ("", "-journal", "-wal", "-shm")
_PURPOSE = "unfinished"

_SCHEMA = """
PRAGMA synchronous = OFF;
CREATE TABLE IF NOT EXISTS owner (file TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS downloads (
    id INTEGER PRIMARY KEY AUTOINCREMENT, begun_ns INTEGER NOT NULL,
    endpoint TEXT NOT NULL, bucket TEXT NOT NULL, prefix TEXT NOT NULL, path TEXT NOT NULL,
    etag TEXT NOT NULL, version_id TEXT NOT NULL, size INTEGER NOT NULL,
    staged TEXT NOT NULL, range_bytes INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS came (
    download INTEGER NOT NULL, number INTEGER NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (download, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uploads (
    id INTEGER PRIMARY KEY AUTOINCREMENT, begun_ns INTEGER NOT NULL, asked_ns INTEGER NOT NULL,
    endpoint TEXT NOT NULL, bucket TEXT NOT NULL, prefix TEXT NOT NULL, path TEXT NOT NULL, key TEXT NOT NULL,
    upload_id TEXT NOT NULL, headers TEXT NOT NULL, part_size INTEGER NOT NULL, file TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS parts (
    upload INTEGER NOT NULL, number INTEGER NOT NULL, etag TEXT NOT NULL, md5 BLOB NOT NULL,
    PRIMARY KEY (upload, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unheard (
    begun_ns INTEGER NOT NULL, endpoint TEXT NOT NULL, bucket TEXT NOT NULL, prefix TEXT NOT NULL,
    path TEXT NOT NULL, md5 TEXT NOT NULL, size INTEGER NOT NULL
);
"""
# LOCAL may have been unpacked from anywhere: what is of another type, or outside its REMOTE, is dropped unread.
_SWEEP = """
DELETE FROM downloads WHERE typeof(staged) <> 'text' OR typeof(range_bytes) <> 'integer'
    OR typeof(begun_ns) <> 'integer';
DELETE FROM came WHERE typeof(number) <> 'integer' OR typeof(bytes) <> 'integer';
DELETE FROM uploads WHERE typeof(begun_ns) <> 'integer' OR typeof(asked_ns) <> 'integer' OR typeof(key) <> 'text'
    OR typeof(upload_id) <> 'text' OR typeof(prefix) <> 'text' OR key = prefix
    OR substr(key, 1, length(prefix)) <> prefix;
DELETE FROM parts WHERE typeof(number) <> 'integer' OR typeof(etag) <> 'text' OR typeof(md5) <> 'blob';
"""
_EMPTY = """
DELETE FROM downloads; DELETE FROM came; DELETE FROM uploads; DELETE FROM parts; DELETE FROM unheard;
DELETE FROM owner;
"""


def path_in(place: str) -> str:
    """Where the journal of the state directory at `place` is."""
    return os.path.join(database_folder(place), NAME)


def connect(path: str) -> sqlite3.Connection:
    """The journal at `path`, made if missing; one that cannot be read is begun anew.

    Raises:
        LocalError: it is reached through a link, or cannot be proved to be ours. OSError, sqlite3.Error: it cannot
            be used.
    """
    place, name = os.path.split(path)
    owner = own_secret.proof(_PURPOSE, os.path.realpath(path))
    check_files(place, tuple(name + tail for tail in TAILS))
    try:
        return _opened(path, owner)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and "column" not in str(error):
            raise  # a full disk, a lock
    for tail in TAILS:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + tail)
    return _opened(path, owner)


def connect_to_read(path: str) -> sqlite3.Connection | None:
    """The journal at `path`, read only; None if there is none, or it is another LOCAL's.

    Raises:
        OSError, LocalError, sqlite3.Error: it cannot be read.
    """
    if not os.path.lexists(path):
        return None
    place, name = os.path.split(path)
    check_files(place, tuple(name + tail for tail in TAILS))
    db = sqlite3.connect(f"file:{quote(os.fsencode(path))}?mode=ro", uri=True)
    try:
        check_tables(db)
        ours = is_ours(db, path)
    except BaseException:
        db.close()
        raise
    if not ours:
        db.close()
        return None
    return db


def is_ours(db: sqlite3.Connection, path: str) -> bool:
    """Is the journal, which is at `path`, proved to be this user's, of this directory?

    Raises:
        sqlite3.Error: it cannot be read.
    """
    with bounded(db):
        owner = db.execute("SELECT file FROM owner").fetchone()
    return owner is not None and own_secret.is_proved(owner[0], _PURPOSE, os.path.realpath(path))


def _opened(path: str, owner: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, check_same_thread=False)
    try:
        check_tables(db)
        db.executescript(_SCHEMA)
        db.execute("SELECT staged, range_bytes FROM downloads LIMIT 1").fetchone()
        db.execute("SELECT upload_id, headers, asked_ns FROM uploads LIMIT 1").fetchone()
        _make_ours(db, owner)
    except BaseException:
        db.close()
        raise
    return db


def _make_ours(db: sqlite3.Connection, owner: str) -> None:
    """Forget what a copy of another LOCAL says, or a stranger's: the uploads are still that one's."""
    with bounded(db):
        ours = db.execute("SELECT file FROM owner").fetchall() == [(owner,)]
        db.executescript(_SWEEP if ours else _EMPTY)
    if not ours:
        with db:
            db.execute("INSERT INTO owner VALUES (?)", (owner,))
