"""Does a folder hold work of the user's, which no REMOTE was seen to have? The caller's thread; nothing is changed."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator

from nbsync.core.clock import is_doubted
from nbsync.core.evidence import as_recorded, recorded_digest
from nbsync.core.model import LocalEntry, RecordedEntry
from nbsync.errors import LocalError
from nbsync.local import database
from nbsync.local.database import Damaged, faults
from nbsync.local.digest import FileChanged, digest_file
from nbsync.local.record import is_row, proofs_of, recorded_row
from nbsync.local.scan import scan


def changed_since_sync(root: str, path: str) -> bool:
    """Is a file below `root` not as this user's last sync with any REMOTE, recorded in the database at `path`, left it?

    A row that is not proved says nothing.
    """
    try:
        with faults(path):
            database.check(path)
            db = database.connect_reading(path)
        with contextlib.closing(db), faults(path):
            known = _ProvedRows(db, path)
            return any(not any(_is_as(entry, row, root) for row in known.of(entry.path)) for entry in scan(root))
    except (Damaged, LocalError):  # nothing is known of what is there
        return any(True for _ in scan(root))


class _ProvedRows:
    """The rows of all REMOTEs in the database at `path` that are proved to be this user's."""

    def __init__(self, db: sqlite3.Connection, path: str) -> None:
        self._db = db
        self._query = f"SELECT remote, {database.columns(db)}, {database.proof_column(db)} FROM synced WHERE path = ?"
        self._proofs = proofs_of(db, path)

    def of(self, path: str) -> Iterator[RecordedEntry]:
        """Those of one path."""
        for remote, *row, proof in self._db.execute(self._query, (path,)).fetchall():
            entry = RecordedEntry._make(row)
            if remote in self._proofs and is_row(entry) and self._proofs[remote].holds(entry, proof):
                yield recorded_row(entry)


def _is_as(entry: LocalEntry, row: RecordedEntry, root: str) -> bool:
    """Is it the file that was recorded? Where only its content was, that is looked at."""
    if not is_doubted(row) or row.size != entry.size or not row.content:
        return as_recorded(entry, row)
    try:
        digest = recorded_digest(row)
        found = digest_file(os.path.join(root, entry.path), entry, [digest], cancelled=lambda: False)
    except (OSError, ValueError, FileChanged):
        return False
    return digest.name(found[digest]) == row.content
