"""One pull or push (or the plan of one): list + scan -> join -> decide -> guard -> transfer -> record.

Runs in a thread of its own, which owns the state database, the tally and the runner. It never prints.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import datetime, timezone
from typing import Any

from nbsync.core import decide, guard, names
from nbsync.core.join import known_again
from nbsync.core.location import Location
from nbsync.core.model import Action, Direction, Joined, Kind, LocalEntry, RemoteEntry, Status, Verb
from nbsync.core.options import Call
from nbsync.core.saved_options import FILES, repeated_options
from nbsync.engine.executor import Execution
from nbsync.engine.local_session import NO_RECORD, RoomTaken, Workplace, note_trash
from nbsync.engine.names import Names
from nbsync.engine.ports import Workforce
from nbsync.engine.repeat import check_place, resolved
from nbsync.engine.run import STANDARD_INPUT, BaseRun
from nbsync.engine.status_board import Tally, printable
from nbsync.errors import LocalError, NbsyncError, OutOfOrder, UsageError
from nbsync.local import plan_files
from nbsync.local.action_spool import Spool
from nbsync.local.past_syncs import PastSync
from nbsync.local.record import RemoteName, State
from nbsync.local.scan import kept_below, scan, without_too_long
from nbsync.results.sync_result import Place, SyncPlan, SyncResult
from nbsync.s3.bucket import Bucket
from nbsync.transfer.cleanup import clear_away
from nbsync.transfer.context import Context
from nbsync.transfer.headers import common_put_headers
from nbsync.transfer.rate_limiter import Limiter
from nbsync.transfer.runner import AnyRunner

Hire = Callable[[Call], Callable[[], Workforce] | None]


def alone(_call: Call) -> None:
    """Nobody else works for a run."""


class Run(BaseRun):
    """A pull, a push, or the plan of one.

    Args:
        hire: gives, for a call, what opens the workforce that it names; None if it names none. Looks at words alone.
    """

    as_planned = False  # nothing is decided anew for what changes while the run goes on: it is a conflict

    def __init__(
        self, call: Call, cancel: threading.Event, *, now_ns: Callable[[], int] = time.time_ns, hire: Hire = alone,
    ) -> None:  # fmt: skip
        self.direction = Direction(call.direction)
        super().__init__(resolved(call), cancel, now_ns=now_ns)
        self.execution: Execution | None = None
        self._changing = False  # the guards have answered, and the run may change something
        self._noted: PastSync | None = None  # what the room remembers of this run
        self._waited_for = ""  # another run's process
        if self.direction is Direction.PUSH:
            _check_keys(self.location)
        common_put_headers(self.options)
        self._hired = hire(self.call)
        self._workforce: Workforce | None = None
        if self.options.save:
            plan_files.check(self.options.save)

    @property
    def runner(self) -> AnyRunner[Any] | None:
        """Who works now."""
        return self.execution.runner if self.execution is not None else None

    def _empty_result(self) -> SyncResult:
        call = self.call
        kind = SyncPlan if call.command == "plan" else SyncResult
        return kind(
            command=call.command, remote=self.location.uri, local=self.local, dry_run=self.dry_run,
            direction=call.direction, call=call,
        )  # fmt: skip

    # ---- what follows runs in the run's thread ----------------------------------------------------

    def _run(self, bucket: Bucket) -> None:
        check_place(self.call, bucket)
        if self._hired is not None:
            self._workforce = self._hired()
        try:
            if self._workforce is not None:  # a dry run is done here, but says the same of the workers
                self._workforce.look()
            self._in_place(bucket)
        finally:
            if self._workforce is not None:
                self._workforce.close()

    def _in_place(self, bucket: Bucket) -> None:
        while True:
            place = Workplace(
                self.root, self.local, self.direction, changes=not self.dry_run, wait=self.wait,
                on_wait=self._note_waiting, now_ns=self._now_ns, trash_days=self.options.trash_days,
                follow_symlinks=self.options.follow_symlinks,
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
        exists = self._check_is_folder()
        if not exists:
            above = _nearest(self.root)
            if not os.path.isdir(above):
                raise LocalError(f"{self.local} cannot be: {above} is not a directory", "Choose another LOCAL")
        if self.direction is Direction.PUSH and not exists and not self._may_be_missing():
            raise LocalError(f"{self.local}: no such directory", "Check LOCAL: push is `push LOCAL REMOTE`")

    def _may_be_missing(self) -> bool:
        return self.options.delete and self.options.allow_empty_source

    def _note_waiting(self, owner: str) -> None:
        self.board.state = "waiting"
        self._waited_for = owner

    def _sync(self, bucket: Bucket, place: Workplace) -> None:
        prefix, remote = self._remote(bucket, single=self.direction is Direction.PULL)
        self._began(bucket)
        self.result.notes += place.purge_trash(bucket.client.service_time())
        name = RemoteName(bucket.endpoint, self.location.bucket, prefix)
        state = place.open_record(name)
        self._waypoints.known = state.waypoints()
        ctx = self._context(bucket, prefix, place)
        bucket.can.recall(md5_etags=state.knows_md5_etag())
        tally = Tally(self.result, self.board)
        found = Names(self.root, self.direction, whole=prefix == self.location.prefix)

        def prepare() -> None:
            tally.recorder.open(place.prepare(), place.clocks)
            ctx.room, ctx.journal = place.room, place.open_journal()
            if self._noted is None and (not self._found_nothing or self.options.delete):  # a slip is not repeated
                self._noted = self._as_past(name, bucket.region)
                self.result.notes += filter(None, [place.note_sync(self._noted)])
            self._changing = True

        self.execution = Execution(ctx, self.direction, self.board, tally, prepare, self.call.limits, self._workforce)
        complete = False
        try:
            self._execute(found, remote, state, place, tally, bucket)
            self._conclude(found, place, tally)
            complete = True
            if self.direction is Direction.PUSH and self._settled_all():
                ctx.journal.forget_unheard()
        finally:
            found.close()
            if self._workforce is not None:
                self._workforce.dismiss()
            self.result.notes += state.notes
            tally.finish()
            place.note_waypoints(self._waypoints)
            if self._changing and (complete or self._stopped):
                self.result.notes += clear_away(ctx)
            self._note(bucket, place, state)

    def _context(self, bucket: Bucket, prefix: str, place: Workplace) -> Context:
        """What the run's workers share."""
        return Context(
            bucket, self.root, self.options, prefix, place.room, Limiter(self.options.bandwidth, self.wait),
            self.cancel, self.dry_run, now_ns=place.file_time_ns, controller=self._controller,
            journal=place.open_journal(), stopped=lambda: self._stopped, as_planned=self.as_planned,
            holds_doubts=True,
        )  # fmt: skip

    def _execute(
        self, found: Names, remote: Iterator[RemoteEntry], state: State, place: Workplace, tally: Tally, bucket: Bucket
    ) -> None:
        """Do all there is to do; twice, if the listing proves not to be in order: all but what is done by then."""
        assert self.execution is not None  # _sync made it
        actions = self._actions(found, remote, state, place, tally)
        while True:
            with closing(Spool()) as early:
                try:
                    self.execution.run(self._in_turn(actions, bucket, early), self._source_guard)
                    return
                except OutOfOrder:  # a key that is listed late was taken for absent; from now on, listings are sorted
                    self._begin_again()
                    settled = tally.begin_again(changed=True)
                    actions = self._actions(found, self._remote_again(bucket), state, place, tally)
                    actions = _without(actions, settled)

    def _in_turn(self, actions: Iterator[Action], bucket: Bucket, early: Spool) -> Iterator[Action]:
        """The same; uploads for want of an object come last, unless all is listed or will be in key order."""
        for action in actions:
            unsure = action.verb is Verb.UPLOAD and action.remote is None
            if unsure and not (bucket.can.lists_in_order or self._waypoints.whole):
                early.add(action)
            else:
                yield action
        yield from early

    def _begin_again(self) -> None:
        """Nothing is decided yet, after all."""

    def _began(self, bucket: Bucket) -> None:
        """REMOTE has answered; nothing is decided yet."""
        self.board.answered = True
        if isinstance(self.result, SyncPlan):
            planned_at = datetime.fromtimestamp(self._now_ns() // 10**9, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            place = Place(self.root, bucket.endpoint, bucket.region, bucket.profile, planned_at)
            self.result.begin(place, Spool())

    def _as_past(self, name: RemoteName, region: str) -> PastSync:
        """This run as it is remembered, once it has begun."""
        options = repeated_options(self.options)
        given = {name: value for name, value in options.items() if name not in self.call.imposed}
        given.pop("region", None)  # the one that the bucket was found to be in is better
        files = (name for name in FILES if given.get(name, STANDARD_INPUT) != STANDARD_INPUT)
        given |= {name: os.path.abspath(given[name]) for name in files}  # from wherever it is repeated
        return PastSync(
            self.call.command, self.direction.value, self.location.uri, *name, region, self._now_ns(), 0, 0, given
        )  # fmt: skip

    def _note_end(self, place: Workplace) -> None:
        if self._noted is not None and not self._stopped:
            counts = self.result.counts
            problems = len(self.result.problems) or counts[Status.FAILED.value] + counts[Status.CANCELLED.value]
            place.note_sync(self._noted._replace(ended_ns=self._now_ns(), problems=problems))

    def _ended(self) -> None:
        if self.call.repeats is not None:
            self.result.notes.insert(0, self.call.repeats.told)
        if self.options.save and self.result.error is None and isinstance(self.result, SyncPlan):
            try:
                self.result.save(self.options.save)
                todo = self.result.counts[Status.PLANNED.value]
                self.result.notes.append(f"saved to {self.options.save}: {todo:,} to do")
            except NbsyncError as error:
                self.result.error = error

    def _conclude(self, found: Names, place: Workplace, tally: Tally) -> None:
        """Carry renames of case or form alone, record how LOCAL spells what was synced, and that the run has ended."""
        tally.recorder.finish()
        if found.folding and not self.cancel.is_set():
            found.settle(tally.recorder, self._scan(), carry=self.direction is Direction.PULL)
        self._note_end(place)

    def _actions(
        self, found: Names, remote: Iterator[RemoteEntry], state: State, place: Workplace, tally: Tally
    ) -> Iterator[Action]:
        """Every Action of the run, settled or to do, as the join brings them."""
        policy = decide.Policy(
            self.direction, self.options.delete, self.options.compare, self.options.overwrite_remote,
            self.options.existing, self.options.ignore_existing, self._admits, self._reaches,
            len(self.location.prefix.encode()),
        )  # fmt: skip
        self._seen, gone = 0, list[str]()  # on both sides
        remote = without_too_long(remote, self.root) if self.direction is Direction.PULL else remote
        remote = remote if self.call.limits.repositories else map(_outside_repositories, remote)
        joined, ours = found.join(self._scan(), remote, state.rows(), state.spelled), place.unheard()
        for one in known_again(joined, ours) if ours else joined:
            self._count_source(one)
            action = decide.decide(one, policy)
            if action is not None and action.verb is Verb.DOWNLOAD and one.local is None and not place.is_new:
                action = self._look_there(one, action, policy)
            action = self._held(one, action)
            if action is not None:
                yield action
            elif one.local is None and one.remote is None and self._admits(one.path) and not self.as_planned:
                gone.append(one.path)
        for path in gone:
            tally.recorder.forget(path)
        yield from self._rest()
        self.board.listing_done = True

    def _settled_all(self) -> bool:
        """Is every path that REMOTE or LOCAL has as it should be, and recorded?"""
        if self.cancel.is_set() or self.as_planned or self.options.filters or self._listed is not None:
            return False
        return not any(self.result.counts[one.value] for one in (Status.FAILED, Status.CONFLICT, Status.CANCELLED))

    def _held(self, one: Joined, action: Action | None) -> Action | None:
        """What is done of an Action that was decided; None: nothing."""
        return action

    def _rest(self) -> Iterator[Action]:
        """What is left to say of paths that neither side has."""
        return iter(())

    def _look_there(self, one: Joined, action: Action, policy: decide.Policy) -> Action | None:
        """The Action, decided anew if something stands at its path that the scan did not show, or must be kept."""
        folder = os.path.join(self.root, one.path)
        try:
            at = os.lstat(folder)
        except (OSError, ValueError):
            return action
        if not stat.S_ISDIR(at.st_mode):
            return decide.clashing(action)
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
        unread = isinstance(source, LocalEntry) and source.kind is Kind.UNREADABLE_FOLDER
        if unread and self.execution is not None and self._reaches(source.path):
            self.execution.distrust(f"{source.path} could not be read")

    def _source_guard(self) -> NbsyncError | None:
        place = self.location.uri if self.direction is Direction.PULL else self.local
        allowed = self.options.allow_empty_source
        return guard.empty_source(self.direction.value, place, self._seen, delete=self.options.delete, allowed=allowed)

    def _note(self, bucket: Bucket, place: Workplace, state: State) -> None:
        notes, rows = self.result.notes, self.result.files
        if self._waited_for:
            notes.append(f"another nbsync run ({self._waited_for}) was at work here: this one waited for it")
        verbs = {row.action for row in rows if row.status != Status.CANCELLED.value}
        can = bucket.can
        if Verb.UPLOAD.value in verbs and not can.conditional_put and not can.wrote_unconditionally:
            notes.append("conditional PUT is unproven on this server: best effort")
        if Verb.DELETE_REMOTE.value in verbs and not can.conditional_delete and not can.wrote_unconditionally:
            notes.append("conditional DELETE is unproven on this server: best effort")
        notes += bucket.can.notes()
        if self._workforce is not None:
            notes += [note for note in self._workforce.notes if note not in notes]
        if state.fresh and any(row.reason == decide.NEVER_SYNCED for row in rows):
            notes.append(f"{NO_RECORD} of an earlier sync with this REMOTE: others' changes could not be told")
        self._note_filters()
        if place.room is not None:
            why = "replaced or deleted" if self.options.delete else "replaced"
            note_trash(self.result, place.room, f"{why} by this run", self.options.trash_days)
        hits = self.result.counts[Status.HIT.value]
        if bucket.customer_key is not None and self.direction is Direction.PUSH and hits:
            notes.append(f"up to date, so not sent under your key (SSE-C), whatever they are encrypted with: {hits:,}")


def _check_keys(location: Location) -> None:
    """Would a pull of the bucket take what a push stores there?

    Raises:
        UsageError: it would not.
    """
    refusal = names.refusal("/".join(filter(None, location.prefix.split("/"))) or "-")
    if refusal:
        hint = "Push to another prefix"
        raise UsageError(f"{location.uri} {refusal}: no pull of the bucket would take what is stored there", hint)


def _without(actions: Iterator[Action], settled: frozenset[str]) -> Iterator[Action]:
    return (action for action in actions if printable(action.path) not in settled)


def _outside_repositories(entry: RemoteEntry) -> RemoteEntry:
    """The entry, refused if git or Mercurial would run what it says."""
    if entry.refused or not names.is_repository(entry.path):
        return entry
    return entry._replace(refused="is in .git or .hg, which a link does not bring: git and Mercurial run what is there")


def _nearest(path: str) -> str:
    """The nearest parent of `path` that is there."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path
