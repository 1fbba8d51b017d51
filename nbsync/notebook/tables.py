"""The live tables of background syncs: each goes on living in the output of the cell that began it.

A table is drawn where the progress of its job is moved: on the kernel's event loop, or in the kernel's main
thread while a cell waits; never in a worker. All tables together send at most ten messages a second.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from nbsync.api.follow import INTERVAL
from nbsync.report.html_page import result_html
from nbsync.report.ipython import Output, bundle_of
from nbsync.report.jobs import job_html, job_text, job_title
from nbsync.report.text_page import result_text
from nbsync.results import display

if TYPE_CHECKING:
    from nbsync.api.job import SyncJob

MOST = 10  # messages a second, of all tables
_UPDATES = 7  # of them, for tables that change; the others are for those that end, and for the ends of cells


class Shown(Protocol):
    """Shows background syncs."""

    def open(self, job: SyncJob, show: str) -> None:
        """`job` has begun, in this cell."""

    def again(self, job: SyncJob) -> None:
        """Show `job` in this cell, too."""

    def end_of_cell(self) -> None:
        """A cell has ended: bring all up to date."""


class _Table:
    """One job's display, and when it was drawn."""

    def __init__(self, job: SyncJob, show: str, output: Output) -> None:
        self.job, self.show, self.output = job, show, output
        self.drawn_at = 0.0

    def bundle(self) -> dict[str, str]:
        """The live picture, or the finished table."""
        if self.job.done:
            return bundle_of(result_html(self.job.result, self.show), result_text(self.job.result, self.show))
        snapshot, number = self.job.progress.snapshot(), self.job.id
        return bundle_of(job_html(snapshot, number), job_text(snapshot, number))


class Tables:
    """The tables in one notebook. Used in the kernel's main thread.

    Args:
        display: IPython's `display`, or a fake of it.
        clock: seconds.
    """

    def __init__(
        self, *, display: Callable[..., Any] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._display, self._clock = display, clock
        self._live: dict[int, _Table] = {}  # by the job's number
        self._finished: list[_Table] = []  # since the last cell ended
        self._sent: deque[float] = deque(maxlen=MOST)
        self._cell_ends = False

    def open(self, job: SyncJob, show: str) -> None:
        """Give `job` a table in this cell."""
        table = _Table(job, show, Output(self._display))
        self._live[job.id] = table
        self._draw(table)
        job.watch(lambda: self._look(table))

    def again(self, job: SyncJob) -> None:
        """Show the table of `job` in this cell, too: after a reload, a page no longer knows the first one."""
        table = self._live.get(job.id)
        if table is None:
            self.open(job, "changed")
            return
        self._note_sent(table)
        table.output.draw_again(table.bundle())

    def end_of_cell(self) -> None:
        """Draw every table once more, so that the saved notebook has its last state.

        Also those that were finished in between: nbclient passes over what the event loop sends while a cell
        of another number runs (with ipykernel 7).
        """
        self._cell_ends = True
        try:
            for table in tuple(self._live.values()):
                with contextlib.suppress(Exception):  # of a user's observer; the event loop tells of it
                    table.job.poll()
        finally:
            self._cell_ends = False
        finished, self._finished = self._finished, []
        for table in finished:
            self._draw(table)

    def _look(self, table: _Table) -> bool:
        """Draw `table` if it is time to; True until it is finished."""
        if self._live.get(table.job.id) is not table:
            return False
        lately = sum(moment > self._clock() - 1 for moment in self._sent)
        if table.job.done and (lately < MOST or self._cell_ends):
            del self._live[table.job.id]
            if not self._cell_ends:
                self._finished.append(table)
            self._draw(table)
            return False
        if table.job.done:
            return True
        pause = max(INTERVAL, len(self._live) / _UPDATES)
        if lately < _UPDATES + 1 and (self._cell_ends or self._clock() - table.drawn_at >= pause):
            self._draw(table)
        return True

    def _draw(self, table: _Table) -> None:
        self._note_sent(table)
        table.output.draw(table.bundle())

    def _note_sent(self, table: _Table) -> None:
        table.drawn_at = self._clock()
        self._sent.append(table.drawn_at)


class Lines:
    """A line when a sync begins and one when it has ended, for IPython in a terminal: as a shell tells of its jobs."""

    def __init__(self) -> None:
        self._open: list[SyncJob] = []

    def open(self, job: SyncJob, show: str) -> None:
        """Say that `job` has begun."""
        self._open.append(job)
        print(f"background sync {job.id} has begun: {job_title(job)}\n"
              f"  %s3sync jobs tells how it goes; its value has wait() and cancel()")  # fmt: skip

    def again(self, job: SyncJob) -> None:
        """Nothing: a terminal keeps what was printed."""

    def end_of_cell(self) -> None:
        """Say which have ended since the last cell."""
        for job in tuple(self._open):
            if job.done:
                self._open.remove(job)
                print(f"background sync {job.id} has ended: {display.line(job.result)}")


TABLES = Tables()
LINES = Lines()
