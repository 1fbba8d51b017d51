"""Which file is which object, where a file system takes several names for one: contract rule 12. Pure.

A group holds what LOCAL, REMOTE and the record have of names that fold to the same text (`names.twin_key`). That is
coarser than any file system, so whoever knows LOCAL is asked which file of the group a name means there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import NamedTuple

from nbsync.core.evidence import still
from nbsync.core.local_changes import History
from nbsync.core.model import Direction, Joined, LocalEntry, RecordedEntry, RemoteEntry


class Group(NamedTuple):
    """Names that fold to the same text; each list in path order."""

    local: list[LocalEntry]
    remote: list[RemoteEntry]
    recorded: list[RecordedEntry]


class Rules(NamedTuple):
    """What pairing goes by.

    owner: which of these files does LOCAL's file system take a name for? None: it has no such file.
    spelled: how was the file spelled when its key was last recorded? None: that is not known.
    whole: REMOTE was listed as a whole; of a single object, nothing is known of the keys that were recorded.
    """

    direction: Direction | None
    owner: Callable[[str, list[LocalEntry]], LocalEntry | None]
    spelled: Callable[[str], str | None] = lambda _key: None
    whole: bool = True


def pair(group: Group, rules: Rules) -> Iterator[Joined]:
    """Each file once, with the one key that it is synced with, and each other key with what becomes of it.

    Of several keys that are one file, it is that one whose exact name stands in LOCAL, else one that was recorded,
    else the first; the others clash with it.
    """
    local, remote, recorded = group
    paths = {one.path for one in remote} | {row.path for row in recorded}
    if len(paths.union(entry.path for entry in local)) == 1:  # nobody spells it otherwise
        path = paths.pop() if paths else local[0].path
        yield Joined(
            path, local[0] if local else None, remote[0] if remote else None, recorded[0] if recorded else None
        )  # fmt: skip
        return
    owners = {path: _owner(path, local, rules) for path in paths}
    for entry in local:
        mine = [one for one in remote if owners[one.path] is entry]
        yield from _of_file(entry, mine, [row for row in recorded if owners[row.path] is entry], rules)
    rows = {row.path: row for row in recorded if owners[row.path] is None}
    yield from _of_no_file([one for one in remote if owners[one.path] is None], rows, rules.direction)


def histories(group: Group, rules: Rules) -> Iterator[History]:
    """Each file with all that was recorded of it, under whatever key; and each key of which there is no file."""
    owners = {row.path: _owner(row.path, group.local, rules) for row in group.recorded}
    for entry in group.local:
        yield History(entry.path, entry, [row for row in group.recorded if owners[row.path] is entry])
    gone = [row for row in group.recorded if owners[row.path] is None]
    for path, rows in groupby(gone, key=lambda row: row.path):
        yield History(path, None, list(rows))


def renamed(spelled: str, old: str, new: str) -> str:
    """The name that a file spelled so gets when its key is renamed: only what differs between the keys changes."""
    segments = zip(spelled.split("/"), old.split("/"), new.split("/"), strict=True)
    return "/".join(here if before == after else after for here, before, after in segments)


def _owner(path: str, local: list[LocalEntry], rules: Rules) -> LocalEntry | None:
    exact = next((entry for entry in local if entry.path == path), None)
    return exact or (rules.owner(path, local) if local else None)


def _of_file(
    entry: LocalEntry, remote: list[RemoteEntry], recorded: list[RecordedEntry], rules: Rules
) -> Iterator[Joined]:
    """One file, the keys that are it, and what was recorded of them."""
    rows = {row.path: row for row in recorded}
    live = [one for one in remote if one.path == entry.path or not one.refused] or remote
    gone = [row for row in recorded if all(row.path != one.path for one in remote)]
    old = _renamed_here(entry, live, rows, rules)
    taken = _taken(entry, [] if old else live, rows, gone, rules)
    yield taken
    for one in remote:
        if one is old:
            yield Joined(one.path, None, one, rows[one.path], namesake=taken.path)
        elif one is not taken.remote:
            yield Joined(one.path, None, one, rows.get(one.path), clash="" if one.refused else taken.path)
    for row in gone:
        if row is not taken.recorded:
            yield Joined(row.path, None, None, row)


def _renamed_here(
    entry: LocalEntry, live: list[RemoteEntry], rows: dict[str, RecordedEntry], rules: Rules
) -> RemoteEntry | None:
    """The object that a push gives another name, because the file was renamed since it was recorded."""
    pushed = rules.direction is not None and rules.direction.changes_remote
    if not pushed or len(live) != 1 or live[0].path == entry.path or live[0].refused:
        return None
    row, spelled = rows.get(live[0].path), rules.spelled(live[0].path)
    return live[0] if row is not None and spelled not in (None, entry.path) and still(live[0], row) else None


def _taken(
    entry: LocalEntry, live: list[RemoteEntry], rows: dict[str, RecordedEntry], gone: list[RecordedEntry], rules: Rules
) -> Joined:
    """The file with its key."""
    ranked = sorted(live, key=lambda one: (one.path != entry.path, one.path not in rows))
    winner = ranked[0] if ranked else None
    if winner is None or (not rules.whole and winner.path not in rows and winner.path != entry.path):
        # It keeps the key that it has, unless it was renamed here.
        row = next((row for row in gone if rules.spelled(row.path) in (None, entry.path)), None)
        if row is not None:
            return _joined(row.path, entry, None, row)
    if winner is None:
        return _joined(entry.path, entry, None, rows.get(entry.path))
    row = rows.get(winner.path) or (gone[0] if gone else None)  # the latter: it was renamed in REMOTE
    return _joined(winner.path, entry, winner, row)


def _joined(key: str, entry: LocalEntry, remote: RemoteEntry | None, row: RecordedEntry | None) -> Joined:
    if key == entry.path:
        return Joined(key, entry, remote, row)
    return Joined(key, entry._replace(path=key), remote, row, spelled=entry.path)


def _of_no_file(
    remote: list[RemoteEntry], rows: dict[str, RecordedEntry], direction: Direction | None
) -> Iterator[Joined]:
    """Keys that LOCAL has no file for, of which several may be one once they are there."""
    live = sorted((one for one in remote if not one.refused), key=lambda one: one.path not in rows)
    for one in remote:
        row = rows.pop(one.path, None)
        plain = Joined(one.path, None, one, row)
        if one.refused or one is live[0]:
            yield plain
        elif direction is Direction.PULL:
            yield plain._replace(namesake=live[0].path)
        elif direction is not None and direction.changes_remote and row is not None and still(one, row):
            yield plain  # it was here
        elif direction is Direction.BOTH:
            yield plain._replace(namesake=live[0].path)
        else:
            yield plain._replace(clash=live[0].path)
    for row in rows.values():
        yield Joined(row.path, None, None, row)
