"""A folder as an earlier nbsync left it, made of one of today's: its record had no proofs."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

_RECORD = """
PRAGMA user_version = 1;
PRAGMA application_id = 1852994353;
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
"""


def make_old(room: Path) -> None:
    """Give the room at `room` the record of before."""
    today, old = room / "state.sqlite3", room / "old.sqlite3"
    with contextlib.closing(sqlite3.connect(old)) as db, db:
        db.executescript(_RECORD)
        db.execute("ATTACH ? AS today", (str(today),))
        db.execute("INSERT INTO remotes SELECT id, endpoint, bucket, prefix FROM today.remotes")
        db.execute(
            "INSERT INTO synced SELECT remote, path, etag, version_id, size, mtime_ns, ctime_ns, inode, content"
            " FROM today.synced"
        )
    old.replace(today)
