"""How much is on its way at once: the one gate of a run, and the controller that widens and narrows it. Any thread.

What is counted is requests with data under way. The worker of a file has one slot while it is at it; each
thread that helps it with a part of a large file takes a slot of its own for that part. So large and small
files share what there is, and nobody who holds a slot waits for another.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable

START_WORKERS = 4
MAX_WORKERS = 128
WIDTH = 256  # requests for small files that one thread carries at once
_FILES_EACH = 4  # that a worker may have open: its connection, what it reads or stages, its folder
_NO_LIMIT = 1 << 20


class ConcurrencyLimit:
    """Lets at most `limit` threads through at once; the limit may change at any time."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.waiting = 0  # threads that would go through if they could
        self._inside = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        self.enter(unless=_never)

    def __exit__(self, *_: object) -> None:
        self.leave()

    def enter(self, *, unless: Callable[[], bool]) -> bool:
        """Take a slot as soon as there is one; False, without a slot, once `unless` says so (see `wake`)."""
        with self._changed:
            self.waiting += 1
            try:
                while self._inside >= self.limit and not unless():
                    self._changed.wait()
                if unless():
                    self._changed.notify()  # whoever was woken instead of us
                    return False
                self._inside += 1
            finally:
                self.waiting -= 1
        return True

    def try_enter(self) -> bool:
        """Take a slot if there is one."""
        with self._changed:
            if self._inside >= self.limit:
                return False
            self._inside += 1
        return True

    def leave(self) -> None:
        """Give a slot back."""
        with self._changed:
            self._inside -= 1
            self._changed.notify()

    def set(self, limit: int) -> None:
        """From now on, let `limit` through."""
        with self._changed:
            self.limit = limit
            self._changed.notify_all()

    def wake(self) -> None:
        """Let those who wait ask their `unless` again."""
        with self._changed:
            self._changed.notify_all()


class Controller:
    """Sets the gate of one run: finds how many at once help, and gives way to a service that asks for less.

    It doubles while the processors idle and the rate grows, else steps back: on loopback, where a request
    costs CPU and no time, more threads only fight for the interpreter lock; across an ocean, hundreds of
    requests must be under way. When the service asks for less it halves, and then takes one more each
    second until it is where it was (additive increase, multiplicative decrease:
    https://www.rfc-editor.org/rfc/rfc5681#section-3.1).

    Args:
        jobs: never more than so many at once, and so many from the start; 0: found out while running.
        files: how many files and connections this process may still open: never more at once than these allow.
        now: monotonic seconds. cpu: CPU seconds of this process.
    """

    INTERVAL_SECONDS = 0.15
    BUSY = 0.75  # of one processor: the interpreter lock is the narrow place
    GAIN = 1.1
    FILE_BYTES = 256 * 1024  # what moves in about the time that a request takes by itself
    SLOW_SECONDS = 1.0  # one burst of refusals: requests that were on their way when the first one came
    RECOVER_SECONDS = 1.0

    def __init__(
        self,
        jobs: int = 0,
        *,
        files: int = _NO_LIMIT,
        now: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.process_time,
    ) -> None:
        # Without --jobs, a quarter is for connections of small files, half for workers, and a quarter for all else.
        allowed = max(1, files // _FILES_EACH)
        self.most = min(jobs, allowed) if jobs else min(MAX_WORKERS, max(1, allowed // 2))
        self.concurrency = ConcurrencyLimit(min(jobs or START_WORKERS, self.most))
        self.is_bound = bool(jobs)  # the sum of all requests, those for small files too, takes the gate's slots
        self._searching = not jobs
        self._now, self._cpu = now, cpu
        self._at, self._cpu_at, self._work_at = now(), cpu(), 0.0
        self._best_rate = 0.0
        self._hold = 0  # intervals to wait before the next attempt to grow
        self._goal = 0  # where the limit was when the service asked for less; 0: it does not
        self._slowed_at = self._grown_at = now() - self.SLOW_SECONDS
        self._lock = threading.Lock()
        self.width = self.most if jobs else min(WIDTH, allowed)  # small files at once, beside those of the gate
        self._widest = self.width
        self.done = 0  # files, roughly: workers count without a lock

    def begin(self) -> None:
        """Another phase of the run: its files and bytes are counted anew, and compare with no earlier rate."""
        with self._lock:
            self._at, self._cpu_at = self._now(), self._cpu()
            self.done, self._work_at, self._best_rate, self._hold = 0, 0.0, 0.0, 0

    def tick(self, waiting: int, moved_bytes: Callable[[], int]) -> None:
        """Look at the last interval, if it is over, and set the gate. Only the run's thread calls it.

        Args:
            waiting: Actions in the queue.
            moved_bytes: asked for what went over the wire in this phase, in all.
        """
        now = self._now()
        seconds = now - self._at
        if seconds < self.INTERVAL_SECONDS:
            return
        cpu, work = self._cpu(), self.done + moved_bytes() / self.FILE_BYTES
        busy, rate = (cpu - self._cpu_at) / seconds, (work - self._work_at) / seconds
        self._at, self._cpu_at, self._work_at = now, cpu, work
        wanted = bool(waiting or self.concurrency.waiting)
        with self._lock:
            if self.width < self._widest and now - self._slowed_at >= self.RECOVER_SECONDS:
                self.width = min(self._widest, self.width + max(1, self._widest // 100))
            if self._goal:
                self._recover(now, wanted)
            elif self._searching:
                self._search(rate, wanted and busy < self.BUSY)

    def _search(self, rate: float, may_grow: bool) -> None:
        if self._hold:
            self._hold -= 1
            return
        limit = self.concurrency.limit
        if may_grow and rate >= self._best_rate * self.GAIN and limit < self.most:
            self._best_rate = rate
            self.concurrency.set(min(limit * 2, self.most))
        elif rate < self._best_rate * 0.7:
            self._hold, self._best_rate = 10, rate

    def _recover(self, now: float, wanted: bool) -> None:
        if not wanted or now - max(self._slowed_at, self._grown_at) < self.RECOVER_SECONDS:
            return
        self._grown_at = now
        self.concurrency.set(self.concurrency.limit + 1)
        if self.concurrency.limit >= (self._goal if self._searching else self.most):
            self._goal = 0
            self._hold, self._best_rate = 10, 0.0

    def slow_down(self) -> None:
        """The service asked for less: half as many at once. Once for all refusals of one burst."""
        with self._lock:
            now = self._now()
            if now - self._slowed_at < self.SLOW_SECONDS:
                return
            self._slowed_at = now
            self._goal = self.concurrency.limit if self.concurrency.limit > 1 else max(self._goal, 2)
            self.concurrency.set(max(1, self.concurrency.limit // 2))
            self.width = max(1, self.width // 2)


def files_left() -> int:
    """How many more files and connections this process may open: macOS allows a shell's 256 in all."""
    if sys.platform == "win32":
        return _NO_LIMIT
    import resource

    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if not 0 <= most < _NO_LIMIT:  # RLIM_INFINITY is negative on Linux
        return _NO_LIMIT
    try:
        return max(0, most - len(os.listdir("/dev/fd")))
    except OSError:
        return most // 2


def _never() -> bool:
    return False
