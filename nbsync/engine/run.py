"""What every run has in common: its words, its bucket, its end. One subclass for each kind of run.

A run is made in the caller's thread and executed in one of its own, which never prints.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from itertools import chain
from typing import Any

from nbsync.core import guard
from nbsync.core.filters import Filters, read_files_from
from nbsync.core.location import Location, parse_location
from nbsync.core.model import RemoteEntry
from nbsync.core.options import Call, Options
from nbsync.engine.status_board import Board
from nbsync.errors import Interrupted, LocalError, NbsyncError, NoSuchBucket, UsageError
from nbsync.local.scan import absolute_root
from nbsync.results.sync_result import SyncResult
from nbsync.s3.bucket import Bucket
from nbsync.s3.errors import is_denied, may_not_list, translate
from nbsync.s3.listing import Waypoints, list_objects, single_object
from nbsync.transfer.concurrency import Controller, files_left
from nbsync.transfer.runner import AnyRunner
from nbsync.wire.errors import Aborted, ServiceError, WireError

STANDARD_INPUT = "-"  # in the place of a file's name


class BaseRun(ABC):
    """One run of a call. Make it in the caller's thread (it checks the words), `execute` it in its own.

    Args:
        call: the command with its words.
        cancel: set to stop the run within a second.
        now_ns: the wall clock, ns since the epoch.

    Attributes:
        runner: who works now; None before there is anything to do.

    Raises:
        UsageError: REMOTE, LOCAL or an option does not make sense.
    """

    def __init__(self, call: Call, cancel: threading.Event, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self.call = call
        self.options: Options = call.options
        if "://" in call.local:
            hint = "nbsync does not copy from S3 to S3. Are LOCAL and REMOTE swapped?"
            raise UsageError(f"{call.local} is no directory: LOCAL is on this machine", hint)
        self.location: Location = parse_location(call.remote)
        self.local = call.local or os.path.join(".", self.location.name)
        self.root = absolute_root(self.local)
        self.dry_run = self.options.dry_run or call.command == "plan"
        self.board = Board()
        self.cancel = cancel
        self.result = self._empty_result()
        self._now_ns = now_ns
        self._stopped = False
        self._bucket: Bucket | None = None
        self._listing: Iterator[RemoteEntry] | None = None
        self._waypoints = Waypoints()
        self._controller = Controller(self.options.jobs, files=files_left())
        self._listed = read_list(self.options.files_from) if call.only is None else call.only
        self._filters = Filters(self.options.filters)
        self._admits = _within(self._filters, self._listed)
        self._unseen = set(self._listed or ())  # of the paths in --files-from
        self._seen = 0  # files of the source, before the filters
        self._found_nothing = False  # under REMOTE

    @property
    @abstractmethod
    def runner(self) -> AnyRunner[Any] | None: ...

    @abstractmethod
    def _empty_result(self) -> SyncResult:
        """The result that the run fills."""

    @abstractmethod
    def _check_local(self) -> None:
        """Is LOCAL what this run needs?

        Raises:
            LocalError: it is not.
        """

    @abstractmethod
    def _run(self, bucket: Bucket) -> None:
        """Do it, in the run's thread."""

    def execute(self) -> SyncResult:
        """Do it; what was refused or broke off is in the result's `error`."""
        started = time.monotonic()
        result = self.result
        try:
            self._check_local()
            bucket = self._bucket = Bucket(self.location, self.options, wait=self.wait, on_slow_down=self._slow_down)
            if self.cancel.is_set():
                raise Aborted("stopped before it began")
            self._run(bucket)
        except NbsyncError as error:
            result.error = error
        except (WireError, OSError) as error:
            result.error = translate(error, self.location.uri)
        if isinstance(result.error, NoSuchBucket) and os.path.isdir(self.call.remote):
            hint = f"There is a folder {self.call.remote} here: is it swapped?"
            result.error = NoSuchBucket(result.error.message, hint)
        if self._stopped:
            result.error = _interrupted()
        if isinstance(self._listing, Generator):
            self._listing.close()  # a run that broke off would leave its threads waiting
        if self._bucket is not None:
            result.requests = {**result.requests, **self._bucket.counts.snapshot()}
            self._bucket.client.close()
        result.files = sorted(result.files, key=lambda row: row.path)  # who follows the old list keeps his place in it
        result.seconds = time.monotonic() - started
        self._ended()
        self.board.state = "cancelled" if self._stopped else "failed" if result.error else "done"
        return result

    def _ended(self) -> None:  # noqa: B027 (most runs have nothing to add)
        """What is left to do with a finished result."""

    def stop(self) -> None:
        """From any thread: stop now. What is under way breaks off; staging is removed."""
        self._stopped = True
        self.cancel.set()
        if self._bucket is not None:
            self._bucket.client.abort()

    def abandon(self) -> None:
        """The run is stuck before its beginning, and will not be waited for: its result is that it was stopped."""
        self.result.error = _interrupted()
        self.board.state = "cancelled"

    @property
    def endpoint(self) -> str:
        """The service's address, once it is known."""
        return self._bucket.endpoint if self._bucket is not None else ""

    def requests(self) -> dict[str, int]:
        """Requests so far, by kind. Any thread may ask."""
        return self._bucket.counts.snapshot() if self._bucket is not None else dict(self.result.requests)

    def wait(self, seconds: float) -> bool:
        """Sleep, or wake early; True when the run is to stop."""
        return self.cancel.wait(seconds)

    def _slow_down(self) -> None:
        self._controller.slow_down()

    # ---- the two sides ------------------------------------------------------------------------------

    def _check_is_folder(self) -> bool:
        """Is LOCAL there?

        Raises:
            LocalError: something else is in its place.
        """
        exists = os.path.lexists(self.root)
        if exists and not os.path.isdir(self.root):
            raise LocalError(f"{self.local} is not a directory", "LOCAL is a directory; give another")
        return exists

    def _remote(self, bucket: Bucket, *, single: bool) -> tuple[str, Iterator[RemoteEntry]]:
        """The prefix of keys, and the listing, whose first page has come: what is wrong with REMOTE is known now.

        With `single`, REMOTE may be the name of one object.

        Raises:
            GuardRefusal: nothing is there, and the call's limits say that something must be.
        AccessDenied: it may not be listed, and is no object that may be read.
        """
        self._waypoints = Waypoints()
        if self.location.has_empty_segment:
            self.result.notes.append(
                f"the empty segment in {self.location.uri} is taken as it is: it is part of its keys"
            )
        entries = list_objects(bucket, self.location.prefix, admits=self._admits, waypoints=self._waypoints)
        self._listing = entries
        first, denied = _begin(entries)
        if first is not None:
            return self.location.prefix, chain([first], entries)
        one = single_object(bucket, self.location, admits=self._admits, denied=denied) if single else None
        if one is not None:
            self._waypoints = Waypoints()  # those were of another prefix
            self.result.remote = self.location.uri.rstrip("/")
            only = one.path  # what else LOCAL holds, or held, is not this run's business
            self._admits = lambda path: path == only
            return self.location.parent().prefix, iter([one])
        if denied is not None:
            raise may_not_list(denied, self.location.uri)
        if single:
            self._found_nothing = True
            pattern = "; REMOTE is no pattern: use --include" if "*" in self.location.prefix else ""
            then = " at that time" if self.options.as_of is not None else ""
            nothing = f"there is nothing under {self.location.uri}{then}{pattern}"
            refusal = guard.nothing_there(nothing, self.call.limits)
            if refusal is not None:
                raise refusal
            self.result.notes.append(nothing)
        return self.location.prefix, entries

    def _reaches(self, folder: str) -> bool:
        """May something below a folder be in scope? That is for who cannot look into it."""
        listed = self._listed is None or any(path.startswith(f"{folder}/") for path in self._listed)
        return listed and self._filters.may_admit_below(folder)

    def _remote_again(self, bucket: Bucket) -> Iterator[RemoteEntry]:
        """The listing of a REMOTE that was found not to be listed in key order: it is sorted now."""
        self._waypoints = Waypoints()
        self._listing = list_objects(bucket, self.location.prefix, admits=self._admits, waypoints=self._waypoints)
        return self._listing

    def _note_filters(self) -> None:
        """Say what of the options has not done what it may have been meant to do."""
        notes = self.result.notes
        if {kind for kind, _ in self.options.filters} == {"include"}:
            notes.append("--include alone filters nothing (as in aws s3 sync): put --exclude '*' before it")
        else:
            self._note_unmatched()
        filtered = bool(self.options.filters) or self._listed is not None
        nothing = not self.board.files_total and not any(self.result.counts.values())
        if filtered and nothing and self._seen:
            notes.append(f"the filters left none of the {self._seen:,} files of the source")
        if self._unseen:
            some = ", ".join(sorted(self._unseen)[:3])
            notes.append(f"{len(self._unseen):,} of the paths in --files-from are not in the source: {some}")

    def _note_unmatched(self) -> None:
        """Say which filters were of no use, if all that there is was held against them."""
        unmatched = self._filters.unmatched() if self._seen and self.board.listing_done else []
        absolute = [f"--{kind} {pattern!r}" for kind, pattern in unmatched if pattern.startswith("/")]
        other = [f"--{kind} {pattern!r}" for kind, pattern in unmatched if not pattern.startswith("/")]
        if absolute:
            why = "paths begin below REMOTE and LOCAL, without a '/'"
            self.result.notes.append(f"nothing can match {', '.join(absolute)}: {why}")
        if other:
            self.result.notes.append(f"nothing matched {', '.join(other)}")


def _begin(entries: Iterator[RemoteEntry]) -> tuple[RemoteEntry | None, ServiceError | None]:
    """The first entry of a listing, or how it is denied."""
    try:
        return next(entries, None), None
    except ServiceError as error:
        if not is_denied(error):
            raise
        return None, error


def _interrupted() -> Interrupted:
    return Interrupted(
        "stopped by the user; every file that was finished is kept, and what came of large ones",
        "Run it again to do the rest",
    )


def read_list(path: str) -> frozenset[str] | None:
    """The paths that --files-from names; None without it."""
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
    """Its number.

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


def _within(filters: Filters, listed: frozenset[str] | None) -> Callable[[str], bool]:
    """Which paths are in scope: the filters, and the list of --files-from."""
    if listed is None:
        return filters.admits
    return lambda path: path in listed and filters.admits(path)
