"""What runs have begun and not ended: partial downloads and multipart uploads, to be taken up or cleared away, and
small uploads whose answers were not waited for, to be known again.

A database of its own beside the state, which is there only while something is unfinished. Workers write to it
for each part, so it does not wait for the disk: after a power failure it may be unreadable, which in the state's
own file would cost the record of every sync, and here costs a transfer from its first byte. Nothing it says is
believed unseen: a download is proven whole in the end, an upload's parts are held against ListParts.

Used under the state directory's lock by all threads of one run, which goes on if the journal cannot be written.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from nbsync.core.model import LocalEntry, RecordedEntry, RemoteEntry
from nbsync.errors import LocalError
from nbsync.local.forks import AT_REST
from nbsync.local.journal_schema import TAILS, connect, connect_to_read, path_in
from nbsync.local.record import RemoteName

KEPT_DAYS = 7  # what belongs to other REMOTEs
_MAX_RANGES = 1_000_000
_NAME = re.compile(r"[0-9]+-[0-9]+-[0-9a-f]{16}")  # of a staged file; LOCAL may have been unpacked from anywhere
_WHOSE = "endpoint = ? AND bucket = ? AND prefix = ?"
_UPLOAD = "id, endpoint, bucket, key, upload_id, begun_ns, asked_ns"


class Download(NamedTuple):
    """A partial download. `came` says of its ranges, by number, from 1, how many bytes are on the disk."""

    id: int
    staged: str  # the file's name in staging
    range_bytes: int
    came: Mapping[int, int]


class Upload(NamedTuple):
    """A multipart upload that was begun. `parts`: number -> the ETag that the service gave, and the part's MD5."""

    id: int
    endpoint: str
    bucket: str
    key: str
    upload_id: str  # empty: it was asked for, and the answer is not known
    begun_ns: int  # just before it was asked for, on our clock
    asked_ns: int  # just before it was asked for the last time
    parts: dict[int, tuple[str, bytes]]


class Sent(NamedTuple):
    """A small upload that was sent, and may have been stored: `md5` in hexadecimal, `size` in bytes."""

    path: str
    md5: str
    size: int

    def record(self) -> RecordedEntry:
        """What is known of the object; no file has this stat, so that its content is always looked at."""
        return RecordedEntry(self.path, self.md5, "", self.size, -1, -1, 0, f"md5:{self.md5}")


class Journal:
    """The journal of one LOCAL, for a run with one REMOTE.

    Args:
        place: the state directory's path; None for a journal that keeps nothing.
        remote: whose transfers this run takes up.
        now_ns: the wall clock.
    """

    def __init__(self, place: str | None, remote: RemoteName, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._remote, self._now_ns = remote, now_ns
        self._path = "" if place is None else path_in(place)
        self._stage = "" if place is None else os.path.join(place, "stage")
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._live: set[tuple[str, int]] = set()  # (table, id) of what this run takes up or begins
        if self._path and os.path.lexists(self._path):
            with AT_REST:
                self._open()

    def _open(self) -> None:
        try:
            self._db = connect(self._path)
        except (OSError, LocalError, sqlite3.Error):
            self._path = ""

    @contextlib.contextmanager
    def _writing(self, *, begin: bool = False) -> Iterator[sqlite3.Connection | None]:
        """The database in a transaction, made first if something is to `begin`; None where there is none.

        What goes wrong ends the journal, not the run.
        """
        with AT_REST, self._lock:
            if begin and self._db is None and self._path:
                self._open()
            db = self._db
            if db is None:
                yield None
                return
            try:
                with db:
                    yield db
            except (sqlite3.Error, OSError):
                with contextlib.suppress(sqlite3.Error):
                    db.close()
                self._db, self._path = None, ""

    # ---- downloads --------------------------------------------------------------------------------

    def begin_download(self, remote: RemoteEntry, staged: str, range_bytes: int) -> Download:
        """Note that `remote` is fetched into `staged`, a name in staging, in ranges of so many bytes."""
        number = 0
        with self._writing(begin=True) as db:
            if db is not None:
                row = (self._now_ns(), *self._remote, remote.path, remote.etag, remote.version_id, remote.size)
                number = _insert(db, "downloads", *row, staged, range_bytes)
                self._live.add(("downloads", number))
        return Download(number, staged, range_bytes, {})

    def take_up(self, remote: RemoteEntry) -> Download | None:
        """What an earlier run has brought of exactly this object, or None. Its file is there, in its full length."""
        found: list[Download] = []
        with self._writing() as db:
            if db is None or not remote.etag:
                return None
            what = (*self._remote, remote.path, remote.etag, remote.version_id, remote.size)
            query = (
                f"SELECT id, staged, range_bytes FROM downloads WHERE {_WHOSE}"
                " AND path = ? AND etag = ? AND version_id = ? AND size = ? ORDER BY id DESC"
            )
            for number, staged, range_bytes in db.execute(query, what).fetchall():
                fits = 0 < range_bytes <= remote.size <= range_bytes * _MAX_RANGES
                if fits and ("downloads", number) not in self._live and _size_of(self._stage, staged) == remote.size:
                    came = db.execute("SELECT number, bytes FROM came WHERE download = ?", (number,))
                    found.append(Download(number, staged, range_bytes, dict(came.fetchall())))
                    self._live.add(("downloads", number))
                    break
        return found[0] if found else None

    def arrived(self, download: Download, came: Mapping[int, int]) -> None:
        """Of these ranges, by number, so many bytes are on the disk."""
        more = "INSERT INTO came VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET bytes = max(bytes, excluded.bytes)"
        with self._writing() as db:
            if db is not None:
                db.executemany(more, [(download.id, number, count) for number, count in came.items()])

    def restart(self, download: Download) -> None:
        """Nothing of it holds: it is fetched from its first byte."""
        self._note("DELETE FROM came WHERE download = ?", (download.id,))

    def end_download(self, download: Download) -> None:
        """It is whole, or given up."""
        self._forget("downloads", download.id)

    # ---- uploads ----------------------------------------------------------------------------------

    def intend_upload(self, local: LocalEntry, key: str, headers: str, part_size: int) -> Upload:
        """Note that a multipart upload is about to be asked for, so that a kill leaves a trace of it.

        Args:
            headers: a digest of what it is asked for with.
        """
        now_ns, number = self._now_ns(), 0
        with self._writing(begin=True) as db:
            if db is not None:
                row = (now_ns, now_ns, *self._remote, local.path, key, "", headers, part_size)
                number = _insert(db, "uploads", *row, _stat(local))
                self._live.add(("uploads", number))
        return Upload(number, self._remote.endpoint, self._remote.bucket, key, "", now_ns, now_ns, {})

    def asked_again(self, upload: Upload) -> None:
        """The answer was lost: there may be one more upload than anybody knows of. That is left for `leftovers`."""
        columns = "begun_ns, asked_ns, endpoint, bucket, prefix, path, key, headers, part_size, file"
        with self._writing() as db:
            if db is not None:
                db.execute("UPDATE uploads SET asked_ns = ? WHERE id = ?", (self._now_ns(), upload.id))
                twin = f"INSERT INTO uploads ({columns}, upload_id) SELECT {columns}, '' FROM uploads WHERE id = ?"
                db.execute(twin, (upload.id,))

    def began(self, upload: Upload, upload_id: str) -> Upload:
        """The service has begun it."""
        self._note("UPDATE uploads SET upload_id = ? WHERE id = ?", (upload_id, upload.id))
        return upload._replace(upload_id=upload_id)

    def unfinished_upload(self, local: LocalEntry, key: str, headers: str, part_size: int) -> Upload | None:
        """What an earlier run has begun to send of exactly this file to this key, or None."""
        what = (*self._remote, local.path, key, headers, part_size, _stat(local))
        where = f"{_WHOSE} AND path = ? AND key = ? AND headers = ? AND part_size = ? AND file = ? AND upload_id != ''"
        for upload in self._uploads(where, what):
            self._live.add(("uploads", upload.id))
            return upload
        return None

    def sent(self, upload: Upload, number: int, etag: str, digest: bytes) -> None:
        """The service has a part."""
        self._note("INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?)", (upload.id, number, etag, digest))

    def end_upload(self, upload: Upload) -> None:
        """It is completed or aborted."""
        self._forget("uploads", upload.id)

    def keeps(self, upload: Upload) -> bool:
        """Will the next run know of it?"""
        return self._db is not None and bool(upload.id and upload.upload_id)

    def release(self, upload: Upload) -> None:
        """This run has no more use for it: it is one of the `leftovers`."""
        with self._lock:
            self._live.discard(("uploads", upload.id))

    def adopt(self, remote: RemoteName, key: str, upload_id: str, begun_ns: int) -> bool:
        """Note an upload that somebody else has begun, and that nobody goes on with. False if it cannot be noted."""
        with self._writing(begin=True) as db:
            if db is not None:
                row = (begun_ns, begun_ns, *remote, key.removeprefix(remote.prefix), key, upload_id, "", 0, "")
                _insert(db, "uploads", *row)
        return self._db is not None

    def unconfirmed_answer(self, sent: Iterable[Sent]) -> None:
        """Record uploads that were sent and whose answers nobody waits for: a later run knows their objects by ETag."""
        rows = [(self._now_ns(), *self._remote, *one) for one in sent]
        with self._writing(begin=bool(rows)) as db:
            if db is not None:
                db.executemany("INSERT INTO unheard VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def forget_unconfirmed(self) -> None:
        """This REMOTE's were looked at, and others' are a week old."""
        self._note(f"DELETE FROM unheard WHERE ({_WHOSE}) OR begun_ns < ?", (*self._remote, _old_ns(self._now_ns())))

    # ---- what nobody took up ----------------------------------------------------------------------

    def drop_downloads(self) -> None:
        """Remove what was not taken up of this REMOTE's partial downloads, and others' that are a week old."""
        for number, staged in self._left("downloads", "id, staged"):
            if _NAME.fullmatch(staged):
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(self._stage, staged))
            self._forget("downloads", number)

    def leftovers(self) -> list[Upload]:
        """The uploads that are to be aborted: this REMOTE's that were not taken up, and others' a week old."""
        ids = [number for (number,) in self._left("uploads", "id")]
        return [upload for number in ids for upload in self._uploads("id = ?", (number,))]

    def known_ids(self) -> set[str]:
        """The ids of all uploads that are in the journal."""
        found: set[str] = set()
        with self._writing() as db:
            if db is not None:
                found.update(one for (one,) in db.execute("SELECT upload_id FROM uploads"))
        return found

    def held_bytes(self) -> int:
        """Bytes on the disk that partial downloads of this REMOTE take: this run uses or frees them."""
        held = 0
        with self._writing() as db:
            if db is not None:
                for (staged,) in db.execute(f"SELECT staged FROM downloads WHERE {_WHOSE}", self._remote):
                    if _NAME.fullmatch(staged):
                        with contextlib.suppress(OSError):
                            held += os.lstat(os.path.join(self._stage, staged)).st_blocks * 512
        return held

    def _left(self, table: str, columns: str) -> list[tuple[Any, ...]]:
        query = f"SELECT {columns} FROM {table} WHERE ({_WHOSE}) OR begun_ns < ?"
        found: list[tuple[Any, ...]] = []
        with self._writing() as db:
            if db is not None:
                found = db.execute(query, (*self._remote, _old_ns(self._now_ns()))).fetchall()
        return [row for row in found if (table, row[0]) not in self._live]

    def _uploads(self, where: str, what: tuple[Any, ...]) -> list[Upload]:
        query = f"SELECT {_UPLOAD} FROM uploads WHERE {where} ORDER BY id DESC"
        found: list[Upload] = []
        with self._writing() as db:
            if db is not None:
                for row in db.execute(query, what).fetchall():
                    parts = db.execute("SELECT number, etag, md5 FROM parts WHERE upload = ?", row[:1])
                    found.append(Upload._make((*row, {number: (etag, digest) for number, etag, digest in parts})))
        return found

    def _note(self, statement: str, values: tuple[Any, ...]) -> None:
        with self._writing() as db:
            if db is not None:
                db.execute(statement, values)

    def _forget(self, table: str, number: int) -> None:
        of, column = ("came", "download") if table == "downloads" else ("parts", "upload")
        with self._writing() as db:
            if db is not None:
                db.execute(f"DELETE FROM {of} WHERE {column} = ?", (number,))
                db.execute(f"DELETE FROM {table} WHERE id = ?", (number,))

    def close(self) -> None:
        """Close it; one in which nothing is unfinished is removed."""
        empty = False
        with self._writing() as db:
            if db is not None:
                tables = ("downloads", "uploads", "unheard")
                empty = not any(db.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() for table in tables)
        with AT_REST, self._lock:
            path, self._path = self._path, ""  # a thread that is late does not begin another one
            db, self._db = self._db, None
            if db is not None:
                db.close()
        if empty:
            for tail in TAILS:
                with contextlib.suppress(OSError):
                    os.unlink(path + tail)


def _old_ns(now_ns: int) -> int:
    return now_ns - KEPT_DAYS * 86_400 * 10**9


def no_journal() -> Journal:
    """A journal that keeps nothing."""
    return Journal(None, RemoteName("", "", ""))


def unconfirmed(place: str, remote: RemoteName, *, now_ns: int) -> dict[str, list[RecordedEntry]]:
    """By path, the objects that runs of the last week may have made of `remote` without hearing of it.

    Nothing is written. What is older may have been put back by somebody since.
    """
    found: dict[str, list[RecordedEntry]] = {}
    try:
        with AT_REST, contextlib.ExitStack() as stack:
            db = connect_to_read(path_in(place))
            if db is None:
                return {}
            stack.enter_context(contextlib.closing(db))
            query = (
                f"SELECT path, md5, size FROM unheard WHERE {_WHOSE} AND begun_ns >= ?"
                " AND typeof(path) = 'text' AND typeof(md5) = 'text' AND typeof(size) = 'integer'"
            )
            for row in db.execute(query, (*remote, _old_ns(now_ns))):
                found.setdefault(row[0], []).append(Sent._make(row).record())
    except (OSError, LocalError, sqlite3.Error):
        return {}
    return found


def staged_names(place: str) -> frozenset[str]:
    """The names in staging that the journal in the state directory at `place` knows; its lock is held."""
    path = path_in(place)
    if not os.path.lexists(path):
        return frozenset()
    try:
        with AT_REST, contextlib.closing(connect(path)) as db:
            names = (name for (name,) in db.execute("SELECT staged FROM downloads"))
            return frozenset(name for name in names if _NAME.fullmatch(name))
    except (OSError, LocalError, sqlite3.Error):
        return frozenset()


def _insert(db: sqlite3.Connection, table: str, *values: Any) -> int:
    marks = ", ".join("?" * len(values))
    return int(db.execute(f"INSERT INTO {table} VALUES (NULL, {marks})", values).lastrowid or 0)


def _stat(local: LocalEntry) -> str:
    """The file's stat as text: an inode may be more than SQLite's integers hold."""
    return f"{local.size} {local.mtime_ns} {local.ctime_ns} {local.inode}"


def _size_of(stage: str, name: str) -> int:
    """The size of a regular file of ours in staging; -1 if there is none."""
    if not _NAME.fullmatch(name):
        return -1
    try:
        fd = os.open(os.path.join(stage, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return -1
    try:
        at = os.fstat(fd)
        return at.st_size if stat.S_ISREG(at.st_mode) and at.st_nlink == 1 else -1
    finally:
        os.close(fd)
