"""One node as the coordinator sees it: its workers, which of them runs its pull, and what is known of that.

Used by the run's thread alone. A worker that dies takes its run with it; another one of the node begins it again,
and the state on that node's disk makes most of it hits. What the first one had reported as moved or deleted is
listed beside what the second one finds.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Sequence
from typing import NamedTuple

from nbsync.cluster.backends.base import Backend, BackendLost, Task, WorkerLost
from nbsync.cluster.per_node import node_run
from nbsync.cluster.per_node.mount_identity import MountIdentity
from nbsync.cluster.per_node.node_run import End, Report
from nbsync.core.call import Call
from nbsync.core.model import Active, Row, Status
from nbsync.errors import ClusterError, Interrupted, NbsyncError

MAX_ATTEMPTS = 4  # so many workers may die on one node's pull: then the pull is taken for the cause
_KEEP_SECONDS = node_run.PATIENCE_SECONDS / 5
_KEPT = (Status.MISS.value, Status.DELETED.value)


class LostAttempt(NamedTuple):
    """What a worker had reported of its run when it was lost. `rows`: of files that it had moved or deleted."""

    worker: str
    rows: list[Row]
    requests: dict[str, int]

    @property
    def bytes(self) -> int:
        """Bytes that it had moved, as far as it had reported."""
        return moved(self.rows)


class Node:
    """One node, whose pull is to be run once.

    Attributes:
        identity: its LOCAL.
        workers: those of its workers that live, as far as is known.
        report: the newest of the run under way.
        end: the end of its run; `error` where it is not known.
        rows: of the run under way.
        lost: the runs of workers that were lost.
        lost_at: when the last one was.

    Args:
        call: what its workers are to do.
        now: monotonic seconds.
        interval: seconds between two questions.
    """

    def __init__(
        self, backend: Backend, identity: MountIdentity, call: Call, *, now: Callable[[], float], interval: float
    ) -> None:
        self._backend, self.identity, self._call, self._now, self._interval = backend, identity, call, now, interval
        self.workers: list[str] = []
        self.worker = ""
        self.report: Report | None = None
        self.end: End | None = None
        self.error: NbsyncError | None = None
        self.notes: list[str] = []
        self.lost_at = 0.0
        self.rows: list[Row] = []
        self.lost: list[LostAttempt] = []
        self._attempts = 0
        self._lost_by = ""  # why it has to be begun again
        self._job_id = uuid.uuid4().hex  # a worker that seemed lost goes on with its run
        self._task: Task | None = None
        self._sent_at = self._due = 0.0
        self._stopped = False

    @property
    def ended(self) -> bool:
        """Is there nothing more to come?"""
        return self.end is not None or self.error is not None

    @property
    def is_alone(self) -> bool:
        """Is there something to do, and no worker left to do it?"""
        return not self.workers and not self.ended

    @property
    def requests(self) -> dict[str, int]:
        """What all attempts have sent."""
        now = self.report.requests if self.report is not None else {}
        return add(now, *(one.requests for one in self.lost))

    @property
    def earlier_rows(self) -> list[Row]:
        """What was moved or deleted by workers that were lost."""
        return [row for one in self.lost for row in one.rows]

    @property
    def active(self) -> tuple[Active, ...]:
        """What is on its way now."""
        return self.report.active if self.report is not None and not self.ended else ()

    def step(self) -> list[Row]:
        """The rows that are new; begins, asks or takes an answer, and does not wait.

        Raises:
            BackendLost.
        """
        if self.ended:
            return []
        if not self.worker and not self._begin():
            return []
        task = self._task
        if task is None:
            if self._now() >= self._due:
                self._send(node_run.ask, self._job_id, len(self.rows))
            return []
        if not task.done():
            self._keep()
            return []
        self._task = None
        return self._take(task)

    def _begin(self) -> bool:
        """Let the next worker begin; False if there is none, or no sense in it."""
        if self._stopped:
            self.error = Interrupted("stopped before it could be begun again")
        elif self._attempts >= MAX_ATTEMPTS:
            self.error = ClusterError(f"{self._attempts} workers died while they were at it", "Look into their logs")
        if self.error is not None or not self.workers:
            return False
        self.worker = self.workers[0]
        self._attempts += 1
        if self._lost_by:
            self.notes.append(f"{self._lost_by}: the pull of {self.identity.name} was begun again by {self.worker}")
        self._send(node_run.begin, self._job_id, self._call)
        return self.worker != ""

    def _send(self, function: Callable[..., object], *args: object) -> None:
        self._sent_at = self._now()
        try:
            self._task = self._backend.submit(function, *args, worker=self.worker)
        except WorkerLost as error:
            self._lose(str(error))

    def _keep(self) -> None:
        """Keep the run going while a question waits for a worker that is busy with something else."""
        if self._now() - self._sent_at > _KEEP_SECONDS:
            self._sent_at = self._now()
            with contextlib.suppress(WorkerLost, BackendLost):  # the next step raises it
                self._backend.interrupt(node_run.keep, self._job_id, worker=self.worker)

    def _take(self, task: Task) -> list[Row]:
        """The new rows in a worker's answer."""
        try:
            report = task.result()
        except WorkerLost as error:
            self._lose(str(error))
            return []
        except BackendLost:
            raise
        except NbsyncError as error:
            self.error = error
            return []
        except Exception as error:
            self.error = ClusterError(f"worker {self.worker} failed: {type(error).__name__}: {error}")
            return []
        if report is None:
            self._lose(f"worker {self.worker} is another process now", is_there=True)
            return []
        self._due = self._now() + (0.0 if len(report.rows) == node_run.ROWS else self._interval)
        if report.resumed:  # it was not lost after all, and tells all of it again
            self.lost = [one for one in self.lost if one.worker != self.worker]
        rows = [row._replace(worker=self.worker) for row in report.rows]
        self.report, self.end = report, report.end
        self.rows += rows
        return rows

    def _lose(self, why: str, *, is_there: bool = False) -> None:
        """Take note that the run is gone, with its worker or without it."""
        self._lost_by = why
        if self.report is not None:
            kept = [row for row in self.rows if row.status in _KEPT]
            self.lost.append(LostAttempt(self.worker, kept, self.report.requests))
        self.workers = [name for name in self.workers if is_there or name != self.worker]
        self.worker, self._task = "", None
        self.lost_at = self._now()
        self.rows, self.report = [], None

    def stop(self) -> None:
        """Let the run stop; its end comes as ever."""
        self._stopped = True
        if self.worker and not self.ended:
            try:
                self._backend.interrupt(node_run.stop, self._job_id, worker=self.worker)
            except (WorkerLost, BackendLost):  # the next step raises it
                return
            self._interval = self._due = 0.0

    def give_up_alone(self) -> None:
        """No worker of the node is left, and none has come."""
        done = len(self.earlier_rows)
        hint = f"Files known to have arrived: {done:,}; run it again to do the rest"
        self.give_up(ClusterError(f"{self._lost_by}, and no other worker is there for this node", hint))

    def give_up(self, error: NbsyncError) -> None:
        """Nothing more is waited for."""
        if not self.ended:
            self.error = error
            if self._task is not None:
                self._task.cancel()


def add(*counts: dict[str, int]) -> dict[str, int]:
    """Sums, name by name."""
    total: dict[str, int] = {}
    for one in counts:
        total |= {name: total.get(name, 0) + count for name, count in one.items()}
    return total


def moved(rows: Sequence[Row]) -> int:
    """The bytes of the files that were moved."""
    return sum(row.bytes for row in rows if row.status == Status.MISS.value)
