"""The items of a plan that is applied, by path: on disk, because there may be millions. The run's thread."""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Iterator

from nbsync.core.model import Action
from nbsync.core.planfile import SavedPlan
from nbsync.errors import UsageError
from nbsync.local.forks import AT_REST

_BATCH = 1_000


class PlanItems:
    """What a plan says, path by path; each item is taken once.

    Args:
        plan: all of it is read, and so checked, before anything is done.
        only: restricts it to these paths.

    Raises:
        UsageError: it is damaged, or names a path twice. LocalError: it cannot be read.
    """

    def __init__(self, plan: SavedPlan, only: frozenset[str] | None = None) -> None:
        with AT_REST:
            self._db = sqlite3.connect("")  # a database of our own, gone with us
            self._db.execute("CREATE TABLE items (path TEXT PRIMARY KEY, item BLOB, taken INTEGER) WITHOUT ROWID")
        batch: list[tuple[str, bytes, int]] = []
        for item in plan.items():
            if only is not None and item.path not in only:
                continue
            batch.append((item.path, pickle.dumps(item), 0))
            if len(batch) >= _BATCH:
                self._add(batch)
        self._add(batch)

    def _add(self, batch: list[tuple[str, bytes, int]]) -> None:
        try:
            with AT_REST:
                self._db.executemany("INSERT INTO items VALUES (?, ?, ?)", batch)
        except sqlite3.IntegrityError:
            raise UsageError("the plan names a path twice", "Nothing was done; plan again with --save") from None
        batch.clear()

    def __contains__(self, path: str) -> bool:
        if not _is_text(path):
            return False
        with AT_REST:
            return self._db.execute("SELECT 1 FROM items WHERE path = ?", (path,)).fetchone() is not None

    def begin(self) -> None:
        """Nothing is taken yet."""
        with AT_REST:
            self._db.execute("UPDATE items SET taken = 0")

    def take(self, path: str) -> Action | None:
        """The item of this path; None if it has none."""
        if not _is_text(path):
            return None
        with AT_REST:
            found = self._db.execute("SELECT item FROM items WHERE path = ?", (path,)).fetchone()
            if found is None:
                return None
            self._db.execute("UPDATE items SET taken = 1 WHERE path = ?", (path,))
        return _item(found[0])

    def left(self) -> Iterator[Action]:
        """The items that were not taken, in path order."""
        with AT_REST:
            found = self._db.execute("SELECT item FROM items WHERE taken = 0 ORDER BY path")
        while True:
            with AT_REST:
                batch = found.fetchmany(_BATCH)
            if not batch:
                return
            yield from (_item(blob) for (blob,) in batch)

    def close(self) -> None:
        """Drop them."""
        with AT_REST:
            self._db.close()


def _is_text(path: str) -> bool:
    if path.isascii():
        return True
    try:
        path.encode()
    except UnicodeEncodeError:  # a local name that is not UTF-8
        return False
    return True


def _item(blob: bytes) -> Action:
    item: Action = pickle.loads(blob)
    return item
