"""The recorded state: what LOCAL and a REMOTE held when they were last seen to be the same.

SQLite in `LOCAL/.nbsync/state.sqlite3`, used by one thread: the run's own. Rows are keyed by
(endpoint, bucket, prefix) and path: a sync with one REMOTE is never evidence for another. Each bears a proof that it
is this user's (row_proofs). Whoever does more for the sake of a row than to leave a file alone asks `State.believed`.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple

from nbsync.core.clock import of_remote_alone
from nbsync.core.model import RecordedEntry
from nbsync.errors import LocalError
from nbsync.local import database
from nbsync.local.database import Damaged, faults
from nbsync.local.forks import AT_REST
from nbsync.local.row_proofs import UNPROVED, RowProofs
from nbsync.local.schema import bounded

PAGE_ROWS = 5_000
_LIMIT = 1 << 63  # SQLite's integers have 64 bits and a sign
_INSERT = "INSERT OR REPLACE INTO synced VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


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
        self._proofs = RowProofs(os.path.realpath(path), remote, make=writable)
        self.notes = notes
        try:
            with faults(path):
                self._remote = self._find(remote)
                self._columns = database.columns(db)
                self._with_proof = f"{self._columns}, {database.proof_column(db)}"
                mine = self._db.execute("SELECT 1 FROM synced WHERE remote = ? LIMIT 1", (self._remote,))
                self.fresh = not mine.fetchall()
                self.names_are_settled = self._spelled("") is not None
        except BaseException:
            db.close()
            raise

    def _find(self, remote: RemoteName) -> int:
        if self._writable:
            self._db.execute("INSERT OR IGNORE INTO remotes (endpoint, bucket, prefix) VALUES (?, ?, ?)", remote)
            self._db.commit()
        where = "endpoint = ? AND bucket = ? AND prefix = ?"
        found = self._db.execute(f"SELECT id FROM remotes WHERE {where}", remote).fetchone()
        return int(found[0]) if found else -1

    def rows(self) -> Iterator[RecordedEntry]:
        """All rows of this REMOTE in path order, fetched by the page: rows may be written meanwhile."""
        query = f"SELECT {self._columns} FROM synced WHERE remote = ? AND path > ? ORDER BY path LIMIT ?"
        after = ""
        while page := self._page(query, after):
            for row in page:
                if is_row(row):
                    yield recorded_row(row)
            after = page[-1][0]

    def _page(self, query: str, after: str) -> list[tuple[Any, ...]]:
        with self._telling_damage():
            return page_of(self._db, query, self._remote, after)

    @contextlib.contextmanager
    def _telling_damage(self) -> Iterator[None]:
        """Damage that the look at the start did not meet: set aside, so that the next run begins anew."""
        try:
            with faults(self._path):
                yield
        except Damaged as damage:
            self._db.close()
            writable, self._writable = self._writable, False
            with faults(self._path):
                note = database.set_aside(self._path, damage) if writable else database.no_record(damage)
            raise LocalError(note, "Run it again") from None

    def row(self, path: str) -> RecordedEntry | None:
        """The row of one path, as far as it is `believed`."""
        found = self._stored(path)
        return None if found is None else self._proved_part(found)

    def believed(self, row: RecordedEntry) -> RecordedEntry:
        """The row, if it is proved to be this user's; else what is left of it: see core.clock.of_remote_alone.

        A row that is not the database's, but was made by somebody who knew better, is returned as it is.
        """
        found = self._stored(row.path)
        return row if found is None or recorded_row(found[:-1]) != row else self._proved_part(found)

    def _stored(self, path: str) -> tuple[Any, ...] | None:
        """The row of one path and its proof, as they are stored."""
        query = f"SELECT {self._with_proof} FROM synced WHERE remote = ? AND path = ?"
        with self._telling_damage():
            found: tuple[Any, ...] | None = self._db.execute(query, (self._remote, path)).fetchone()
        return found

    def _proved_part(self, stored: tuple[Any, ...]) -> RecordedEntry:
        row = recorded_row(stored[:-1])
        return row if self._is_proved(stored) else of_remote_alone(row)

    def _is_proved(self, found: tuple[Any, ...]) -> bool:
        """Is it, of a row and its proof as they are stored?"""
        *row, proof = found
        return is_row(tuple(row)) and self._proofs.holds(RecordedEntry._make(row), proof)

    def spelled(self, path: str) -> str | None:
        """How LOCAL spelled the file of this path when it was recorded; None if that is not known."""
        if not self.names_are_settled:
            return None
        with self._telling_damage():
            return self._spelled(path) or path

    def _spelled(self, path: str) -> str | None:
        if self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'spellings'").fetchone() is None:
            return None
        query = "SELECT local FROM spellings WHERE remote = ? AND path = ?"
        found = self._db.execute(query, (self._remote, path)).fetchone()
        return str(found[0]) if found else None

    def note_spelled(self, names: Iterable[tuple[str, str]]) -> None:
        """Note how LOCAL spells files, by path; all that are not among these as their path, in one transaction."""
        if not self._writable:
            return
        with self._telling_damage(), self._db:
            self._db.execute(database.SPELLINGS)
            self._db.execute("DELETE FROM spellings WHERE remote = ?", (self._remote,))
            add = "INSERT OR REPLACE INTO spellings VALUES (?, ?, ?)"
            self._db.executemany(add, ((self._remote, *pair) for pair in chain(names, [("", ".")])))
        self.names_are_settled = True

    def record(self, entries: Iterable[RecordedEntry], forget: Iterable[str] = ()) -> None:
        """Write rows, and drop those of the paths in `forget`, in one transaction."""
        if not self._writable:
            return
        with self._telling_damage(), self._db:
            if self.names_are_settled:  # until the run ends
                self._db.execute("DELETE FROM spellings WHERE remote = ? AND path = ''", (self._remote,))
                self.names_are_settled = False
            self._db.executemany(
                _INSERT, ((self._remote, *row, self._proofs.of(row)) for row in map(_storable, entries))
            )
            drop = "DELETE FROM synced WHERE remote = ? AND path = ?"
            self._db.executemany(drop, ((self._remote, path) for path in forget))

    def knows_md5_etag(self) -> bool:
        """Was a recorded ETag of this endpoint seen to be the MD5 of its content? Looks at some rows."""
        there = "remote IN (SELECT id FROM remotes WHERE endpoint = (SELECT endpoint FROM remotes WHERE id = ?))"
        some = f"SELECT etag, content FROM synced WHERE {there} LIMIT {PAGE_ROWS}"
        query = f"SELECT 1 FROM ({some}) WHERE content = 'md5:' || lower(etag) LIMIT 1"
        with self._telling_damage():
            return self._db.execute(query, (self._remote,)).fetchone() is not None

    def page_boundaries(self) -> list[str]:
        """Where the pages of the last listing of this REMOTE ended, in order; empty if that was not noted."""
        with self._telling_damage():
            if self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'waypoints'").fetchone() is None:
                return []
            query = "SELECT path FROM waypoints WHERE remote = ? ORDER BY path"
            try:
                with bounded(self._db):
                    return [path for (path,) in self._db.execute(query, (self._remote,)) if isinstance(path, str)]
            except sqlite3.OperationalError:  # text that cannot be decoded: this is a hint, and no more
                return []

    def note_page_boundaries(self, paths: Iterable[str]) -> None:
        """Note them in the place of those before, in one transaction."""
        if not self._writable:
            return
        with self._telling_damage(), self._db:
            self._db.execute(database.WAYPOINTS)
            self._db.execute("DELETE FROM waypoints WHERE remote = ?", (self._remote,))
            add = "INSERT OR REPLACE INTO waypoints VALUES (?, ?)"
            self._db.executemany(add, ((self._remote, path) for path in paths if _is_unicode(path)))

    def close(self) -> None:
        """Close the database."""
        with AT_REST:
            self._db.close()


def _is_unicode(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _storable(entry: RecordedEntry) -> RecordedEntry:
    """The entry with numbers that SQLite takes.

    Some file systems number files with 64 bits and no sign: that comes back whole. A time after the year 2262 does
    not, so such a file counts as touched, and is read each time.
    """
    if -_LIMIT <= entry.mtime_ns < _LIMIT and entry.ctime_ns < _LIMIT and entry.inode < _LIMIT:
        return entry
    return entry._replace(
        mtime_ns=max(-_LIMIT, min(entry.mtime_ns, _LIMIT - 1)), ctime_ns=min(entry.ctime_ns, _LIMIT - 1),
        inode=entry.inode - 2 * _LIMIT if entry.inode >= _LIMIT else entry.inode,
    )  # fmt: skip


def page_of(db: sqlite3.Connection, query: str, remote: int, after: str) -> list[tuple[Any, ...]]:
    """The next rows of a query that takes the remote, the path after which they come, and how many.

    Raises:
        sqlite3.DatabaseError: they have no end, or no order.
    """
    with bounded(db):
        page = db.execute(query, (remote, after, PAGE_ROWS)).fetchall()
    while page and not isinstance(page[-1][0], str):  # what is no text sorts last
        page.pop()
    if page and page[-1][0] <= after:
        raise sqlite3.DatabaseError("its rows are in no order")
    return page


def is_row(row: tuple[Any, ...]) -> bool:
    """Is it of the types that nbsync writes? LOCAL may have been unpacked from anywhere."""
    path, etag, version_id, size, _, _, inode, content = row
    texts = type(path) is str and type(etag) is str and type(version_id) is str and type(content) is str
    return texts and type(size) is int and type(inode) is int


def recorded_row(row: tuple[Any, ...]) -> RecordedEntry:
    """A row as `_storable` made it."""
    entry = RecordedEntry._make(row)
    return entry if entry.inode >= 0 else entry._replace(inode=entry.inode + 2 * _LIMIT)


def open_state(path: str, remote: RemoteName, *, writable: bool, seed: str = "") -> State:
    """The state database at `path`; an empty one where there is none.

    One that cannot be read (cut short, damaged, written by a newer nbsync) is set aside, said in
    `notes`, and begun anew; nothing is lost but the evidence. Without `writable`, nothing is
    created or moved.

    Args:
        path: where it is.
        remote: whose rows.
        writable: may it be written?
        seed: LOCAL's own database, when `path` is elsewhere because LOCAL cannot be written: what is recorded
            in it is taken over when it was written after the one at `path`.

    Raises:
        LocalError: it is healthy but cannot be used now, or is reached through a link.
    """
    notes: list[str] = []
    with faults(path):
        database.check(path)
    seeded = bool(seed) and seed != path and _is_newer(seed, path)

    def opened(db: sqlite3.Connection) -> State:
        if seeded:
            _take_in_seed(db, path, seed, notes)
        return State(db, remote, path=path, writable=writable, notes=notes)

    damage: Damaged | None = None
    if os.path.exists(path):
        try:
            with faults(path):
                db = _existing(path, writable=writable, copied=seeded)
            return opened(db)
        except Damaged as error:
            damage = error
    db, note = _begun(path, damage, writable=writable)
    notes += [note] if note else []
    return opened(db)


def _existing(path: str, *, writable: bool, copied: bool) -> sqlite3.Connection:
    if writable:
        return database.connect(path, writable=True)
    return database.snapshot(path) if copied else database.connect_reading(path)


def _begun(path: str, damage: Damaged | None, *, writable: bool) -> tuple[sqlite3.Connection, str]:
    """An empty database, in the place of the damaged one if there is `damage`, and a note for the user."""
    with faults(path):
        if writable:
            return database.begin(path, damage)
        return database.scratch(), "" if damage is None else database.no_record(damage)


def _is_newer(seed: str, path: str) -> bool:
    try:
        written = os.stat(seed).st_mtime_ns
    except OSError:  # not there, or its folder is closed to us
        return False
    return not os.path.exists(path) or written > os.stat(path).st_mtime_ns


def _take_in_seed(db: sqlite3.Connection, path: str, seed: str, notes: list[str]) -> None:
    try:
        with faults(seed):
            database.check(seed)
            other = database.connect_reading(seed)
        with contextlib.closing(other), faults(path):
            _take_in(db, path, other, seed)
    except Damaged as damage:
        notes.append(database.no_record(damage))


def proofs_of(db: sqlite3.Connection, path: str) -> dict[int, RowProofs]:
    """What proves the rows of each REMOTE in the database at `path`, by the REMOTE's number there."""
    remotes = db.execute("SELECT id, endpoint, bucket, prefix FROM remotes").fetchall()
    place = os.path.realpath(path)
    return {number: RowProofs(place, tuple(map(str, name)), make=False) for number, *name in remotes}


def _take_in(db: sqlite3.Connection, path: str, other: sqlite3.Connection, seed: str) -> None:
    """Copy every row of `other`, at `seed`, into `db`, at `path`, over its own row of the same REMOTE and path.

    What is proved there is proved here. In one transaction.
    """
    which = "endpoint = ? AND bucket = ? AND prefix = ?"
    select = f"SELECT {database.columns(other)}, {database.proof_column(other)} FROM synced WHERE remote = ?"
    there = proofs_of(other, seed)
    with db, bounded(other):
        for number, *remote in other.execute("SELECT id, endpoint, bucket, prefix FROM remotes"):
            db.execute("INSERT OR IGNORE INTO remotes (endpoint, bucket, prefix) VALUES (?, ?, ?)", remote)
            ours = db.execute(f"SELECT id FROM remotes WHERE {which}", remote).fetchone()[0]
            here = RowProofs(os.path.realpath(path), tuple(map(str, remote)), make=False)
            for *row, proof in other.execute(select, (number,)):
                entry = RecordedEntry._make(row)
                made = here.of(entry) if is_row(entry) and there[number].holds(entry, proof) else UNPROVED
                db.execute(_INSERT, (ours, *row, made))
