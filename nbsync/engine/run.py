"""One pull or push (or the plan of one): list + scan -> join -> decide -> guard -> transfer -> record.

Runs in a thread of its own, which owns the state database, the tally and the runner. It never prints.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from nbsync.core import decide, guard
from nbsync.core.filters import Filters, read_files_from
from nbsync.core.location import Location, parse_location
from nbsync.core.merge import join
from nbsync.core.model import Action, Direction, Joined, Kind, LocalEntry, RemoteEntry, Status, Verb
from nbsync.engine.execution import Execution
from nbsync.engine.tally import Board, Tally
from nbsync.engine.workplace import NO_RECORD, RoomTaken, Workplace, trash_note
from nbsync.errors import Interrupted, LocalError, NbsyncError, NoSuchBucket, UsageError
from nbsync.options import Call, Options
from nbsync.result import SyncResult
from nbsync.storage.listing import list_objects, single_object
from nbsync.storage.local import absolute_root, kept_below, scan
from nbsync.storage.s3 import Bucket
from nbsync.storage.s3_errors import translate
from nbsync.storage.state import RemoteName, State
from nbsync.storage.twins import without_twins
from nbsync.transfer.context import Context
from nbsync.transfer.control import Controller
from nbsync.transfer.headers import common_put_headers
from nbsync.transfer.leftovers import clear_away
from nbsync.transfer.limiter import Limiter
from nbsync.wire.errors import Aborted, WireError


class Run:
    """One run of a call. Make it in the caller's thread (it checks the words), `execute` it in its own.

    Args:
        call: pull, push, or plan of one.
        cancel: set to stop the run within a second.
        now_ns: the wall clock, ns since the epoch.

    Raises:
        UsageError: REMOTE, LOCAL or an option does not make sense.
    """

    def __init__(self, call: Call, cancel: threading.Event, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self.call = call
        self.options: Options = call.options
        self.direction = Direction(call.direction)
        if "://" in call.local:
            hint = "nbsync does not copy from S3 to S3. Are LOCAL and REMOTE swapped?"
            raise UsageError(f"{call.local} is no directory: LOCAL is on this machine", hint)
        self.location: Location = parse_location(call.remote)
        self.local = call.local or os.path.join(".", self.location.name)
        self.root = absolute_root(self.local)
        self.dry_run = self.options.dry_run or call.command == "plan"
        self.board = Board()
        self.cancel = cancel
        self.execution: Execution | None = None
        self._now_ns = now_ns
        self._stopped = False
        self._changing = False  # the guards have answered, and the run may change something
        self._waited_for = ""  # another run's process
        self._bucket: Bucket | None = None
        self.result = SyncResult(
            command=call.command, remote=self.location.uri, local=self.local, dry_run=self.dry_run,
            direction=call.direction, call=call,
        )  # fmt: skip
        common_put_headers(self.options)
        self._listed = _read_list(self.options.files_from) if call.only is None else call.only
        self._admits = _make_filter(self.options, self._listed)
        self._unseen = set(self._listed or ())  # of the paths in --files-from

    def execute(self) -> SyncResult:
        """Do it; what was refused or broke off is in the result's `error`."""
        started = time.monotonic()
        result = self.result
        try:
            self._run()
        except NbsyncError as error:
            result.error = error
        except (WireError, OSError) as error:
            result.error = translate(error, self.location.uri)
        if isinstance(result.error, NoSuchBucket) and os.path.isdir(self.call.remote):
            hint = f"There is a folder {self.call.remote} here: is it swapped?"
            result.error = NoSuchBucket(result.error.message, hint)
        if self._stopped:
            result.error = _interrupted()
        if self._bucket is not None:
            result.requests = {**result.requests, **self._bucket.counts.snapshot()}
            self._bucket.client.close()
        result.files.sort(key=lambda row: row.path)
        result.seconds = time.monotonic() - started
        self.board.state = "cancelled" if self._stopped else "failed" if result.error else "done"
        return result

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

    def requests(self) -> dict[str, int]:
        """Requests so far, by kind. Any thread may ask."""
        return self._bucket.counts.snapshot() if self._bucket is not None else dict(self.result.requests)

    def wait(self, seconds: float) -> bool:
        """Sleep, or wake early; True when the run is to stop."""
        return self.cancel.wait(seconds)

    # ---- what follows runs in the run's thread ----------------------------------------------------

    def _run(self) -> None:
        self._check_local()
        bucket = self._bucket = Bucket(self.location, self.options, wait=self.wait, on_slow_down=self._slow_down)
        if self.cancel.is_set():
            raise Aborted("stopped before it began")
        while True:
            place = Workplace(
                self.root, self.local, self.direction, changes=not self.dry_run, wait=self.wait,
                on_wait=self._note_waiting, now_ns=self._now_ns,
            )  # fmt: skip
            try:
                place.begin()
                self.board.state = "syncing"
                self._sync(bucket, place)
                return
            except RoomTaken:
                self.result.notes.clear()
            finally:
                place.close()

    def _check_local(self) -> None:
        exists = os.path.lexists(self.root)
        if exists and not os.path.isdir(self.root):
            raise LocalError(f"{self.local} is not a directory", "LOCAL is a directory; give another")
        if not exists:
            above = _nearest(self.root)
            if not os.path.isdir(above):
                raise LocalError(f"{self.local} cannot be: {above} is not a directory", "Choose another LOCAL")
        if self.direction is Direction.PUSH and not exists and not self._may_be_missing():
            raise LocalError(f"{self.local}: no such directory", "Check LOCAL: push is `push LOCAL REMOTE`")

    def _may_be_missing(self) -> bool:
        return self.options.delete and self.options.allow_empty_source

    def _remote(self, bucket: Bucket) -> tuple[str, Iterator[RemoteEntry]]:
        """The prefix of keys, and the listing, whose first page has come: what is wrong with REMOTE is known now."""
        prefix = self.location.prefix
        entries = list_objects(bucket, prefix, admits=self._admits)
        first = next(entries, None)
        if first is None and self.direction is Direction.PULL:
            one = single_object(bucket, self.location, admits=self._admits)
            if one is not None:
                only = one.path  # what else LOCAL holds, or held, is not this run's business
                self._admits = lambda path: path == only
                return self.location.parent().prefix, iter([one])
            pattern = "; REMOTE is no pattern: use --include" if "*" in self.location.prefix else ""
            then = " at that time" if self.options.as_of is not None else ""
            self.result.notes.append(f"there is nothing under {self.location.uri}{then}{pattern}")
        return prefix, entries if first is None else chain([first], entries)

    def _note_waiting(self, owner: str) -> None:
        self.board.state = "waiting"
        self._waited_for = owner

    def _sync(self, bucket: Bucket, place: Workplace) -> None:
        prefix, remote = self._remote(bucket)
        state = place.open_record(RemoteName(bucket.endpoint, self.location.bucket, prefix))
        limiter = Limiter(self.options.bandwidth, self.wait)
        ctx = Context(
            bucket, self.root, self.options, prefix, place.room, limiter, self.cancel, self.dry_run,
            now_ns=self._now_ns, controller=Controller(self.options.jobs), journal=place.open_journal(),
            stopped=lambda: self._stopped,
        )  # fmt: skip
        tally = Tally(self.result, self.board)

        def prepare() -> None:
            tally.state = place.prepare()
            ctx.room, ctx.journal = place.room, place.open_journal()
            self._changing = True

        self.execution, complete = Execution(ctx, self.direction, self.board, tally, prepare), False
        try:
            self.execution.run(self._actions(remote, state, place, tally), self._source_guard)
            complete = True
        finally:
            self.result.notes += state.notes
            self._settle(place, tally)
            if self._changing and (complete or self._stopped):
                self.result.notes += clear_away(ctx)
            self._note(bucket, place, state)

    def _settle(self, place: Workplace, tally: Tally) -> None:
        """Write the last of the record, and let no later edit look as old as what it says."""
        tally.flush()
        if place.room is not None and tally.youngest_ctime_ns:
            place.room.wait_out_tick(tally.youngest_ctime_ns)

    def _actions(self, remote: Iterator[RemoteEntry], state: State, place: Workplace, tally: Tally) -> Iterator[Action]:
        """Every Action of the run, settled or to do, as the join brings them."""
        policy = decide.Policy(
            self.direction, self.options.delete, self.options.compare, self.options.overwrite_remote,
            self.options.existing, self.options.ignore_existing, self._admits,
            len(self.location.prefix.encode()),
        )  # fmt: skip
        self._seen = 0
        remote = without_twins(remote, self.root) if self.direction is Direction.PULL else remote
        for one in join(self._scan(), remote, state.rows()):
            self._count_source(one)
            action = decide.decide(one, policy)
            if action is not None and action.verb is Verb.DOWNLOAD and one.local is None and not place.is_new:
                action = self._look_at_folder(one, action, policy)
            if action is not None:
                yield action
            elif one.local is None and one.remote is None and self._admits(one.path):
                tally.forget(one.path)
        self.board.listing_done = True

    def _look_at_folder(self, one: Joined, action: Action, policy: decide.Policy) -> Action | None:
        """The Action, decided anew if a folder stands at its path that the scan did not show or must be kept."""
        folder = os.path.join(self.root, one.path)
        if not os.path.isdir(folder):
            return action
        again = decide.decide(one._replace(local_below=True), policy)
        if again is None or again.in_the_way != one.path:
            return again
        kept = kept_below(folder, one.path, policy.admits)
        return decide.spare(again, kept) if kept else again

    def _scan(self) -> Iterable[LocalEntry]:
        if not os.path.isdir(self.root):
            return ()
        return scan(self.root, follow_symlinks=self.options.follow_symlinks and self.direction is Direction.PUSH)

    def _count_source(self, one: Joined) -> None:
        source = one.remote if self.direction is Direction.PULL else one.local
        if source is None:
            return
        self._seen += 1
        self._unseen.discard(source.path)
        if isinstance(source, LocalEntry) and source.kind is Kind.UNREADABLE_FOLDER and self.execution is not None:
            self.execution.distrust(f"{source.path} could not be read")

    def _source_guard(self) -> NbsyncError | None:
        place = self.location.uri if self.direction is Direction.PULL else self.local
        allowed = self.options.allow_empty_source
        return guard.empty_source(self.direction.value, place, self._seen, delete=self.options.delete, allowed=allowed)

    def _slow_down(self) -> None:
        if self.execution is not None:
            self.execution.slow_down()

    def _note(self, bucket: Bucket, place: Workplace, state: State) -> None:
        notes, rows = self.result.notes, self.result.files
        if self._waited_for:
            notes.append(f"another nbsync run ({self._waited_for}) was at work here: this one waited for it")
        verbs = {row.action for row in rows if row.status != Status.CANCELLED.value}
        if Verb.UPLOAD.value in verbs and not bucket.can.conditional_put:
            notes.append("conditional PUT is unproven on this server: best effort")
        if Verb.DELETE_REMOTE.value in verbs and not bucket.can.conditional_delete:
            notes.append("conditional DELETE is unproven on this server: best effort")
        notes += bucket.can.notes()
        if state.fresh and any(row.reason == decide.NEVER_SYNCED for row in rows):
            notes.append(f"{NO_RECORD} of an earlier sync with this REMOTE: others' changes could not be told")
        kinds = {kind for kind, _ in self.options.filters}
        if kinds == {"include"}:
            notes.append("--include alone filters nothing (as in aws s3 sync): put --exclude '*' before it")
        if (
            (self.options.filters or self._listed is not None)
            and self._seen
            and not self.board.files_total
            and not any(self.result.counts.values())
        ):
            notes.append(f"the filters left none of the {self._seen:,} files of the source")
        if self._unseen:
            some = ", ".join(sorted(self._unseen)[:3])
            notes.append(f"{len(self._unseen):,} of the paths in --files-from are not in the source: {some}")
        if place.room is not None:
            trashed = trash_note(place.room, "replaced or deleted by this run")
            notes += [trashed] if trashed else []


def _nearest(path: str) -> str:
    """The nearest parent of `path` that is there."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path


def _interrupted() -> Interrupted:
    return Interrupted("stopped by the user; every file that was finished is kept", "Run it again to do the rest")


def _read_list(path: str) -> frozenset[str] | None:
    """The paths that --files-from names; None without it."""
    if not path:
        return None
    try:
        with open(path, encoding="utf-8-sig") as file:
            return read_files_from(file)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise UsageError(f"--files-from {path}: {reason}") from None


def _make_filter(options: Options, listed: frozenset[str] | None) -> Callable[[str], bool]:
    """Which paths are in scope: the filters, and the list of --files-from."""
    filters = Filters(options.filters)
    if listed is None:
        return filters.admits
    return lambda path: path in listed and filters.admits(path)
