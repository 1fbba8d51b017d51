"""SQLite files that may have been written by anybody: what of one is never run, and how long one may be read.

LOCAL may have been unpacked from anywhere, nbsync's databases with it. They need tables and nothing else: a trigger,
a view, a virtual table or a computed column is a program of its author's, and may have no end. Neither may a search
through damaged pages: it is stopped after so many steps.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator

_STEPS = 50_000_000  # of SQLite's virtual machine, and one for each byte: a row takes about ten to be read
_LOOK = 1_000_000  # steps between two looks
_PROGRAM = re.compile(r"\b(VIRTUAL|GENERATED|AS|CHECK|COLLATE)\b", re.IGNORECASE)  # in the words that make a table


def check_tables(db: sqlite3.Connection) -> None:
    """Refuse a database that holds more than plain tables. Nothing of it was run before.

    Raises:
        sqlite3.DatabaseError: it does, or it cannot be read.
    """
    with bounded(db):
        for kind, name, words in db.execute("SELECT type, name, sql FROM sqlite_master"):
            index = kind == "index" and words is None  # that of a primary key
            if not index and (kind != "table" or not isinstance(words, str) or _PROGRAM.search(words)):
                raise sqlite3.DatabaseError(f"it holds what no nbsync writes: {kind} {name}")


@contextlib.contextmanager
def bounded(db: sqlite3.Connection) -> Iterator[None]:
    """Stop what is read meanwhile, if it has no end.

    Raises:
        sqlite3.DatabaseError: it was stopped.
    """
    left = _STEPS + db.execute("PRAGMA page_count").fetchone()[0] * db.execute("PRAGMA page_size").fetchone()[0]

    def stop() -> bool:
        nonlocal left
        left -= _LOOK
        return bool(left < 0)

    db.set_progress_handler(stop, _LOOK)
    try:
        yield
    except sqlite3.OperationalError:
        if left < 0:
            raise sqlite3.DatabaseError("reading it has no end") from None
        raise
    finally:
        db.set_progress_handler(None, 0)
