"""Moves the progress of jobs on an event loop, in the thread of that loop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

INTERVAL = 0.2  # seconds: five moves a second


class Moved(Protocol):
    """What a ticker moves: `nbsync.api.job.SyncJob` is one."""

    id: int

    @property
    def done(self) -> bool: ...
    @property
    def is_watched(self) -> bool: ...

    def poll(self) -> bool: ...


class Loop(Protocol):
    """What a ticker needs of an event loop; asyncio's have it."""

    def call_later(self, delay: float, callback: Callable[[], None], /) -> object: ...

    def call_exception_handler(self, context: dict[str, object], /) -> None: ...

    def is_running(self) -> bool: ...


class Ticker:
    """Moves jobs on one event loop until they have ended and been seen. For the loop's thread alone.

    Args:
        loop: a running loop.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._thread = threading.get_ident()
        self._jobs: list[Moved] = []
        self._complained: set[int] = set()  # of jobs, by number

    def runs_elsewhere(self) -> bool:
        """Is another thread than this one at work here? A loop that was stopped or closed moves nothing."""
        return threading.get_ident() != self._thread and self._loop.is_running()

    def add(self, job: Moved) -> None:
        """Move `job` from now on."""
        self._jobs.append(job)
        if len(self._jobs) == 1:
            self._loop.call_later(INTERVAL, self._tick)

    def pump(self) -> None:
        """Move each job once, now."""
        for job in tuple(self._jobs):
            try:
                ended = job.poll()
            except Exception as error:  # a user's observer; the others shall not stand still for it
                ended = job.done
                self._complain(job, error)
            if ended and not job.is_watched and job in self._jobs:
                self._jobs.remove(job)

    def _tick(self) -> None:
        self.pump()
        if self._jobs:
            self._loop.call_later(INTERVAL, self._tick)

    def _complain(self, job: Moved, error: Exception) -> None:
        """Tell of an error once a job, not five times a second."""
        if job.id not in self._complained:
            self._complained.add(job.id)
            message = f"an observer of background sync {job.id} failed"
            self._loop.call_exception_handler({"message": message, "exception": error})
