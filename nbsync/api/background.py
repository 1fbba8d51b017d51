"""The background syncs of this process, by number.

Jobs may be begun in any thread. In a notebook that is the kernel's main thread, whose event loop moves them: so
progress, observers and displays have one writer.
"""

from __future__ import annotations

import itertools
import os
import threading
from typing import Any

from nbsync.api.job import SyncJob
from nbsync.api.ticker import ticker_here
from nbsync.errors import UsageError
from nbsync.report.jobs import jobs_html, jobs_text
from nbsync.results import display

_KEPT = 20  # jobs that have ended, and can still be looked up


class SyncJobs(display.Displayed, list[SyncJob]):
    """Background syncs, the oldest first; rich in a notebook."""

    def to_dict(self) -> dict[str, Any]:
        """A JSON document in the contract's style."""
        return {"command": "jobs", "ok": True, "jobs": [job.to_dict() for job in self]}

    def __repr__(self) -> str:
        return display.text(self)


class Background:
    """The background syncs of one process, by number: 1, 2, 3 ... Any thread may use it."""

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget all jobs: in a forked process they are the parent's, and one of its threads may hold the lock."""
        self._numbers = itertools.count(1)
        self._jobs: dict[int, SyncJob] = {}
        self._lock = threading.Lock()

    def begin(self, job: SyncJob) -> SyncJob:
        """`job`, numbered and kept. If an event loop runs in this thread, it moves the job."""
        with self._lock:
            job.id = next(self._numbers)
            self._jobs[job.id] = job
            ended = [number for number, known in self._jobs.items() if known.done]
            for number in ended[:-_KEPT]:
                del self._jobs[number]
        job.ticker = ticker_here()
        if job.ticker is not None:
            job.ticker.add(job)
        return job

    def jobs(self) -> SyncJobs:
        """All jobs under way and the last ones that have ended, the oldest first."""
        with self._lock:
            return SyncJobs(self._jobs.values())

    def find(self, number: str) -> SyncJob:
        """The job with this number.

        Raises:
            UsageError: there is none.
        """
        for job in self.jobs():
            if str(job.id) == number:
                return job
        raise UsageError(f"there is no background sync {number!r}", "jobs lists those that there are")


display.text.register(SyncJobs, jobs_text)
display.html.register(SyncJobs, jobs_html)
BACKGROUND = Background()
os.register_at_fork(after_in_child=BACKGROUND.begin_anew)
