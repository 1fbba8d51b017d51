"""What has changed in a folder since it was last synced, told from what was recorded. Pure; constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import NamedTuple

from nbsync.core.evidence import as_recorded
from nbsync.core.model import Kind, LocalEntry, RecordedEntry


class Change(str, Enum):
    """What became of one path."""

    NONE = "unchanged"
    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"
    MAYBE = "maybe"  # touched, and its content was not compared
    LEFT_OUT = "left-out"  # never synced, and the filters of the syncs leave it out

    def __str__(self) -> str:
        return str(self.value)


class History(NamedTuple):
    """One path with what is there and what syncs recorded of it."""

    path: str
    entry: LocalEntry | None
    rows: list[RecordedEntry]


class Changed(NamedTuple):
    """One path with its change; its size in bytes, now or (deleted) as recorded."""

    path: str
    change: Change
    size: int


def changes(
    joined: Iterable[History],
    *,
    admits: Callable[[str], bool],
    same: Callable[[LocalEntry, RecordedEntry], bool | None],
) -> Iterator[Changed]:
    """Every file, and every recorded path that is no more, with what became of it.

    A file is unchanged if it is as a sync with any REMOTE left it.

    Args:
        joined: the folder and what syncs recorded of it; what is in a folder comes after it.
        admits: would a file that was never synced take part?
        same: is the content of a file that was touched, and has the size of the row, as recorded? None: not known.
    """
    closed: list[str] = []  # folders that cannot be looked into: nothing below them is called deleted
    for path, entry, known in joined:
        if entry is not None and entry.kind is Kind.UNREADABLE_FOLDER:
            closed.append(f"{path}/")
        elif entry is not None and entry.kind is Kind.FILE:
            yield Changed(path, _of_file(entry, known, admits, same), entry.size)
        elif known and entry is not None:
            yield Changed(path, Change.MAYBE if entry.kind is Kind.UNREADABLE else Change.MODIFIED, known[0].size)
        elif known and path.startswith(tuple(closed)):
            yield Changed(path, Change.MAYBE, known[0].size)
        elif known:
            yield Changed(path, Change.DELETED, known[0].size)


def _of_file(
    entry: LocalEntry,
    known: list[RecordedEntry],
    admits: Callable[[str], bool],
    same: Callable[[LocalEntry, RecordedEntry], bool | None],
) -> Change:
    if not known:
        return Change.ADDED if admits(entry.path) else Change.LEFT_OUT
    if any(as_recorded(entry, row) for row in known):
        return Change.NONE
    answers = [same(entry, row) for row in known if row.size == entry.size]
    if True in answers:
        return Change.NONE
    return Change.MAYBE if None in answers else Change.MODIFIED


def by_path(local: Iterable[LocalEntry], rows: Iterable[RecordedEntry]) -> Iterator[History]:
    """Each path once, with what is there and what was recorded of it; several rows where there are several REMOTEs.

    Both are in path order.
    """
    entries, records = iter(local), iter(rows)
    entry, row = next(entries, None), next(records, None)
    while entry is not None or row is not None:
        path = min(one.path for one in (entry, row) if one is not None)
        here = None
        if entry is not None and entry.path == path:
            here, entry = entry, next(entries, None)
        known = []
        while row is not None and row.path == path:
            known.append(row)
            row = next(records, None)
        yield History(path, here, known)
