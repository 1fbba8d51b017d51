"""The recorded state: what LOCAL and a REMOTE held when they were last seen to be the same.

SQLite in `LOCAL/.nbsync/state.sqlite3`, used by one thread: the run's own. Rows are keyed by
(endpoint, bucket, prefix) and path: a sync with one REMOTE is never evidence for another.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

from nbsync.core.identity import unmoved
from nbsync.core.model import RecordedEntry
from nbsync.errors import LocalError
from nbsync.storage.local import scan

FORMAT = 1
PAGE_ROWS = 5_000

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
    PRIMARY KEY (remote, path)
) WITHOUT ROWID;
PRAGMA user_version = {FORMAT};
"""


class RemoteName(NamedTuple):
    """Which REMOTE a row speaks of."""

    endpoint: str
    bucket: str
    prefix: str


class State:
    """The recorded rows of one LOCAL for one REMOTE.

    Open it by `open_state`. `fresh` is True when there was no record of this REMOTE.
    """

    def __init__(
        self, db: sqlite3.Connection, remote: RemoteName, *, path: str, writable: bool, notes: list[str]
    ) -> None:
        self._db = db
        self._path = path
        self._writable = writable
        self.notes = notes
        self._remote = self._find(remote)
        self.fresh = (
            self._db.execute("SELECT 1 FROM synced WHERE remote = ? LIMIT 1", (self._remote,)).fetchone() is None
        )

    def _find(self, remote: RemoteName) -> int:
        if self._writable:
            self._db.execute("INSERT OR IGNORE INTO remotes (endpoint, bucket, prefix) VALUES (?, ?, ?)", remote)
            self._db.commit()
        where = "endpoint = ? AND bucket = ? AND prefix = ?"
        found = self._db.execute(f"SELECT id FROM remotes WHERE {where}", remote).fetchone()
        return int(found[0]) if found else -1

    def rows(self) -> Iterator[RecordedEntry]:
        """All rows of this REMOTE in path order, fetched by the page: rows may be written meanwhile."""
        query = (
            "SELECT path, etag, version_id, size, mtime_ns, ctime_ns, inode, content FROM synced"
            " WHERE remote = ? AND path > ? ORDER BY path LIMIT ?"
        )
        after = ""
        while page := self._page(query, after):
            for row in page:
                yield RecordedEntry._make(row)
            after = page[-1][0]

    def _page(self, query: str, after: str) -> list[tuple[Any, ...]]:
        with self._telling_damage():
            return self._db.execute(query, (self._remote, after, PAGE_ROWS)).fetchall()

    @contextlib.contextmanager
    def _telling_damage(self) -> Iterator[None]:
        """Damage that the look at the start did not meet: set aside, so that the next run begins anew."""
        try:
            yield
        except sqlite3.OperationalError as error:  # locked, disk full: not the database's fault
            raise LocalError(f"{self._path}: the state database cannot be used ({error})", "Run it again") from None
        except sqlite3.DatabaseError as error:
            self._db.close()
            writable, self._writable = self._writable, False
            raise LocalError(_set_aside(self._path, error, writable), "Run it again") from None

    def record(self, entries: Iterable[RecordedEntry], forget: Iterable[str] = ()) -> None:
        """Write rows, and drop those of the paths in `forget`, in one transaction."""
        if not self._writable:
            return
        with self._telling_damage(), self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO synced VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                ((self._remote, *entry) for entry in entries),
            )
            drop = "DELETE FROM synced WHERE remote = ? AND path = ?"
            self._db.executemany(drop, ((self._remote, path) for path in forget))

    def close(self) -> None:
        """Close the database."""
        self._db.close()


def open_state(path: str, remote: RemoteName, *, writable: bool) -> State:
    """The state database at `path`; an empty one where there is none.

    One that cannot be read (cut short, damaged, written by a newer nbsync) is set aside, said in
    `notes`, and begun anew; nothing is lost but the evidence. Without `writable`, nothing is
    created or moved.

    Raises:
        LocalError: the place cannot be written.
    """
    notes: list[str] = []
    if os.path.exists(path):
        try:
            return State(_connect(path, writable), remote, path=path, writable=writable, notes=notes)
        except (sqlite3.Error, ValueError) as error:
            notes.append(_set_aside(path, error, writable))
    try:
        db = sqlite3.connect(path if writable else ":memory:", check_same_thread=False)
        db.executescript(_SCHEMA)
        return State(db, remote, path=path, writable=writable, notes=notes)
    except sqlite3.Error as error:
        raise LocalError(
            f"{path}: the state database cannot be written ({error})", "Check the folder and disk"
        ) from None


def _connect(path: str, writable: bool) -> sqlite3.Connection:
    uri = f"file:{quote(os.fsencode(os.path.abspath(path)))}?mode={'rw' if writable else 'ro'}"
    db = sqlite3.connect(uri, uri=True, check_same_thread=False)
    try:
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found != FORMAT:
            raise ValueError(f"format {found}, this nbsync reads {FORMAT}")
        db.execute("SELECT path, content FROM synced LIMIT 1").fetchone()
    except BaseException:
        db.close()
        raise
    return db


def _set_aside(path: str, error: Exception, writable: bool) -> str:
    """Move an unreadable database away, so that nothing of it is lost; returns the note for the user."""
    why = f"protection: no record; the state database could not be used ({error})"
    if not writable:
        return why
    number = 1
    while os.path.exists(aside := f"{path}.unreadable-{number}"):
        number += 1
    with contextlib.suppress(FileNotFoundError):
        os.replace(path, aside)
    for tail in ("-journal", "-wal", "-shm"):
        with contextlib.suppress(OSError):
            os.unlink(path + tail)
    return f"{why}, was kept as {os.path.basename(aside)} and begun anew"


def changed_since_sync(root: str, database: str) -> bool:
    """Is there a file below `root` that is not as the last sync with any REMOTE left it?"""
    try:
        db = _connect(database, writable=False)
    except (sqlite3.Error, ValueError):
        return any(True for _ in scan(root))
    columns = "path, etag, version_id, size, mtime_ns, ctime_ns, inode, content"
    try:
        known = f"SELECT {columns} FROM synced WHERE path = ?"
        return any(
            not any(unmoved(entry, RecordedEntry._make(row)) for row in db.execute(known, (entry.path,)))
            for entry in scan(root)
        )
    finally:
        db.close()
