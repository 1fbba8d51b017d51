"""What is recorded in a LOCAL, to be looked at: nothing is made, moved, locked for long, or asked of a server.

The caller's thread. Rows are read by the page, so that a run that is at work meanwhile is not kept from writing.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

from nbsync.core.evidence import recorded_digest
from nbsync.core.model import LocalEntry, RecordedEntry
from nbsync.errors import LocalError
from nbsync.local import database, journal_schema, past_syncs
from nbsync.local.database import Damaged, faults
from nbsync.local.digest import FileChanged, digest_file
from nbsync.local.forks import AT_REST
from nbsync.local.openat import check_files
from nbsync.local.place import check_readable, place_elsewhere
from nbsync.local.record import RemoteName, is_row, page_of, recorded_row
from nbsync.local.scan import STATE_DIR
from nbsync.local.schema import bounded, check_tables

READ_BYTES = 256 << 20  # of touched files, at most, to tell a touch from a change: about half a second
_MOST_NEAR = 5
_MOST_LOOKED_AT = 1_000


def places(root: str) -> list[str]:
    """The state directories of a LOCAL that are there: its own, and the one for when it could not be written.

    Raises:
        LocalError: its own cannot be read.
    """
    check_readable(root)
    found = [os.path.join(root, STATE_DIR)]
    with contextlib.suppress(LocalError):  # no state directory: then nothing is in it
        found.append(place_elsewhere(root))
    return [place for place in found if os.path.isdir(place)]


class Record:
    """The state database in one state directory, open to be read.

    Attributes:
        remotes: how many files are recorded, by REMOTE.

    Raises:
        Damaged: it cannot be read. LocalError: it cannot be used now, or is reached through a link.
    """

    def __init__(self, place: str) -> None:
        self._path = database.path_in(place)
        with faults(self._path):
            database.check(self._path)
            self._db = database.connect_reading(self._path)
        try:
            with faults(self._path), bounded(self._db):
                counts = self._db.execute("SELECT remote, count(*) FROM synced GROUP BY remote").fetchall()
                self._columns = database.columns(self._db)
                names = self._db.execute("SELECT id, endpoint, bucket, prefix FROM remotes").fetchall()
        except BaseException:
            self._db.close()
            raise
        files: dict[int, int] = dict(counts)
        self._numbers = list(files)
        self.remotes = {RemoteName(*map(str, name)): files.get(number, 0) for number, *name in names}

    @property
    def files(self) -> int:
        """How many paths are recorded, those of several REMOTEs more than once."""
        return sum(self.remotes.values())

    def rows(self) -> Iterator[RecordedEntry]:
        """The rows of all REMOTEs, in path order.

        Raises: as the constructor.
        """
        return heapq.merge(*(self._of(number) for number in self._numbers), key=lambda row: row.path)

    def _of(self, remote: int) -> Iterator[RecordedEntry]:
        query = f"SELECT {self._columns} FROM synced WHERE remote = ? AND path > ? ORDER BY path LIMIT ?"
        after = ""
        while page := self._page(query, remote, after):
            yield from map(recorded_row, filter(is_row, page))
            after = page[-1][0]

    def _page(self, query: str, remote: int, after: str) -> list[tuple[Any, ...]]:
        with faults(self._path):
            return page_of(self._db, query, remote, after)

    def close(self) -> None:
        """Close it."""
        with AT_REST:
            self._db.close()


class Unfinished(NamedTuple):
    """Large transfers that were begun and not ended."""

    downloads: int
    uploads: int


def unfinished(place: str) -> Unfinished | None:
    """What the journal of a state directory says; None if it cannot be read now."""
    try:
        path = journal_schema.path_in(place)
        if not os.path.lexists(path):
            return Unfinished(0, 0)
        check_files(os.path.dirname(path), tuple(journal_schema.NAME + tail for tail in journal_schema.TAILS))
        with AT_REST, contextlib.closing(_connect_to_read(path)) as db:
            check_tables(db)
            if not journal_schema.is_ours(db, path):
                return Unfinished(0, 0)  # a copy's: they are those of the folder that it was copied from
            query = "SELECT (SELECT count(*) FROM downloads), (SELECT count(*) FROM uploads)"
            return Unfinished(*db.execute(query).fetchone())
    except (OSError, LocalError, sqlite3.Error):
        return None


def _connect_to_read(path: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(os.fsencode(os.path.abspath(path)))}?mode=ro", uri=True)


def content_reader(root: str, budget: int = READ_BYTES) -> Callable[[LocalEntry, RecordedEntry], bool | None]:
    """Tells whether a file's content is as recorded, as long as the bytes that it reads are within `budget`."""
    left = budget

    def same(entry: LocalEntry, row: RecordedEntry) -> bool | None:
        nonlocal left
        try:
            digest = recorded_digest(row)
        except ValueError:  # nothing that an nbsync would write
            return None
        if not row.content or entry.size > left:
            return None
        left -= entry.size
        try:
            value = digest_file(os.path.join(root, entry.path), entry, [digest], cancelled=lambda: False)[digest]
        except (OSError, FileChanged):
            return None
        return digest.name(value) == row.content

    return same


def synced_near(root: str) -> list[str]:
    """Folders above `root`, and just below it, that were synced: the nearest first, a few."""
    found = []
    above = os.path.dirname(root)
    while above != os.path.dirname(above):
        found += [above] if _is_synced(above) else []
        above = os.path.dirname(above)
    with contextlib.suppress(OSError), os.scandir(root) as entries:
        for _, entry in zip(range(_MOST_LOOKED_AT), entries, strict=False):
            if entry.is_dir(follow_symlinks=False) and _is_synced(entry.path):
                found.append(entry.path)
    return found[:_MOST_NEAR]


def _is_synced(folder: str) -> bool:
    state_dir = os.path.join(folder, STATE_DIR)
    return any(os.path.isfile(os.path.join(state_dir, name)) for name in (database.NAME, past_syncs.NAME))


__all__ = ["Damaged", "Record", "Unfinished", "content_reader", "places", "synced_near", "unfinished"]
