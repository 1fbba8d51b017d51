"""Both sides of a run: what its words name, which paths are in scope, and what was met there, judged and counted."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from nbsync.core import guard, names
from nbsync.core.call import Call
from nbsync.core.filters import Filters, read_files_from
from nbsync.core.location import Location, parse_location
from nbsync.core.model import Direction, Joined, Kind, LocalEntry, RemoteEntry
from nbsync.core.options import Options
from nbsync.errors import LocalError, NbsyncError, NoSuchBucket, UsageError
from nbsync.local.scan import absolute_root, scan, without_too_long
from nbsync.s3.bucket import Bucket
from nbsync.s3.errors import is_denied, may_not_list, translate
from nbsync.s3.listing import PageBoundaries, list_objects, single_object
from nbsync.wire.errors import ServiceError

STANDARD_INPUT = "-"  # in the place of a file's name


class Scope:
    """Which paths take part: the filters, and what --files-from lists.

    Attributes:
        admits: does a path take part?
        listed: the paths that --files-from names; None without it.
    """

    def __init__(self, options: Options, listed: frozenset[str] | None) -> None:
        self.filters, self.listed = Filters(options.filters), listed
        by_filters = self.filters.admits
        self.admits: Callable[[str], bool] = by_filters
        if listed is not None:
            self.admits = lambda path: path in listed and by_filters(path)

    def reaches(self, folder: str) -> bool:
        """May something below a folder take part? Asked of folders that cannot be looked into."""
        listed = self.listed is None or any(path.startswith(f"{folder}/") for path in self.listed)
        return listed and self.filters.may_admit_below(folder)

    @property
    def is_partial(self) -> bool:
        """May a path be out of scope?"""
        return bool(self.filters) or self.listed is not None


class Sides(NamedTuple):
    """REMOTE, LOCAL and the paths in scope, as a call names them.

    Attributes:
        local: as the user wrote it.
        root: LOCAL's absolute path.
    """

    call: Call
    location: Location
    local: str
    root: str
    scope: Scope

    def explain(self, error: Exception) -> NbsyncError:
        """What an error of a run with these sides means to the user."""
        told = error if isinstance(error, NbsyncError) else translate(error, self.location.uri)
        if isinstance(told, NoSuchBucket) and os.path.isdir(self.call.remote):
            return NoSuchBucket(told.message, f"There is a folder {self.call.remote} here: is it swapped?")
        return told

    def check_folder(self) -> bool:
        """Is LOCAL there?

        Raises:
            LocalError: something else is in its place.
        """
        exists = os.path.lexists(self.root)
        if exists and not os.path.isdir(self.root):
            raise LocalError(f"{self.local} is not a directory", "LOCAL is a directory; give another")
        return exists

    def scan(self, direction: Direction | None) -> Iterable[LocalEntry]:
        """What LOCAL holds; a run that only changes LOCAL never looks through links. None: no side is changed."""
        if not os.path.isdir(self.root):
            return ()
        through_links = direction is None or direction.changes_remote
        return scan(self.root, follow_symlinks=self.call.options.follow_symlinks and through_links)


def sides_of(call: Call) -> Sides:
    """What the words of a call name. Nothing is looked at but the list of --files-from.

    Raises:
        UsageError: REMOTE, LOCAL, a filter or --files-from makes no sense.
    """
    if "://" in call.local:
        hint = "nbsync does not copy from S3 to S3. Are LOCAL and REMOTE swapped?"
        raise UsageError(f"{call.local} is no directory: LOCAL is on this machine", hint)
    location = parse_location(call.remote)
    local = call.local or os.path.join(".", location.name)
    listed = read_list(call.options.files_from) if call.only is None else call.only
    return Sides(call, location, local, absolute_root(local), Scope(call.options, listed))


class Seen:
    """What was met on both sides so far, before the filters.

    Attributes:
        missing: of the paths that --files-from lists, those that the source has not shown.
        local, remote, either: so many paths were there.
        unread: a folder of a source that could not be read, with things in scope below it; empty: none.
    """

    def __init__(self, listed: Iterable[str] = (), *, local: int = 0, remote: int = 0) -> None:
        self.missing = set(listed)
        self.local, self.remote, self.either = local, remote, local + remote
        self.recorded = 0
        self.unread = ""

    def in_source(self, direction: Direction | None) -> int:
        """Files that the source has; of a run that looks at both sides alike, or changes both, all of them."""
        if direction is None or (direction.changes_local and direction.changes_remote):
            return self.either
        return self.remote if direction.changes_local else self.local


def counted(
    joined: Iterable[Joined], seen: Seen, direction: Direction | None, reaches: Callable[[str], bool]
) -> Iterator[Joined]:
    """The same paths, each counted in `seen`.

    Args:
        direction: None for a look at both sides.
        reaches: as Scope.reaches.
    """
    from_remote = direction is None or direction.changes_local
    from_local = direction is None or direction.changes_remote
    for one in joined:
        local, remote = one.local, one.remote
        if local is not None:
            seen.local += 1
            if from_local:
                seen.missing.discard(local.path)
                if local.kind is Kind.UNREADABLE_FOLDER and not seen.unread and reaches(local.path):
                    seen.unread = local.path
        if remote is not None:
            seen.remote += 1
            if from_remote:
                seen.missing.discard(remote.path)
        seen.recorded += one.recorded is not None
        seen.either += local is not None or remote is not None
        yield one


class Opened(NamedTuple):
    """REMOTE, once it has answered.

    Attributes:
        prefix: what is put before a path to make its key.
        entries: the listing, whose first page has come.
        only: the path of the one object that REMOTE names; empty if it is a folder.
        nothing: says that there is nothing under REMOTE, if so.
    """

    prefix: str
    entries: Iterator[RemoteEntry]
    only: str = ""
    nothing: str = ""


class Remote:
    """REMOTE as one run lists it. Close it: a listing that is not read to its end has threads.

    Args:
        admits: does a path take part?

    Attributes:
        page_boundaries: where the pages of the listing end.
    """

    def __init__(self, bucket: Bucket, sides: Sides, admits: Callable[[str], bool]) -> None:
        self._bucket, self._sides, self._admits = bucket, sides, admits
        self._listing: Iterator[RemoteEntry] = iter(())
        self.page_boundaries = PageBoundaries()

    def open(self, *, single: bool) -> Opened:
        """Ask for the first page of the listing: what is wrong with REMOTE is known then.

        With `single`, REMOTE may be the name of one object.

        Raises:
            GuardRefusal: nothing is there, and the call's limits say that something must be.
            AccessDenied: it may not be listed, and is no object that may be read.
        """
        location = self._sides.location
        entries = self.list()
        first, denied = _begin(entries)
        if first is not None:
            return Opened(location.prefix, chain([first], entries))
        one = single_object(self._bucket, location, admits=self._admits, denied=denied) if single else None
        if one is not None:
            self.page_boundaries = PageBoundaries()  # those were of another prefix
            return Opened(location.parent().prefix, iter([one]), one.path)
        if denied is not None:
            raise may_not_list(denied, location.uri)
        return Opened(location.prefix, entries, nothing=self._nothing() if single else "")

    def _nothing(self) -> str:
        location, call = self._sides.location, self._sides.call
        pattern = "; REMOTE is no pattern: use --include" if "*" in location.prefix else ""
        then = " at that time" if call.options.as_of is not None else ""
        nothing = f"there is nothing under {location.uri}{then}{pattern}"
        refusal = guard.nothing_there(nothing, call.limits)
        if refusal is not None:
            raise refusal
        return nothing

    def list(self) -> Iterator[RemoteEntry]:
        """The whole listing from its beginning. If it was found not to be in key order, it is sorted now."""
        self.close()
        self.page_boundaries = PageBoundaries()
        self._listing = list_objects(
            self._bucket, self._sides.location.prefix, admits=self._admits, page_boundaries=self.page_boundaries
        )
        return self._listing

    def close(self) -> None:
        """Let the threads of the listing end."""
        if isinstance(self._listing, Generator):
            self._listing.close()


def _begin(entries: Iterator[RemoteEntry]) -> tuple[RemoteEntry | None, ServiceError | None]:
    """The first entry of a listing, or how it is denied."""
    try:
        return next(entries, None), None
    except ServiceError as error:
        if not is_denied(error):
            raise
        return None, error


def judged(entries: Iterator[RemoteEntry], sides: Sides, direction: Direction) -> Iterator[RemoteEntry]:
    """The entries, with `refused` set on each that may not become a file here."""
    if direction.changes_local:
        entries = without_too_long(entries, sides.root)
    return entries if sides.call.limits.repositories else map(_outside_repositories, entries)


def _outside_repositories(entry: RemoteEntry) -> RemoteEntry:
    """The entry, refused if git or Mercurial would run what it says."""
    if entry.refused or not names.is_repository(entry.path):
        return entry
    return entry._replace(refused="is in .git or .hg, which a link does not bring: git and Mercurial run what is there")


def read_list(path: str) -> frozenset[str] | None:
    """The paths that --files-from names; None without it.

    Raises:
        UsageError: it cannot be read, or a line of it is no path.
    """
    if not path:
        return None
    try:
        file = _standard_input() if path == STANDARD_INPUT else path
        with open(file, encoding="utf-8-sig", closefd=file == path) as lines:
            return read_files_from(lines)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise UsageError(f"--files-from {path}: {reason}") from None


def _standard_input() -> int:
    """The number of its file descriptor.

    Raises:
        UsageError: nothing was piped into it.
    """
    try:
        number = sys.stdin.fileno()
    except (AttributeError, ValueError):  # none, or a notebook's
        number = -1
    if number < 0 or os.isatty(number):
        raise UsageError("--files-from -: nothing is piped into standard input", "Pipe the list, or name a file")
    return number
