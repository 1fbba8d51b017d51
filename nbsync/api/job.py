"""SyncJob: a run under way. The run has its own thread; its progress moves in the thread that polls or waits.

If a background job is begun where an event loop runs (a notebook's kernel), a ticker moves it on that loop, and no
other thread does. See `nbsync.api.ticker`.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Generator, Sequence
from typing import Any

from nbsync.api.meter import Meter
from nbsync.api.progress import SyncProgress
from nbsync.api.run_thread import RunThread
from nbsync.api.runs import run_of
from nbsync.api.ticker import INTERVAL, Ticker, move, move_async
from nbsync.core.call import Call
from nbsync.core.model import Row, Snapshot
from nbsync.engine.ports import Run
from nbsync.report.jobs import job_html, job_summary, job_text
from nbsync.results import display
from nbsync.results.sync_result import SyncResult

_begun: weakref.WeakSet[SyncJob] = weakref.WeakSet()  # whose threads were started


class SyncJob(display.Displayed):
    """One command under way. `await job` and `job.wait()` give its result.

    Attributes:
        call: the command.
        id: the number of a background job, as `%s3sync jobs` shows it; 0 for any other.
        progress: the run's state as traits. They change, and observers are called, in the thread that calls `wait`
            or `poll`; for a background job on the event loop that ran when it was begun.

    Args:
        call: the command.
        after: begin when this job has ended; not at all if it was stopped or refused.
        at_once: begin now; else `wait` begins. So a caller has the job before Ctrl-C can come between.
        now: monotonic seconds.
        perform: does another call, for the result's `retry` and a plan's `apply`.

    Raises:
        UsageError: the call makes no sense.
    """

    def __init__(
        self, call: Call, *, after: SyncJob | None = None, at_once: bool = True,
        now: Callable[[], float] = time.monotonic, perform: Callable[[Call], SyncResult] | None = None,
    ) -> None:  # fmt: skip
        self.id = 0
        self.ticker: Ticker | None = None
        run = run_of(call, threading.Event())
        run.result.perform = perform
        self.call = run.call  # what is repeated is known now
        before_it = f"background sync {after.id}" if after is not None and after.id else "the sync"
        before = after._thread if after is not None else None
        self._thread: RunThread = RunThread(run, now, after=before, before_it=before_it)
        self._meter = Meter(now)
        self._now = now
        self._moving = threading.Lock()
        self._watchers: list[Callable[[], bool | None]] = []
        self.progress = SyncProgress()
        self.progress.apply(self.look())
        if at_once:
            self._begin()

    def _begin(self) -> None:
        _begun.add(self)
        self._thread.begin()

    def _leave_to_parent(self) -> None:
        """In a forked process: nothing is touched that a thread of the parent may hold."""
        self._thread.leave_to_parent()
        self._moving, self._watchers, self.ticker = threading.Lock(), [], None

    @property
    def _run(self) -> Run:
        return self._thread.run

    @property
    def done(self) -> bool:
        """Has the run ended?"""
        return self._thread.ended.is_set()

    @property
    def state(self) -> str:
        """The run's state, one of `nbsync.api.progress.STATES`."""
        return self._run.board.state

    @property
    def answered(self) -> bool:
        """Has REMOTE given its first answer?"""
        return self._run.board.answered

    @property
    def endpoint(self) -> str:
        """The service's `scheme://host:port/path`; empty before it is known, and for an undo."""
        return self._run.endpoint

    @property
    def result(self) -> SyncResult:
        """The result. Waits for the end; an error that ended the run early is the result's `error`, and not raised."""
        if not self.poll():
            self._wait(None, None, INTERVAL)
        return self._run.result

    @property
    def ok(self) -> bool:
        """Has the run ended well?"""
        return self.done and self._run.result.ok

    @property
    def counts(self) -> dict[str, int]:
        """Files by status, so far."""
        return dict(self._run.board.counts)

    @property
    def exit_code(self) -> int:
        """The result's exit code; 0 while the run goes on."""
        return self._run.result.exit_code if self.done else 0

    def to_dict(self) -> dict[str, Any]:
        """The job's state as a JSON document in the contract's style."""
        self.poll()
        names = ("command", "direction", "remote", "local", "state", "counts", "files_done", "files_total",
                 "bytes_done", "bytes_total", "seconds")  # fmt: skip
        error = self._run.result.error if self.done else None
        document = {"id": self.id, **{name: getattr(self.progress, name) for name in names}}
        return {**document, "error": str(error)} if error is not None else document

    def poll(self) -> bool:
        """Bring the progress up to date; True when the run has ended.

        If an event loop moves the job, a call in another thread changes nothing.
        """
        self._thread.abandon_if_stuck()
        ended = self.done
        # One thread at a time writes the progress; an observer that polls is in it already.
        if self._is_moved_elsewhere() or not self._moving.acquire(blocking=False):
            return ended
        try:
            self.progress.apply(self.look())
        finally:  # also when a user's observer failed
            try:
                for watcher in tuple(self._watchers):
                    wants_more = watcher()
                    if ended and not wants_more:
                        self._watchers.remove(watcher)
            finally:
                self._moving.release()
        return ended

    def rows(self, start: int) -> Sequence[Row]:
        """The rows from number `start`, in the order they came, while the run goes on; none once it has ended."""
        return () if self.done else self._run.result.files[start:]

    def watch(self, watcher: Callable[[], bool | None]) -> None:
        """Call `watcher` each time that the progress was moved, in the thread that moves it.

        After the run has ended, it is called only as long as it returns True: it has more to do.
        """
        self._watchers.append(watcher)

    @property
    def is_watched(self) -> bool:
        """Has a watcher more to do?"""
        return bool(self._watchers)

    def wait(
        self, timeout: float | None = None, *, tick: Callable[[Snapshot], None] | None = None,
        interval: float = INTERVAL,
    ) -> SyncResult:  # fmt: skip
        """The result, once the run has ended; until then the progress moves. An interrupt stops only the waiting.

        Args:
            timeout: seconds; None waits for ever.
            tick: called with a snapshot, about every `interval` seconds and once at the end.
            interval: seconds.

        Raises:
            TimeoutError: the run has not ended in time; it goes on.
            NbsyncError: a background job with `strict` has ended with problems.
        """
        self._wait(timeout, tick, interval)
        return self._final()

    def _wait(self, timeout: float | None, tick: Callable[[Snapshot], None] | None, interval: float) -> None:
        def poll() -> bool:
            ended = self._pump()
            if tick is not None:
                tick(self.progress.snapshot())
            return ended

        self._begin()
        late = "the sync has not ended yet; it goes on"
        move(poll, self._thread.ended.wait, timeout=timeout, now=self._now, interval=interval, late=late)

    def __await__(self) -> Generator[Any, None, SyncResult]:
        """The result, once the run has ended. Cancelling the waiting does not stop the job.

        Raises: as `wait`.
        """
        return self._finished().__await__()

    async def _finished(self) -> SyncResult:
        self._begin()
        await move_async(self._pump)
        return self._final()

    def _pump(self) -> bool:
        """Move this job, and those that the same event loop would move now; True when this one has ended."""
        if self.ticker is not None and not self._is_moved_elsewhere():
            self.ticker.pump()
        return self.poll()

    def _is_moved_elsewhere(self) -> bool:
        return self.ticker is not None and self.ticker.runs_elsewhere()

    def _final(self) -> SyncResult:
        if self._thread.crash is not None:
            raise self._thread.crash
        result = self._run.result
        if self.id and self.call.options.strict:
            result.raise_for_problems()
        return result

    def cancel(self) -> None:
        """Stop the run within a second; what was done is kept. Any thread may call it."""
        self._thread.stop()

    def look(self) -> Snapshot:
        """The run's state at this moment; moves nothing."""
        return self._meter.look(self._run, self._thread.began)

    def __repr__(self) -> str:
        number = f"{self.id} " if self.id else ""
        return f"<SyncJob {number}{self.call.command} {self._run.result.remote or self._run.local}: {self.state}>"


def _leave_to_parent() -> None:
    for job in tuple(_begun):
        job._leave_to_parent()
    _begun.clear()


os.register_at_fork(after_in_child=_leave_to_parent)


@display.text.register
def _(job: SyncJob) -> str:
    return display.text(job.result) if job.done else job_text(job.look(), job.id)


@display.html.register
def _(job: SyncJob) -> str:
    return display.html(job.result) if job.done else job_html(job.look(), job.id)


display.summary.register(SyncJob, job_summary)
