"""A folder as an earlier nbsync left it, made of one of today's: what is in its `.nbsync`, by hand."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from pathlib import Path

from nbsync.local import own_secret, past_syncs

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


def make_old(room: Path, *, proved: bool = True) -> None:
    """Give the room at `room` the record, and the book of past syncs (`proved` by this user's secret), of before."""
    syncs = [one._asdict() for one in past_syncs.read(str(room)).syncs]
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
    proof = own_secret.proof("syncs", os.path.realpath(room), syncs) if proved else ""
    (room / "syncs.json").write_text(json.dumps({"format": 1, "syncs": syncs, "proof": proof}))
