"""What a panel does, without a widget: a Session plans and applies, a Controller takes commands and moves it.

`poll` moves either, in one thread at a time. `cancel` and `receive` may be called from any.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from nbsync.api.job import SyncJob
from nbsync.api.lookup import Questions
from nbsync.api.ticker import INTERVAL, move, ticker_here
from nbsync.core.call import Call
from nbsync.core.model import Row, Snapshot
from nbsync.errors import Interrupted, NbsyncError, UsageError
from nbsync.panel import form, messages
from nbsync.panel.table import Query, Table
from nbsync.report import view
from nbsync.results.sync_result import SyncPlan, SyncResult

STATES = ("idle", "planning", "planned", "applying", "done", "cancelled", "failed")
BUSY = ("planning", "applying")
_LOOKS = ("plan", "verify")  # commands that change nothing


class Session:
    """What was planned and done, one job at a time.

    Attributes:
        state: one of STATES.
        table: the plan's rows, and how they ended.
        plan: what `apply` picks from; None before there is one.
        result: of the job that ended last.
        snapshot: of the job that runs, or ran last.
        message, tone: what to tell, in one line; `tone` is info, good, warn or bad.

    Args:
        start: begins a job.
    """

    def __init__(self, start: Callable[[Call], SyncJob]) -> None:
        self._start = start
        self.state = "idle"
        self.table = Table()
        self.plan: SyncPlan | None = None
        self.result: SyncResult | None = None
        self.job: SyncJob | None = None
        self.snapshot: Snapshot | None = None
        self.message, self.tone = "", "info"
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
        self.table.load(())
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

    def adopt(self, job: SyncJob) -> None:
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

    def _run(self, job: SyncJob, state: str, message: str) -> None:
        self.job, self.state, self._taken = job, state, 0
        self.snapshot = job.progress.snapshot()
        self.tell(message)

    def _take(self, rows: Sequence[Row]) -> None:
        if rows:
            self._taken += len(rows)
            self.table.take(rows)

    def _end(self, job: SyncJob) -> None:
        try:
            result = self.result = job.result
        except Exception as error:  # the run blew up: a bug, which must not go on in the kernel's loop
            self.state = "failed"
            self.tell(str(NbsyncError(f"internal error: {type(error).__name__}: {error}")), "bad")
            return
        if self.state == "planning":
            self.plan = result if isinstance(result, SyncPlan) and result.error is None else None
            self.table.load(result.files, choice=self.plan is not None)
        elif self.plan is None:  # somebody else's job
            self.table.load(result.files)
        else:
            result.local = self.plan.local  # as the user wrote it; a plan applies to the absolute path
            self.table.take(result.files)
            self.table.select(self.table.query)
        if isinstance(result.error, Interrupted):
            self.state = "cancelled"
        elif result.error is not None:
            self.state = "failed"
        else:
            self.state = "planned" if self.plan is result else "done"
        self.tell(*messages.told(result))


Reply = dict[str, Any]  # to the front end


class Face(Protocol):
    """Where a panel is filled in and shown: the widget. It has an attribute for each setting, which it checks."""

    direction: str
    remote: str
    local: str

    @property
    def class_name(self) -> str: ...

    def publish(self) -> None:
        """Show how everything stands now."""

    def send(self, reply: Reply, /) -> None: ...


class Controller:
    """Moves a panel: does what was asked for, takes in what the job did, and has it shown.

    On the event loop that runs where it is made; without one, whoever calls `wait` or `poll` moves it.

    Attributes:
        session: the plan, the job and the table.
        stale: what is to be synced was changed after the plan.
        questions: what was asked of buckets and disks.

    Args:
        face: where it is filled in and shown.
        obey: does what a message of the front end says, and gives the replies.
        start: begins a job.
        options: those that have no field.
        now: monotonic seconds.
        interval: seconds between two looks at the job.
    """

    id = 0
    is_watched = False

    def __init__(
        self, face: Face, obey: Callable[[Controller, Any], list[Reply]], *, start: Callable[[Call], SyncJob],
        options: Mapping[str, Any], now: Callable[[], float] = time.monotonic, interval: float = INTERVAL,
    ) -> None:  # fmt: skip
        self.face = face
        self.session = Session(start)
        self.stale = False
        self.questions = Questions(self._wake)
        self._obey, self._options = obey, options
        self._now, self._interval = now, interval
        self._messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._is_moving = threading.Lock()
        self._news = threading.Event()
        self._looked_at = float("-inf")
        self._ticker = ticker_here()

    def plan(self) -> None:
        """Begin to compare both sides; nothing is changed. Raises UsageError, as `Session.begin_plan`."""
        self._begin(lambda: self.session.begin_plan(self.call()))
        self.stale = False
        self._go_on()

    def apply(self) -> None:
        """Begin to do what is ticked. Raises UsageError, as `Session.begin_apply`; also if the plan is stale."""
        if self.stale:
            raise UsageError("the settings have changed since the plan", "Plan again")
        self._begin(self.session.begin_apply)
        self._go_on()

    def adopt(self, job: SyncJob) -> None:
        """Show a job that somebody else began."""
        self.session.adopt(job)
        snapshot = self.session.snapshot
        if snapshot is not None:
            self.face.direction = snapshot.direction if snapshot.direction in ("pull", "push") else "pull"
            self.face.remote, self.face.local = snapshot.remote, snapshot.local
            self.stale = False
        self._go_on()

    def cancel(self) -> None:
        """Stop what runs. Any thread may call it."""
        self.session.cancel()
        self._wake()

    def wait(self, timeout: float | None) -> None:
        """Move the panel here until its job has ended.

        Raises:
            TimeoutError: it has not, in so many seconds.
        """

        def ended() -> bool:
            return self.poll() or not self.session.busy

        def rest(seconds: float) -> None:
            self._news.wait(seconds)
            self._news.clear()

        late = "the panel's job has not ended yet; it goes on"
        move(ended, rest, timeout=timeout, now=self._now, interval=self._interval, late=late)

    def tick(self, paths: Iterable[str], on: bool) -> None:
        """Tick rows by path, or take their ticks away.

        Raises:
            UsageError: no such row, or a job runs.
        """
        if self.session.busy:
            raise UsageError("ticks cannot be changed while a job runs", "Wait for it, or cancel it")
        try:
            self.session.table.tick_paths(paths, on)
        except KeyError as error:
            raise UsageError(f"the table has no row {error}", "Paths are those of its result") from None
        self.face.publish()

    def select(self, query: Query) -> None:
        """Show the rows that fit, in this order."""
        if query != self.session.table.query:
            self.session.table.select(query)
            self.face.publish()

    def settings_changed(self) -> None:
        """A plan, also one that is being made or done, is no longer what the settings say."""
        if self.session.plan is not None or self.session.busy:
            self.stale = True
            self.face.publish()

    def given(self) -> dict[str, Any]:
        """Every option that is given, by name."""
        fields = {name: getattr(self.face, name) for name in form.FIELDS}
        fields["filters"] = form.pairs(fields["filters"])
        return {**self._options, **{name: value for name, value in fields.items() if value}}

    def call(self) -> Call:
        """The call that `plan` makes. Raises UsageError, as `form.plan_call`."""
        return form.plan_call(self.face.direction, self.face.remote, self.face.local, self.given())

    def receive(self, message: Any) -> None:
        """In any thread: take a message of the front end, to be obeyed at the next move; a `cancel` at once."""
        self._messages.put(message)
        if isinstance(message, Mapping) and message.get("do") == "cancel":
            self.session.cancel()
        self._wake()

    @property
    def done(self) -> bool:
        """Is there nothing more to come?"""
        return not self.session.busy and not self.questions.pending

    def poll(self) -> bool:
        """Obey what was received, take in what the job did, and show it; True if there is nothing more to come."""
        if not self._is_moving.acquire(blocking=False):
            return False  # another thread waits on the panel, and moves it
        try:
            replies: list[Reply] = []
            while not self._messages.empty():
                replies += self._obey(self, self._messages.get())
            for answer in self.questions.answers():
                kind, view, what = answer.topic
                replies.append({"kind": kind, "view": view, "what": what, "value": answer.value, "error": answer.error})
            self._look_at_job()
            self.face.publish()
            for reply in replies:
                self.face.send(reply)
            return self.done
        except Exception as error:  # never into the loop, which would only log it
            self.session.tell(str(NbsyncError(f"internal error: {type(error).__name__}: {error}")), "bad")
            with contextlib.suppress(Exception):
                self.face.publish()
            return not self.session.busy
        finally:
            self._is_moving.release()

    def _look_at_job(self) -> None:
        """But not for each message that comes: rows that are asked for would bring more."""
        if self._now() - self._looked_at >= 0.9 * self._interval:  # a tick may come a little early
            self._looked_at = self._now()
            self.session.poll()

    def _begin(self, begin: Callable[[], None]) -> None:
        try:
            begin()
        except NbsyncError as error:
            self.session.fail(error)
            self.face.publish()
            raise

    def _go_on(self) -> None:
        self.face.publish()
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        if self._ticker is not None:
            self._ticker.wake(self)
