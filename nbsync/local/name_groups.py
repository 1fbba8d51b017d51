"""Names of LOCAL, REMOTE and the record, brought together by what they fold to: on disk, because there may be millions.

A database of its own, gone with it. One thread's; it is at rest while others fork: see `forks`.
"""

from __future__ import annotations

import marshal
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice
from typing import Any

from nbsync.core.join import ordered
from nbsync.core.model import Kind, LocalEntry, RecordedEntry, RemoteEntry
from nbsync.core.pairing import Group
from nbsync.errors import LocalError
from nbsync.local.forks import AT_REST

_BATCH = 5_000
_LOCAL, _REMOTE, _RECORDED = range(3)


class Groups:
    """Add the three sides, each once; then read the groups.

    Args:
        fold: gives the same text for names of one group.
    """

    def __init__(self, fold: Callable[[str], str]) -> None:
        self._fold = fold
        with AT_REST:
            self._db = sqlite3.connect("", check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = OFF")
            self._db.execute("""CREATE TABLE names (
                fold BLOB, side INTEGER, path BLOB, number INTEGER, entry BLOB, PRIMARY KEY (fold, side, path, number)
            ) WITHOUT ROWID""")

    def add(
        self, local: Iterable[LocalEntry], remote: Iterable[RemoteEntry], recorded: Iterable[RecordedEntry],
        *, several: bool = False,
    ) -> None:  # fmt: skip
        """Take in all of them; with `several`, those of a record may repeat a path: there are more records than one.

        Raises:
            ListingError: a stream is out of order, or repeats a path. LocalError: there is no room for them.
        """
        self._add(_LOCAL, ordered(local, "LOCAL"))
        self._add(_RECORDED, recorded if several else ordered(recorded, "the state"))
        self._add(_REMOTE, ordered(remote, "the listing"))

    def _add(self, side: int, entries: Iterable[LocalEntry | RemoteEntry | RecordedEntry]) -> None:
        rows = (
            (_bytes(self._fold(entry.path)), side, _bytes(entry.path), number, marshal.dumps(_plain(entry)))
            for number, entry in enumerate(entries)
        )
        while batch := list(islice(rows, _BATCH)):
            try:
                with AT_REST:
                    self._db.executemany("INSERT INTO names VALUES (?, ?, ?, ?, ?)", batch)
            except sqlite3.Error as error:
                hint = "Free some room where temporary files go (TMPDIR)"
                raise LocalError(f"the names cannot be compared ({error})", hint) from None

    def __iter__(self) -> Iterator[tuple[str, Group]]:
        """Each group with what its names fold to, in that order."""
        for fold, same in groupby(self._rows(), key=lambda row: row[0]):
            sides: tuple[list[Any], list[Any], list[Any]] = [], [], []
            for _, side, entry in same:
                sides[side].append(_entry(side, marshal.loads(entry)))
            yield _text(fold), Group(*sides)

    def _rows(self) -> Iterator[tuple[bytes, int, bytes]]:
        with AT_REST:
            found = self._db.execute("SELECT fold, side, entry FROM names ORDER BY fold, side, path, number")
        while True:
            with AT_REST:
                batch = found.fetchmany(_BATCH)
            if not batch:
                return
            yield from batch

    def has_object_below(self, folder: str) -> bool:
        """Is there a key below exactly this folder?"""
        path = f"{folder}/"
        fold = _bytes(self._fold(path))
        query = "SELECT 1 FROM names WHERE fold > ? AND fold < ? AND side = ? AND substr(path, 1, ?) = ? LIMIT 1"
        values = (fold, fold[:-1] + b"0", _REMOTE, len(_bytes(path)), _bytes(path))
        with AT_REST:
            return self._db.execute(query, values).fetchone() is not None

    def close(self) -> None:
        """Drop them."""
        with AT_REST:
            self._db.close()


def _plain(entry: LocalEntry | RemoteEntry | RecordedEntry) -> tuple[Any, ...]:
    """Of types that marshal takes: it is several times faster than pickle."""
    return (entry.path, entry.kind.value, *entry[2:]) if isinstance(entry, LocalEntry) else tuple(entry)


def _entry(side: int, values: tuple[Any, ...]) -> Any:
    if side == _LOCAL:
        return LocalEntry(values[0], Kind(values[1]), *values[2:])
    return RemoteEntry(*values) if side == _REMOTE else RecordedEntry(*values)


def _bytes(text: str) -> bytes:
    """In the order of strings, whatever is in them."""
    return text.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")
