"""`pull`, `push`, and the plan of one: what their words say, checked, and the run that does it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from nbsync.core import names
from nbsync.core.call import Call
from nbsync.core.location import Location
from nbsync.core.model import Direction, Status
from nbsync.engine import notes
from nbsync.engine.deciders import Decider, Fresh, rules_of
from nbsync.engine.local_session import LocalSession, in_session
from nbsync.engine.notes import Notes
from nbsync.engine.pipeline import Pipeline, Setup
from nbsync.engine.ports import Workforce
from nbsync.engine.repeat import check_place, resolved
from nbsync.engine.run import Run
from nbsync.engine.source import Sides, sides_of
from nbsync.errors import LocalError, UsageError
from nbsync.local import plan_files
from nbsync.results.sync_result import SyncPlan, SyncResult
from nbsync.s3.bucket import Bucket
from nbsync.transfer.concurrency import Controller, files_left
from nbsync.transfer.headers import common_put_headers

Hire = Callable[[Call], Callable[[], Workforce] | None]


def alone(_call: Call) -> None:
    """Nobody else works for a run."""


def sync(call: Call, cancel: threading.Event, *, now_ns: Callable[[], int] = time.time_ns, hire: Hire = alone) -> Run:
    """The run of a pull or push, or of the plan of one. Call it in the caller's thread: it checks the words.

    Args:
        call: the command with its words.
        cancel: set to stop the run within a second.
        now_ns: the wall clock, ns since the epoch.
        hire: gives, for a call, what opens the workforce that it names; None if it names none. Looks at words alone.

    Raises:
        UsageError: REMOTE, LOCAL or an option does not make sense.
    """
    job = Job(resolved(call), now_ns, hire)

    def body(run: Run) -> None:
        repeats = job.call.repeats
        run.result.notes = [repeats.told] if repeats is not None else []
        bucket = job.open(run)
        check_place(job.call, bucket)
        job.do(
            run,
            bucket,
            Fresh(job.sides, job.sides.scope.admits, rules_of(job.sides, now_ns())),
            Notes(words=run.result.notes),
        )
        job.save(run)

    return job.run(cancel, body)


class Job:
    """A pull or push as its words say it. Made in the caller's thread.

    Args:
        call: as it is to be done: with REMOTE, LOCAL and a direction.
        now_ns: the wall clock, ns since the epoch.
        hire: see sync.

    Raises:
        UsageError: the words make no sense.
    """

    def __init__(self, call: Call, now_ns: Callable[[], int], hire: Hire) -> None:
        self.call, self._options, self._now_ns = call, call.options, now_ns
        self._direction = Direction(call.direction)
        self.sides: Sides = sides_of(call)
        self._dry_run = self._options.dry_run or call.command == "plan"
        self._controller = Controller(self._options.jobs, files=files_left())
        if self._direction.changes_remote:
            _check_keys(self.sides.location)
        common_put_headers(self._options)
        self._hired = hire(call)
        if self._options.save:
            plan_files.check(self._options.save)

    def run(self, cancel: threading.Event, body: Callable[[Run], None]) -> Run:
        """The run of this job, which does `body`."""
        call, sides = self.call, self.sides
        kind = SyncPlan if call.command == "plan" else SyncResult
        result = kind(
            command=call.command, remote=sides.location.uri, local=sides.local, dry_run=self._dry_run,
            direction=call.direction, call=call,
        )  # fmt: skip
        return Run(call, sides.local, result, cancel, body, explain=sides.explain)

    def open(self, run: Run) -> Bucket:
        """The bucket, if LOCAL is what the job needs. No request is sent.

        Raises:
            LocalError: it is not. Others: see Run.open_bucket.
        """
        self._check_local()
        return run.open_bucket(self.sides.location, self._controller.slow_down)

    def _check_local(self) -> None:
        sides, options = self.sides, self._options
        if sides.check_folder():
            return
        above = _nearest(sides.root)
        if not os.path.isdir(above):
            raise LocalError(f"{sides.local} cannot be: {above} is not a directory", "Choose another LOCAL")
        if not self._direction.changes_local and not (options.delete and options.allow_empty_source):
            raise LocalError(f"{sides.local}: no such directory", "Check LOCAL: push is `push LOCAL REMOTE`")

    def do(self, run: Run, bucket: Bucket, decider: Decider, told: Notes) -> None:
        """Do it, with the workforce that the call names; `run.result` is filled.

        Args:
            told: what is to be said already.
        """
        workforce = self._hired() if self._hired is not None else None

        def note_waiting(owner: str) -> None:
            run.board.state, told.waited = "waiting", notes.waited(owner)

        def open_session() -> LocalSession:
            return LocalSession(
                self.sides.root, self.sides.local, self._direction, changes=not self._dry_run, wait=run.wait,
                on_wait=note_waiting, now_ns=self._now_ns, trash_days=self._options.trash_days,
                follow_symlinks=self._options.follow_symlinks,
            )  # fmt: skip

        try:
            if workforce is not None:  # a dry run is done here, but says the same of the workers
                workforce.look()
            setup = Setup(
                run, self.sides, bucket, decider, self._controller, self._dry_run, self._now_ns, workforce, told
            )
            in_session(open_session, lambda place: Pipeline(setup, place).do())
        finally:
            if workforce is not None:
                workforce.close()

    def save(self, run: Run) -> None:
        """Write the plan to the file that the call names, if it names one.

        Raises:
            NbsyncError: it cannot be written.
        """
        if self._options.save and not run.stopped and isinstance(run.result, SyncPlan):
            run.result.save(self._options.save)
            run.result.notes.append(notes.saved(self._options.save, run.result.counts[Status.PLANNED.value]))


def _check_keys(location: Location) -> None:
    """Would a pull of the bucket take what a push stores there?

    Raises:
        UsageError: it would not.
    """
    refusal = names.refusal("/".join(filter(None, location.prefix.split("/"))) or "-")
    if refusal:
        hint = "Push to another prefix"
        raise UsageError(f"{location.uri} {refusal}: no pull of the bucket would take what is stored there", hint)


def _nearest(path: str) -> str:
    """The nearest parent of `path` that is there."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path
