"""The ordered three-way join of LOCAL, REMOTE and the recorded state. Pure; constant memory.

The three streams come in string order of the whole relative path (UTF-8 byte order, the order in
which S3 lists). A joined path is held back until nothing can come below it, so that whoever decides
knows of `a` beside `a/b` on either side. What is held is a chain of prefixes, bounded by the length
of a key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from nbsync.core.evidence import stays, still
from nbsync.core.model import Joined, Kind, LocalEntry, RecordedEntry, RemoteEntry
from nbsync.errors import ListingError

_E = TypeVar("_E", LocalEntry, RemoteEntry, RecordedEntry)


def join(
    local: Iterable[LocalEntry], remote: Iterable[RemoteEntry], recorded: Iterable[RecordedEntry]
) -> Iterator[Joined]:
    """Every path that any of the three streams has, once, with what each says of it.

    Yields in path order, except that a path comes after those between it and what lies below it
    (`a` after `a-b` and `a/b`).

    Raises:
        ListingError: a stream is out of order or repeats a path: nothing that follows can be believed.
    """
    return nested(_zip3(local, remote, recorded))


def nested(
    joined: Iterable[Joined], fold: Callable[[str], str] | None = None, *, pushed: bool = False
) -> Iterator[Joined]:
    """The same, each told of the paths above and below it.

    Args:
        joined: in path order, or in that of what `fold` makes of the paths.
        fold: gives the same text for paths that the file system takes for one.
        pushed: the files become objects, and those that they are renamed from go.
    """
    held: list[tuple[str, Joined]] = []
    for one in joined:
        name = one.path if fold is None else fold(one.path)
        while held and not _may_hold(held[-1][0], name):
            yield held.pop()[1]
        held.append((name, _mark(held, name, one, pushed) if held else one))
    while held:
        yield held.pop()[1]


def known_again(joined: Iterable[Joined], ours: Mapping[str, Iterable[RecordedEntry]]) -> Iterator[Joined]:
    """The same, but an object that is one of `ours` takes the place of what was recorded before it was stored."""
    for one in joined:
        remote, row = one.remote, one.recorded
        if remote is not None and one.path in ours and (row is None or not still(remote, row)):
            row = next((made for made in ours[one.path] if made.size == remote.size and still(remote, made)), row)
        yield one._replace(recorded=row)


def _may_hold(path: str, later: str) -> bool:
    """Could `later`, or anything after it, still lie below `path`?"""
    below = _folder(path)
    return later < below or later.startswith(below)


def _folder(path: str) -> str:
    """What the paths below `path` begin with; a folder marker's own name is that already."""
    return path if path.endswith("/") else path + "/"


def _mark(held: list[tuple[str, Joined]], name: str, one: Joined, pushed: bool) -> Joined:
    """Tell the paths above `one` of it, and `one` of them."""
    local_above, remote_above, above_stays = None, None, False
    for i, (above_name, above) in enumerate(held):
        if not name.startswith(_folder(above_name)):
            continue
        folded = not one.path.startswith(_folder(above.path))
        if folded and above.local is not None and one.local is not None:
            continue  # the file system tells them apart: both are there
        if folded and _is_object(above, pushed) and _is_object(one, pushed):  # LOCAL cannot have both
            if above.local is not None and above.local.kind is Kind.FILE:
                one = one._replace(clash=above.path)
            else:
                held[i] = above_name, above._replace(clash=one.path)
            continue
        local_above = above.local or local_above
        remote_above = above.remote or remote_above
        above_stays = above_stays or stays(above)
        below = above._replace(
            local_below=above.local_below or one.local is not None,
            remote_below=above.remote_below or (one.remote is not None and not one.remote.refused),
            below_stays=above.below_stays or stays(one),
        )
        held[i] = above_name, below
    if local_above is None and remote_above is None:
        return one
    return one._replace(local_above=local_above, remote_above=remote_above, above_stays=above_stays)


def _is_object(one: Joined, pushed: bool) -> bool:
    """Is it one when the run is over?"""
    if one.remote is None:
        return pushed and one.local is not None and one.local.kind is Kind.FILE
    return not one.remote.refused and not (pushed and one.namesake)


def _zip3(
    local: Iterable[LocalEntry], remote: Iterable[RemoteEntry], recorded: Iterable[RecordedEntry]
) -> Iterator[Joined]:
    locals_, remotes, rows = ordered(local, "LOCAL"), ordered(remote, "the listing"), ordered(recorded, "the state")
    here, there, row = next(locals_, None), next(remotes, None), next(rows, None)
    while True:
        path = None
        for entry in (here, there, row):
            if entry is not None and (path is None or entry.path < path):
                path = entry.path
        if path is None:
            return
        take_here = here if here is not None and here.path == path else None
        take_there = there if there is not None and there.path == path else None
        take_row = row if row is not None and row.path == path else None
        yield Joined(path, take_here, take_there, take_row)
        if take_here is not None:
            here = next(locals_, None)
        if take_there is not None:
            there = next(remotes, None)
        if take_row is not None:
            row = next(rows, None)


def ordered(entries: Iterable[_E], name: str) -> Iterator[_E]:
    """The entries of the stream called `name`, which must be in order.

    Raises:
        ListingError: they are not, or repeat a path.
    """
    last = None
    for entry in entries:
        if last is not None and entry.path <= last:
            raise ListingError(f"{name} is out of order: {entry.path!r} came after {last!r}", "Nothing was deleted")
        last = entry.path
        yield entry
