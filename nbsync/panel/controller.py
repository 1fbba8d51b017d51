"""The state machine of a panel: plan, apply what is ticked, cancel; and the table that shows it. No widget in it.

`poll` moves it, in one thread. `cancel` may be called from any.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from nbsync.api.progress import SyncProgress
from nbsync.core.model import Row, Snapshot
from nbsync.core.options import Call
from nbsync.errors import Interrupted, NbsyncError, UsageError
from nbsync.panel import messages
from nbsync.panel.table import Table
from nbsync.report import view
from nbsync.results.sync_result import SyncPlan, SyncResult

STATES = ("idle", "planning", "planned", "applying", "done", "cancelled", "failed")
BUSY = ("planning", "applying")
_LOOKS = ("plan", "verify")  # commands that change nothing


class Job(Protocol):
    """A run under way; `nbsync.SyncJob` is one."""

    @property
    def progress(self) -> SyncProgress: ...
    @property
    def result(self) -> SyncResult: ...
    def poll(self) -> bool: ...
    def rows(self, start: int) -> Sequence[Row]: ...
    def cancel(self) -> None: ...


class Session:
    """What was planned and done, one job at a time.

    Attributes:
        state: one of STATES.
        table: the plan's rows, and how they ended.
        plan: what `apply` picks from; None before there is one.
        result: of the job that ended last.
        snapshot: of the job that runs, or ran last.
        message, tone: what to tell, in one line; `tone` is info, good, warn or bad.
        changes: counts what has changed in the table.

    Args:
        start: begins a job.
    """

    def __init__(self, start: Callable[[Call], Job]) -> None:
        self._start = start
        self.state = "idle"
        self.table = Table()
        self.plan: SyncPlan | None = None
        self.result: SyncResult | None = None
        self.job: Job | None = None
        self.snapshot: Snapshot | None = None
        self.message, self.tone = "", "info"
        self.changes = 0
        self._taken = 0

    @property
    def busy(self) -> bool:
        """Does a job run?"""
        return self.state in BUSY

    def begin_plan(self, call: Call) -> None:
        """Plan anew; the table is emptied.

        Raises:
            UsageError: a job runs already, or the call makes no sense.
        """
        self._check_free()
        job = self._start(call)
        self.plan = self.result = None
        self._show(())
        self._run(job, "planning", "Comparing both sides …")

    def begin_apply(self) -> None:
        """Do what is ticked, and nothing else.

        Raises:
            UsageError: nothing is planned or ticked, or a job runs.
        """
        self._check_free()
        if self.plan is None:
            raise UsageError("there is no plan to apply", "Plan first")
        only = self.table.ticked()
        if not only:
            raise UsageError("nothing is ticked", "Tick what is to be done")
        job = self._start(self.plan.call_for(only))
        self._run(job, "applying", "")

    def adopt(self, job: Job) -> None:
        """Show a job that somebody else began."""
        snapshot = job.progress.snapshot()
        self._run(job, "planning" if snapshot.command in _LOOKS else "applying", "")
        self.poll()

    def cancel(self) -> None:
        """Stop the job that runs, if one does. Any thread may call it."""
        job = self.job
        if job is not None and self.busy:
            job.cancel()

    def fail(self, error: NbsyncError) -> None:
        """Tell an error that came before a job."""
        self.tell(str(error), "bad")

    def tell(self, message: str, tone: str = "info") -> None:
        """Have this message shown."""
        self.message, self.tone = message, tone

    def poll(self) -> bool:
        """Take in what the job has done since the last time; True while it runs."""
        job = self.job
        if job is None or not self.busy:
            return False
        ended = job.poll()
        self.snapshot = job.progress.snapshot()
        if ended:
            self._end(job)
            return False
        if self.state == "applying":
            self._take(job.rows(self._taken))
        if self.snapshot.state == "waiting":
            self.tell(view.WAITING.capitalize())
        return True

    def _check_free(self) -> None:
        if self.busy:
            raise UsageError(f"the panel is still {self.state}", "Wait for it, or cancel it")

    def _run(self, job: Job, state: str, message: str) -> None:
        self.job, self.state, self._taken = job, state, 0
        self.snapshot = job.progress.snapshot()
        self.tell(message)

    def _take(self, rows: Sequence[Row]) -> None:
        if rows:
            self._taken += len(rows)
            self.table.take(rows)
            self.changes += 1

    def _show(self, rows: Sequence[Row], choice: bool = True) -> None:
        self.table.load(rows, choice)
        self.changes += 1

    def _end(self, job: Job) -> None:
        try:
            result = self.result = job.result
        except Exception as error:  # the run blew up: a bug, which must not go on in the kernel's loop
            self.state = "failed"
            self.tell(str(NbsyncError(f"internal error: {type(error).__name__}: {error}")), "bad")
            return
        if self.state == "planning":
            self.plan = result if isinstance(result, SyncPlan) and result.error is None else None
            self._show(result.files, choice=self.plan is not None)
        elif self.plan is None:  # somebody else's job
            self._show(result.files)
        else:
            result.local = self.plan.local  # as the user wrote it; a plan applies to the absolute path
            self.table.take(result.files)
            self.table.select(self.table.query)
            self.changes += 1
        if isinstance(result.error, Interrupted):
            self.state = "cancelled"
        elif result.error is not None:
            self.state = "failed"
        else:
            self.state = "planned" if self.plan is result else "done"
        self.tell(*messages.told(result))
