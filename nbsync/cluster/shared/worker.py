"""A shared worker does a batch, with a bucket, credentials and a context of its own, in LOCAL's state directory.

Runs in the worker's process, in whichever thread the backend calls; one session a run and process, kept for its
next batches. A thread of the session looks some times a second whether the run still goes on.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from nbsync._version import __version__, install
from nbsync.cluster.backends.remote_call import where
from nbsync.cluster.shared.resume_check import done_before
from nbsync.core.location import Location
from nbsync.core.model import Action, Outcome
from nbsync.core.options import Options
from nbsync.errors import ClusterError, NbsyncError
from nbsync.local import lease
from nbsync.local.lease import Claim, Lease
from nbsync.local.record import RemoteName
from nbsync.local.scan import check_encoding
from nbsync.local.shared_dir import SharedJournal, SharedStateDir
from nbsync.s3.bucket import Bucket
from nbsync.transfer.concurrency import Controller, files_left
from nbsync.transfer.context import Context
from nbsync.transfer.rate_limiter import Limiter
from nbsync.transfer.runner import Runner
from nbsync.transfer.small_files import SmallFiles
from nbsync.transfer.worker import Worker

_LOOK_SECONDS = 0.2  # with the time to stop less than lease.SEEN_SECONDS


class JobSpec(NamedTuple):
    """What a worker must know of a run. No credentials: it finds its own, as any nbsync on its machine does.

    `version` is that of the coordinator's nbsync, `endpoint` where its requests go: a worker for which one of them
    differs is not fit. `unconditional` is what the coordinator has learnt of the bucket: see s3.capabilities.
    """

    version: str
    run_lease: Lease
    root: str
    place: str
    run: str
    location: Location
    prefix: str
    endpoint: str
    options: Options
    unconditional: str = ""


class Reply(NamedTuple):
    """What a worker has done of a batch."""

    outcomes: list[Outcome]
    requests: dict[str, int]
    seconds: float
    notes: list[str]
    worker: str
    failure: NbsyncError | None = None  # what ended the whole run


def check(spec: JobSpec) -> None:
    """Is this worker fit for the run? Nothing is asked of the service yet.

    Raises:
        ClusterError: it does not see LOCAL, or may not write there. ConfigError: it has no credentials.
    """
    session = _session(spec)
    probe = os.path.join(session.stage, f"{spec.run_lease.staged()}-0")  # a push has its notes there
    try:
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        os.unlink(probe)
    except OSError as error:
        raise ClusterError(f"it cannot write in {session.stage}: {error.strerror}", "Check its user") from None
    found = session.ctx.bucket.endpoint
    if found != spec.endpoint:
        hint = "Give --endpoint-url and --region, or the same AWS configuration"
        raise ClusterError(f"its requests would go to {found}, and this machine's to {spec.endpoint}", hint)


def perform(spec: JobSpec, number: int, actions: Sequence[Action], bandwidth: int, again: bool) -> Reply:
    """Do the Actions of a batch.

    Args:
        number: the batch's, of which there is none other in this run.
        bandwidth: this worker's share of the run's, bytes a second: it changes as workers come and go; 0: no limit.
        again: a worker that was lost may have done some of it.

    Raises:
        NbsyncError, OSError: the session cannot be opened.
    """
    started = time.monotonic()
    session = _session(spec)
    with session.lock:
        session.ctx.limiter.rate = bandwidth
        outcomes, failure = session.perform(number, actions, again)
        requests = session.requests()
    return Reply(outcomes, requests, time.monotonic() - started, session.ctx.bucket.can.notes(), where(), failure)


class LeasePermission:
    """The permission of a worker: the run's lease is there, and so is the claim on the batch under way. Any thread.

    Looks at most every 0.2 s. Once it is lost, it stays so.

    Args:
        now: monotonic seconds.

    Attributes:
        hold: the claim on the batch under way; None between two of them.
    """

    def __init__(self, stage: str, run_lease: Lease, now: Callable[[], float] = time.monotonic) -> None:
        self._stage, self._permit, self._now = stage, run_lease, now
        self.hold: Claim | None = None
        self._looked_at = -_LOOK_SECONDS
        self._lost = False

    def lasts(self) -> bool:
        """Does the run go on, with this worker at its batch?"""
        now = self._now()
        if not self._lost and now - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = now
            self._lost = not self._is_there()
        return not self._lost

    def _is_there(self) -> bool:
        hold = self.hold
        if not lease.holds(self._stage, self._permit):
            return False
        return hold is None or hold.lasts() or hold is not self.hold


class Session:
    """One run in one process."""

    def __init__(self, spec: JobSpec) -> None:
        self._spec = spec
        self.stage = os.path.join(spec.place, "stage")
        cancel, options = threading.Event(), spec.options
        controller = Controller(options.jobs, files=files_left())
        bucket = Bucket(spec.location, options, wait=cancel.wait, on_slow_down=controller.slow_down)
        bucket.can.unconditional = spec.unconditional
        remote = RemoteName(spec.endpoint, spec.location.bucket, spec.prefix)
        self._permission = LeasePermission(self.stage, spec.run_lease)
        self.ctx = Context(
            bucket, spec.root, options, spec.prefix, SharedStateDir(spec.root, spec.place, spec.run),
            Limiter(options.bandwidth, cancel.wait), cancel, controller=controller,
            journal=SharedJournal(self.stage, spec.run_lease, remote), staged_as=spec.run_lease.staged(),
            stopped=lambda: True, permission=self._permission,
        )  # fmt: skip
        self.lock = threading.Lock()  # held while a batch is performed
        self._over = False  # set under the lock: a batch that waited for it is not begun any more
        self._counted: dict[str, int] = {}
        self._runner: Runner[Outcome] | None = None  # of batches that are done the first time: kept for its connections
        self._at_work: tuple[Claim, Runner[Outcome], int] | None = (
            None  # the runner of that, the bytes that it had moved before
        )
        threading.Thread(target=self._watch, name="nbsync-shared-worker", daemon=True).start()

    def perform(self, number: int, actions: Sequence[Action], again: bool) -> tuple[list[Outcome], NbsyncError | None]:
        """The outcomes of a batch, and what ended the run, if something did. One batch at a time."""
        if self._over:
            return [], None
        hold = self._permission.hold = Claim(self.stage, self._spec.run_lease, number)
        try:
            if not hold.lasts():
                return [], None  # the coordinator takes this worker for lost
            again = again or not hold.is_first
            if again:  # the worker that had it before may be at it still, and must see that it has lost its claim
                self.ctx.cancel.wait(lease.SEEN_SECONDS)
            return self._perform(hold, actions, again)
        finally:
            self._permission.hold = self._at_work = None
            hold.close()

    def _perform(self, hold: Claim, actions: Sequence[Action], again: bool) -> tuple[list[Outcome], NbsyncError | None]:
        if again or self._runner is None:
            runner = self._make_runner(again)
            self._runner = self._runner if again else runner
        else:
            runner = self._runner
        self._at_work = hold, runner, runner.bytes_moved()
        outcomes: list[Outcome] = []
        for action in actions:
            runner.submit(action)
            outcomes += runner.drain()
        outcomes += runner.finish() if again else runner.settle()
        failure = runner.failure
        if failure is not None and not again:
            outcomes += runner.finish()
            self._runner = None
        if failure is not None and not isinstance(failure, NbsyncError):
            failure = NbsyncError(f"internal error: {type(failure).__name__}: {failure}")
        return outcomes, failure

    def requests(self) -> dict[str, int]:
        """Those that were sent since the last time that this was asked, by kind."""
        before, self._counted = self._counted, self.ctx.bucket.counts.snapshot()
        return {kind: count - before.get(kind, 0) for kind, count in self._counted.items()}

    def _make_runner(self, again: bool) -> Runner[Outcome]:
        ctx = self.ctx

        def do(worker: Worker, action: Action) -> Outcome:
            return worker.resume(action, done_before) if again else worker.perform(action)

        runner: Runner[Outcome] = Runner(
            lambda: Worker(ctx), do, controller=ctx.controller, cancel=ctx.cancel, abort=ctx.bucket.client.abort
        )
        if not again:
            runner.small_files = SmallFiles(ctx, done=runner.ended, hand_over=runner.hand_over)
        return runner

    def _watch(self) -> None:
        """Until the session is over: look whether the permission lasts, and note how far the batch is."""
        while not self.ctx.cancelled():
            self.ctx.cancel.wait(_LOOK_SECONDS * 1.1)
            at_work = self._at_work
            if at_work is not None:
                hold, runner, before = at_work
                active = [(one.path, one.verb.value, one.done, one.size) for one in runner.active()[:4]]
                progress = {"moved": runner.bytes_moved() - before, "active": active}
                hold.tell(progress)
        with _opening:
            if _sessions.get(self._spec.run_lease.id) is self:
                del _sessions[self._spec.run_lease.id]
        with self.lock:  # what is under way ends by itself now
            self._over = True
            if self._runner is not None:
                list(self._runner.finish())
            self.ctx.bucket.client.close()
            if self.ctx.state_dir is not None:
                self.ctx.state_dir.close()


_sessions: dict[str, Session] = {}  # by lease
_opening = threading.Lock()


def _session(spec: JobSpec) -> Session:
    with _opening:
        session = _sessions.get(spec.run_lease.id)
        if session is None:
            check_encoding(sys.getfilesystemencoding())
            if spec.version != __version__:
                wanted = f"{install(version=spec.version)} there"
                raise ClusterError(f"it has nbsync {__version__}, and not {spec.version}", wanted)
            if not lease.holds(os.path.join(spec.place, "stage"), spec.run_lease):
                hint = "--spread shared needs a file system that all mount at the same path; --spread each needs none"
                raise ClusterError(f"it does not see {spec.root} as the machine does that began the run", hint)
            session = _sessions[spec.run_lease.id] = Session(spec)
        return session


def _forget_sessions() -> None:
    """In a process that was forked: the parent's sessions, and its lock, are of no use here."""
    global _opening  # noqa: PLW0603 (a lock that was held at the fork is never given back)
    _sessions.clear()
    _opening = threading.Lock()


os.register_at_fork(after_in_child=_forget_sessions)
