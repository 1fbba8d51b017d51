"""`status`: what is recorded of a folder, and what has changed in it since. Runs in the caller's thread.

No request, no lock that is kept, nothing made. Content is read only of touched files, to tell a touch from a change,
and only so much of it (`survey.READ_BYTES`).
"""

from __future__ import annotations

import heapq
import os
import shlex
import time
from collections.abc import Callable
from contextlib import ExitStack

from nbsync.core.call import Call
from nbsync.core.commands import COMMANDS
from nbsync.core.filters import Filters
from nbsync.core.local_changes import Change, changes
from nbsync.core.location import Location
from nbsync.core.model import Problem
from nbsync.core.names import printable
from nbsync.core.options import build_options
from nbsync.core.saved_options import words_of
from nbsync.engine.names import Names
from nbsync.errors import LocalError, UsageError
from nbsync.local import database, inspect, past_syncs, trash, trash_contents
from nbsync.local.inspect import Record
from nbsync.local.past_syncs import Book, PastSync
from nbsync.local.record import RemoteName
from nbsync.local.scan import STATE_DIR, absolute_root, scan
from nbsync.local.state_dir import homes_of, owner_now
from nbsync.results.folder_status import CHANGES, MAX_PATHS, Status, Synced, Trash


def status(call: Call) -> Status:
    """What is recorded of LOCAL and what has changed there.

    Raises:
        UsageError: LOCAL makes no sense. LocalError: it is no directory, or cannot be read.
    """
    if "://" in call.local:
        raise UsageError(f"{call.local} is no directory: LOCAL is on this machine", "It is: status [LOCAL]")
    started = time.monotonic()
    found = Status(call.local or ".")
    root = absolute_root(found.local)
    if not os.path.isdir(root):
        what = "is not a directory" if os.path.lexists(root) else "no such directory"
        raise LocalError(f"{found.local}: {what}", "LOCAL is the directory that was synced")
    places = inspect.places(root)
    past = [book for place in places if (book := past_syncs.read(place)).syncs]
    known = [one for book in past if book.ours for one in book.syncs]
    with ExitStack() as stack:
        records = [record for place in places if (record := _opened(place, found, stack)) is not None]
        found.syncs = _synced(past, records)
        found.at_work = next((owner for place in places if (owner := owner_now(place))), "")
        if records:
            found.changes = _count(root, records, known, found)
    _look_at_room(root, places, found)
    found.repeats = [name for name, row in COMMANDS.items() if row.repeats and name in {one.command for one in known}]
    _note(root, found, foreign=any(not book.ours for book in past))
    found.seconds = time.monotonic() - started
    return found


def _opened(place: str, found: Status, stack: ExitStack) -> Record | None:
    """The record in a state directory; None if there is none, or if it cannot be used, which is a problem then."""
    path = database.path_in(place)
    if not os.path.lexists(path):
        return None
    try:
        record = Record(place)
    except inspect.Damaged as damage:
        message = f"{database.no_record(damage)}; the next sync keeps it aside, begins anew and compares by content"
        found.problems.append(Problem(path, "no-record", message))
        return None
    except LocalError as error:
        found.problems.append(Problem(path, "no-record", str(error)))
        return None
    stack.callback(record.close)
    return record


def _synced(books: list[Book], records: list[Record]) -> list[Synced]:
    """Past syncs, the latest first, and after them REMOTEs of which there is nothing but a record."""
    files: dict[RemoteName, int] = {}
    for record in records:
        for name, count in record.remotes.items():
            files[name] = max(count, files.get(name, 0))
    known = sorted(((one, book.ours) for book in books for one in book.syncs), key=lambda one: -one[0].began_ns)
    told = [_told(one, files.get(RemoteName(one.endpoint, one.bucket, one.prefix), 0), ours) for one, ours in known]
    named = {RemoteName(one.endpoint, one.bucket, one.prefix) for one, _ in known}
    more = [Synced(Location(name.bucket, name.prefix).uri, name.endpoint, "", "", "", True, 0, count, "", False)
            for name, count in sorted(files.items()) if count and name not in named]  # fmt: skip
    return told + more


def _told(one: PastSync, files: int, ours: bool) -> Synced:
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(min(one.began_ns // 10**9, 253_402_300_799)))
    words = shlex.join(words_of(build_options(one.direction, one.options)))
    return Synced(
        one.remote, one.endpoint, one.command, one.direction, began, one.ended_ns > 0, one.problems, files, words,
        ours,
    )  # fmt: skip


def _count(root: str, records: list[Record], known: list[PastSync], found: Status) -> dict[str, int] | None:
    """The changes by kind; the first paths go to `found`."""
    counts = {change.value: 0 for change in Change}
    follow = any(one.options.get("follow_symlinks") is True for one in known)
    rows = heapq.merge(*(record.rows() for record in records), key=lambda row: row.path)
    names = Names(root, None)
    joined = names.histories(scan(root, follow_symlinks=follow), rows)
    try:
        for one in changes(joined, admits=_scope(known), same=inspect.content_reader(root)):
            counts[one.change.value] += 1
            if one.change in CHANGES and len(found.files) < MAX_PATHS:
                found.files.append(one._replace(path=printable(one.path)))
    except inspect.Damaged as damage:
        found.files.clear()
        found.problems.append(Problem(os.path.join(root, STATE_DIR), "no-record", database.no_record(damage)))
        return None
    finally:
        names.close()
    return counts


def _scope(known: list[PastSync]) -> Callable[[str], bool]:
    """Would a file that was never synced take part in one of the past syncs?"""
    scopes = [Filters(build_options(one.direction, one.options).filters) for one in known]
    if not all(scopes):  # one without filters takes all
        return lambda _path: True
    return lambda path: any(scope.admits(path) for scope in scopes) or not scopes


def _look_at_room(root: str, places: list[str], found: Status) -> None:
    """The trash, and what the journals say."""
    with homes_of(root) as homes:
        files, size = trash.summary(homes)
    if files:
        found.trash = Trash(files, size, os.path.join(root, STATE_DIR, trash_contents.TRASH))
    for place in places:
        left = inspect.unfinished(place)
        if left is None:
            found.notes.append("whether large transfers are unfinished cannot be read now")
            continue
        found.unfinished["downloads"] += left.downloads
        found.unfinished["uploads"] += left.uploads


def _note(root: str, found: Status, *, foreign: bool) -> None:
    if found.at_work:
        found.notes.append(f"another nbsync run ({found.at_work}) is at work here: the numbers are on the move")
    if foreign:
        found.notes.append("not all of this was done by you in this directory: what is unproved is not repeated")
    if not found.syncs and not found.problems:
        near = [os.path.relpath(one, root) for one in inspect.synced_near(root)]
        found.notes += [f"synced folders near it: {', '.join(near)}"] if near else []
