"""SyncJob: a run under way. The run has its own thread; progress moves in the thread that polls or waits."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from nbsync.core.model import Row, Snapshot
from nbsync.engine.apply import Apply
from nbsync.engine.base import BaseRun
from nbsync.engine.run import Run
from nbsync.engine.undo import Undo
from nbsync.engine.verify import Verify
from nbsync.options import Call
from nbsync.progress import SyncProgress
from nbsync.result import SyncResult

_RUNS: dict[str, type[BaseRun] | type[Undo]] = {
    "pull": Run, "push": Run, "plan": Run, "apply": Apply, "verify": Verify, "undo": Undo,
}  # fmt: skip
_PATIENCE = 0.5  # seconds
_RATE_SECONDS = 5.0  # the rate shown is that of the last seconds


class SyncJob:
    """One command under way.

    Attributes:
        progress: the run's state as traits; moves, and tells its observers, in the thread that calls
            `wait` or `poll`.

    Args:
        call: what to do.
        now: monotonic seconds.

    Raises:
        UsageError: the call makes no sense.
    """

    def __init__(self, call: Call, *, now: Callable[[], float] = time.monotonic) -> None:
        self._cancel = threading.Event()
        self._run = _RUNS[call.command](call, self._cancel)
        self._now = now
        self._started = now()
        self._marks: deque[tuple[float, int]] = deque([(self._started, 0)])
        self._ended = threading.Event()
        self._cancelled_at = 0.0
        self._crash: BaseException | None = None
        self.progress = SyncProgress()
        self.progress.apply(self._snapshot())
        self._thread = threading.Thread(target=self._work, name="nbsync-run", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            self._run.execute()
        except BaseException as error:
            self._crash = error
        finally:
            self._ended.set()

    @property
    def done(self) -> bool:
        """Has the run ended?"""
        return self._ended.is_set()

    @property
    def result(self) -> SyncResult:
        """What it came to. Waits for the end; a refusal is the result's `error`, not raised."""
        return self.wait()

    def poll(self) -> bool:
        """Take in what happened since the last time; True when the run has ended."""
        self._abandon_if_stuck()
        ended = self._ended.is_set()
        self.progress.apply(self._snapshot())
        return ended

    def rows(self, start: int) -> Sequence[Row]:
        """The rows from number `start`, as they came, while the run goes on; all of them are in its result."""
        return () if self.done else self._run.result.files[start:]

    def wait(
        self, timeout: float | None = None, *, tick: Callable[[Snapshot], None] | None = None, interval: float = 0.2
    ) -> SyncResult:
        """Keep progress moving until the run has ended; then its result.

        Args:
            timeout: seconds; None waits for ever.
            tick: called with a snapshot, about every `interval` seconds and once at the end.
            interval: seconds.

        Raises:
            TimeoutError: it has not ended in time; it goes on.
        """
        deadline = None if timeout is None else self._now() + timeout
        while True:
            left = interval if deadline is None else min(interval, max(0.0, deadline - self._now()))
            self._ended.wait(left)
            ended = self.poll()
            if tick is not None:
                tick(self.progress.snapshot())
            if ended:
                break
            if deadline is not None and self._now() >= deadline:
                raise TimeoutError("the sync has not ended yet; it goes on")
        if self._crash is not None:
            raise self._crash
        return self._run.result

    def cancel(self) -> None:
        """Stop within a second; what was done is kept. Any thread may call it."""
        self._cancelled_at = self._cancelled_at or self._now()
        self._run.stop()

    def _abandon_if_stuck(self) -> None:
        """A run that was told to stop while it asks for credentials, which nothing can interrupt, is left to itself.

        It has changed nothing yet, and ends by itself before it does.
        """
        if self._cancelled_at and self._run.board.state == "starting" and self._now() - self._cancelled_at > _PATIENCE:
            self._run.abandon()
            self._ended.set()

    def _snapshot(self) -> Snapshot:
        run, board = self._run, self._run.board
        runner = run.runner
        seconds = self._now() - self._started
        moved = runner.bytes_moved() if runner is not None else 0
        rate = self._rate(moved)
        left = board.bytes_total - moved
        eta = left / rate if board.listing_done and rate > 0 and left > 0 else None
        return Snapshot(
            command=run.call.command, remote=run.result.remote, local=run.local, state=board.state,
            counts=dict(board.counts), listing_done=board.listing_done, files_done=board.files_done,
            files_total=board.files_total, bytes_done=moved, bytes_total=board.bytes_total, rate=rate,
            eta_seconds=eta, seconds=seconds, active=runner.active() if runner is not None else (),
            problems=board.problems, requests=run.requests(), direction=run.call.direction,
        )  # fmt: skip

    def _rate(self, moved: int) -> float:
        now = self._now()
        self._marks.append((now, moved))
        while len(self._marks) > 2 and now - self._marks[0][0] > _RATE_SECONDS:
            self._marks.popleft()
        then, before = self._marks[0]
        elapsed = now - then
        return max(0.0, (moved - before) / elapsed) if elapsed > 0 else 0.0

    def __repr__(self) -> str:
        state = self.progress.state
        return f"<SyncJob {self._run.call.command} {self._run.result.remote}: {state}>"
