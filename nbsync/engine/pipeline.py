"""One pull or push in its run's thread: list + scan -> join -> decide -> guard -> transfer -> record."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timezone
from typing import NamedTuple

from nbsync.core import decide
from nbsync.core.join import known_again
from nbsync.core.model import Action, Direction, Joined, Status, Verb
from nbsync.core.names import printable
from nbsync.core.saved_options import FILES, repeated_options
from nbsync.engine import notes
from nbsync.engine.deciders import Decider
from nbsync.engine.disk_need import Need
from nbsync.engine.executor import Execution
from nbsync.engine.local_session import LocalSession, note_trash
from nbsync.engine.names import Names
from nbsync.engine.notes import Notes
from nbsync.engine.ports import Workforce
from nbsync.engine.run import Run
from nbsync.engine.source import STANDARD_INPUT, Opened, Remote, Seen, Sides, counted, judged
from nbsync.engine.status_board import OutcomeCounter
from nbsync.engine.workers import LocalWorkers
from nbsync.errors import OutOfOrder
from nbsync.local.action_spool import ActionSpool
from nbsync.local.past_syncs import PastSync
from nbsync.local.record import RemoteName, State
from nbsync.results.sync_result import Place, SyncPlan
from nbsync.s3.bucket import Bucket
from nbsync.transfer.cleanup import clear_away
from nbsync.transfer.concurrency import Controller
from nbsync.transfer.context import Context
from nbsync.transfer.rate_limiter import Limiter


class Setup(NamedTuple):
    """What one sync works with.

    Attributes:
        dry_run: nothing is changed.
        now_ns: the wall clock, ns since the epoch.
        workforce: does what it can of the changing, if there is one.
        notes: what is to be said already before LOCAL is opened.
    """

    run: Run
    sides: Sides
    bucket: Bucket
    decider: Decider
    controller: Controller
    dry_run: bool
    now_ns: Callable[[], int]
    workforce: Workforce | None
    notes: Notes


class Pipeline:
    """A sync in a LOCAL that is its own meanwhile.

    Args:
        place: LOCAL; its lock is held, if there is one yet.
    """

    def __init__(self, setup: Setup, place: LocalSession) -> None:
        self._setup, self._place = setup, place
        self._run, self._sides, self._bucket, self._decider = setup[:4]
        self._call, self._options, self._result = self._sides.call, self._sides.call.options, self._run.result
        self._workforce, self._notes = setup.workforce, copy.copy(setup.notes)
        self._seen = Seen()
        self._noted: PastSync | None = None  # this run as LOCAL remembers it
        self._tally = OutcomeCounter(self._result, self._run.board)

    def do(self) -> None:
        """All of it, from the first request to the last remark."""
        self._run.board.state = "syncing"
        self._notes.remote = notes.remote(self._sides.location)
        try:
            with closing(Remote(self._bucket, self._sides, self._decider.admits)) as remote:
                opened = self._one_that_was(remote.open(single=self._decider.direction.changes_local))
                self._notes.remote = notes.remote(self._sides.location, opened.nothing)
                self._begin(opened)
                self._in_record(remote, opened)
        finally:
            self._notes.waited = self._setup.notes.waited
            self._result.notes = self._notes.told()

    def _one_that_was(self, opened: Opened) -> Opened:
        """The same; both ways, the one object that was synced as REMOTE is still meant when it is deleted."""
        location = self._sides.location
        name = location.single_key.rpartition("/")[2]
        if not opened.nothing or not name or self._decider.direction is not Direction.BOTH:
            return opened
        folder = location.parent().prefix
        state = self._place.open_record(RemoteName(self._bucket.endpoint, location.bucket, folder))
        was_there = state.row(name) is not None
        state.close()
        return Opened(folder, iter(()), name) if was_there else opened

    def _begin(self, opened: Opened) -> None:
        """REMOTE has answered; nothing is decided yet."""
        bucket, result = self._bucket, self._result
        self._run.board.answered = True
        if opened.only:
            result.remote = self._sides.location.uri.rstrip("/")
        if isinstance(result, SyncPlan):
            now = datetime.fromtimestamp(self._setup.now_ns() // 10**9, timezone.utc)
            planned_at = now.strftime("%Y-%m-%dT%H:%M:%SZ")
            result.begin(
                Place(self._sides.root, bucket.endpoint, bucket.region, bucket.profile, planned_at), ActionSpool()
            )
        self._notes.trash_before = self._place.purge_trash(bucket.client.service_time())

    def _in_record(self, remote: Remote, opened: Opened) -> None:
        """Decide and do everything, by what is recorded of REMOTE, and record it."""
        bucket, place, counter = self._bucket, self._place, self._tally
        name = RemoteName(bucket.endpoint, self._sides.location.bucket, opened.prefix)
        state = place.open_record(name)
        remote.page_boundaries.known = state.page_boundaries()
        bucket.can.recall(md5_etags=state.knows_md5_etag())
        found = Names(self._sides.root, self._decider.direction, whole=opened.prefix == self._sides.location.prefix)
        ctx = self._context(opened.prefix)

        def prepare() -> Context:
            counter.recorder.open(place.prepare(), place.clocks)
            if not opened.nothing or self._decider.may_delete:  # a slip is not repeated
                self._noted = self._as_past(name)
                self._notes.place = list(filter(None, [place.note_sync(self._noted)]))
            return replace(ctx, state_dir=place.state_dir, journal=place.open_journal())

        workers = LocalWorkers(ctx, prepare, self._run.show, self._workforce)

        def need() -> Need:
            return Need(ctx.root, (workers.changing or ctx).journal.held_bytes())

        execution = Execution(workers, self._run.board, counter, self._decider, need, self._call.limits)
        complete = False
        try:
            self._execute(execution, found, remote, opened, state)
            self._conclude(found)
            complete = True
            if workers.changing is not None and self._settled_all():
                workers.changing.journal.forget_unconfirmed()
        finally:
            found.close()
            self._end(workers.changing, remote, state, complete=complete)

    def _context(self, prefix: str) -> Context:
        """What the run's workers share before anything is changed."""
        run, place = self._run, self._place
        return Context(
            self._bucket, self._sides.root, self._options, prefix, place.state_dir,
            Limiter(self._options.bandwidth, run.wait), run.cancel, self._setup.dry_run, now_ns=place.file_time_ns,
            controller=self._setup.controller, journal=place.open_journal(), stopped=lambda: run.stopped,
            as_planned=self._decider.as_planned, both_ways=self._decider.direction is Direction.BOTH, holds_doubts=True,
        )  # fmt: skip

    # ---- deciding and doing -------------------------------------------------------------------------

    def _execute(self, execution: Execution, found: Names, remote: Remote, opened: Opened, state: State) -> None:
        """Do all there is to do; twice, if the listing proves not to be in order: all but what is done by then."""
        entries, settled = opened.entries, frozenset[str]()
        while True:
            self._decider.begin(opened.only, state)
            seen = self._seen = Seen(self._sides.scope.listed or ())
            entries = judged(entries, self._sides, self._decider.direction)
            joined = found.join(self._sides.scan(self._decider.direction), entries, state.rows(), state.spelled)
            ours = self._place.unconfirmed()
            joined = known_again(joined, ours) if ours else joined
            actions = self._actions(counted(joined, seen, self._decider.direction, self._sides.scope.reaches))
            if settled:
                actions = _without(actions, settled)
            with closing(ActionSpool()) as early:
                try:
                    execution.run(self._in_turn(actions, remote, early), seen)
                    return
                except OutOfOrder:  # a key that is listed late was taken for absent; from now on, listings are sorted
                    settled = self._tally.begin_again(changed=True)
                    entries = remote.list()

    def _actions(self, joined: Iterator[Joined]) -> Iterator[Action]:
        """Every Action of the run, settled or to do, as the join brings the paths."""
        decider, gone = self._decider, list[str]()  # on both sides
        for one in joined:
            action = decider.decide(one)
            if action is not None:
                yield action
            elif one.local is None and one.remote is None and decider.forgets(one.path):
                gone.append(one.path)
        for path in gone:
            self._tally.recorder.forget(path)
        yield from decider.rest()
        self._run.board.listing_done = True

    def _in_turn(self, actions: Iterator[Action], remote: Remote, early: ActionSpool) -> Iterator[Action]:
        """The same; uploads for want of an object come last, unless all is listed or will be in key order."""
        for action in actions:
            unsure = action.verb is Verb.UPLOAD and action.remote is None
            if unsure and not (self._bucket.can.lists_in_order or remote.page_boundaries.whole):
                early.add(action)
            else:
                yield action
        yield from early

    # ---- the end ------------------------------------------------------------------------------------

    def _conclude(self, found: Names) -> None:
        """Carry renames of case or form alone, record how LOCAL spells what was synced, and that the run has ended."""
        recorder, direction = self._tally.recorder, self._decider.direction
        recorder.finish()
        if found.folding and not self._run.cancel.is_set():
            found.settle(recorder, self._sides.scan(direction), carry=direction.changes_local)
        if self._noted is not None and not self._run.stopped:
            counts = self._result.counts
            problems = len(self._result.problems) or counts[Status.FAILED.value] + counts[Status.CANCELLED.value]
            self._place.note_sync(self._noted._replace(ended_ns=self._setup.now_ns(), problems=problems))

    def _settled_all(self) -> bool:
        """Is every path that REMOTE or LOCAL has as it should be in REMOTE, and recorded?"""
        decider = self._decider
        partial = decider.as_planned or self._sides.scope.is_partial or not decider.direction.changes_remote
        if self._run.cancel.is_set() or partial:
            return False
        return not any(self._result.counts[one.value] for one in (Status.FAILED, Status.CONFLICT, Status.CANCELLED))

    def _end(self, changing: Context | None, remote: Remote, state: State, *, complete: bool) -> None:
        """What is to be done and said however it ended."""
        counter, told = self._tally, self._notes
        if self._workforce is not None:
            self._workforce.dismiss()
            told.workers = self._workforce.notes
        counter.recorder.finish()
        self._place.note_page_boundaries(remote.page_boundaries)
        if changing is not None and (complete or self._run.stopped):
            told.remains = clear_away(changing)
        failure = counter.recorder.failure
        told.files, told.record = counter.met, [*state.notes, *([notes.unrecorded(failure)] if failure else [])]
        self._look_back(told, state)

    def _look_back(self, told: Notes, state: State) -> None:
        """Note what the rows and the service tell of the run."""
        result, can, direction = self._result, self._bucket.can, self._decider.direction
        told.service = [*notes.best_effort(result.files, can), *can.notes()]
        if state.fresh and any(row.reason == decide.NEVER_SYNCED for row in result.files):
            told.protection = [notes.NO_RECORD_OF_REMOTE]
        if not self._decider.as_planned:
            board = self._run.board
            told.filters = notes.filtered(
                self._sides.scope, self._seen, self._seen.in_source(direction), complete=board.listing_done,
                nothing_left=not board.files_total and not any(result.counts.values()),
            )  # fmt: skip
        if self._place.state_dir is not None:
            why = "replaced or deleted by this run" if self._options.delete else "replaced by this run"
            told.trash = note_trash(result, self._place.state_dir, why, self._options.trash_days)
        if self._bucket.customer_key is not None and direction.changes_remote:
            told.key = notes.hits_without_key(result.counts[Status.HIT.value])

    def _as_past(self, name: RemoteName) -> PastSync:
        """This run as it is remembered, once it has begun."""
        call, options = self._call, repeated_options(self._options)
        given = {name: value for name, value in options.items() if name not in call.imposed}
        given.pop("region", None)  # the one that the bucket was found to be in is better
        files = (name for name in FILES if given.get(name, STANDARD_INPUT) != STANDARD_INPUT)
        given |= {name: os.path.abspath(given[name]) for name in files}  # from wherever it is repeated
        region, began_ns = self._bucket.region, self._setup.now_ns()
        return PastSync(call.command, call.direction, self._sides.location.uri, *name, region, began_ns, 0, 0, given)


def _without(actions: Iterator[Action], settled: frozenset[str]) -> Iterator[Action]:
    return (action for action in actions if printable(action.path) not in settled)
