"""Actions -> Outcomes: worker threads, a bounded queue, and as many at once as help. Emits, never prints.

The thread that owns the run submits and drains; the workers are daemon threads of ours
(ThreadPoolExecutor is joined at exit and would hang a kernel's restart).
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from nbsync.core.model import Action, Active
from nbsync.transfer.worker import Worker

T = TypeVar("T")

QUEUE_LENGTH = 2_000
_LOOK_SECONDS = 0.003
_LAST_WORDS_SECONDS = 1.0
START_WORKERS = 4
MAX_WORKERS = 128


class Runner(Generic[T]):
    """Runs `do(worker, action)` for each submitted Action, in any order.

    Args:
        make_worker: makes the hands of one thread, in that thread.
        do: what to do; what it raises ends the run, see `failure`.
        jobs: how many at once; 0: found out while running.
        cancel: set to stop.
        abort: called when a worker's failure ends the run: lets nobody wait for an answer any more.
        now: monotonic seconds. cpu: CPU seconds of this process.
    """

    def __init__(
        self,
        make_worker: Callable[[], Worker],
        do: Callable[[Worker, Action], T],
        *,
        jobs: int,
        cancel: threading.Event,
        abort: Callable[[], None],
        now: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.process_time,
    ) -> None:
        self._make_worker, self._do, self._cancel, self._abort = make_worker, do, cancel, abort
        self._todo: queue.SimpleQueue[Action | None] = queue.SimpleQueue()
        self._done: deque[T] = deque()
        self._workers: list[Worker] = []
        self._threads: list[threading.Thread] = []
        self._unfinished = 0  # submitted and not drained; the owner's thread only
        self._gate = Gate(jobs or START_WORKERS)
        self._tuner = None if jobs else Tuner(self._gate, now=now, cpu=cpu)
        self.failure: BaseException | None = None

    @property
    def full(self) -> bool:
        """So much is under way that the owner had better take what ended before it submits more."""
        return self._unfinished >= QUEUE_LENGTH

    def submit(self, action: Action) -> None:
        """Queue an Action; does not wait."""
        self._unfinished += 1
        if len(self._threads) < min(self._gate.limit, self._unfinished):
            self._start_thread()
        self._todo.put(action)

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._work, name=f"nbsync-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def drain(self) -> Iterator[T]:
        """What has ended since the last call; waits only while the runner is full."""
        self._tune()
        yield from self._ended()
        while self.full and self.failure is None:
            self._pause()
            yield from self._ended()

    def finish(self) -> Iterator[T]:
        """What is still to end, as it ends; then the threads have ended too."""
        yield from self._ended()
        while self._unfinished and self.failure is None:
            self._pause()
            yield from self._ended()
        self._gate.open()
        if self.failure is not None:
            self._drop_queue()
        for _ in self._threads:
            self._todo.put(None)
        if self.failure is not None:  # what others were about to finish counts too
            self._abort()
            for thread in self._threads:
                thread.join(_LAST_WORDS_SECONDS)
            self._unfinished = len(self._done)
            yield from self._ended()

    def _drop_queue(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._todo.get_nowait()

    def _ended(self) -> Iterator[T]:
        while self._done:
            self._unfinished -= 1
            yield self._done.popleft()

    def _pause(self) -> None:
        # Looking now and then costs less than being woken for every file: a wake-up is a fight for the GIL.
        time.sleep(_LOOK_SECONDS)
        self._tune()

    def _tune(self) -> None:
        if self._tuner is None:
            return
        self._tuner.tick(self._todo.qsize())
        while len(self._threads) < min(self._gate.limit, self._unfinished):
            self._start_thread()

    def slow_down(self) -> None:
        """The service asked for less: half as many at once."""
        if self._tuner is not None:
            self._tuner.slow_down()

    def active(self) -> tuple[Active, ...]:
        """What is on its way now, oldest worker first. Any thread may ask."""
        found = []
        for worker in tuple(self._workers):
            slot = worker.slot
            path = slot.path
            if path:
                found.append(Active(path, slot.verb, slot.done, slot.size))
        return tuple(found)

    def bytes_moved(self) -> int:
        """Bytes on the wire so far. Any thread may ask."""
        return sum(worker.slot.moved for worker in tuple(self._workers))

    def _work(self) -> None:
        worker = self._make_worker()
        self._workers.append(worker)
        try:
            while (action := self._todo.get()) is not None and self.failure is None:
                with self._gate:
                    self._done.append(self._do(worker, action))
                if self._tuner is not None:
                    self._tuner.done += 1
        except BaseException as error:
            self.failure = error
            self._cancel.set()
        finally:
            worker.close()


class Gate:
    """Lets at most `limit` threads through at once; the limit may change at any time."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._inside = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            while self._inside >= self.limit:
                self._changed.wait()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify()

    def set(self, limit: int) -> None:
        """From now on, let `limit` through."""
        with self._changed:
            self.limit = limit
            self._changed.notify_all()

    def open(self) -> None:
        """Let everyone through: the run is over."""
        self.set(1 << 30)


class Tuner:
    """Finds how many at once help: doubles while the processors idle and the rate grows, else steps back.

    On loopback, where a request costs CPU and no time, more threads only fight for the interpreter
    lock; across an ocean, hundreds of requests must be under way. Both look the same to a user.
    """

    INTERVAL_SECONDS = 0.15
    BUSY = 0.75  # of one processor: the interpreter lock is the narrow place
    GAIN = 1.1

    def __init__(self, gate: Gate, *, now: Callable[[], float], cpu: Callable[[], float]) -> None:
        self._gate, self._now, self._cpu = gate, now, cpu
        self._at, self._cpu_at, self._done_at = now(), cpu(), 0
        self._best_rate = 0.0
        self._hold = 0  # intervals to wait before the next attempt to grow
        self._ceiling = MAX_WORKERS
        self.done = 0  # roughly: workers count without a lock

    def tick(self, waiting: int) -> None:
        """Look at the last interval, if it is over, and set the gate. `waiting` Actions are in the queue."""
        now = self._now()
        seconds = now - self._at
        if seconds < self.INTERVAL_SECONDS:
            return
        busy = (self._cpu() - self._cpu_at) / seconds
        rate = (self.done - self._done_at) / seconds
        self._at, self._cpu_at, self._done_at = now, self._cpu(), self.done
        if self._hold:
            self._hold -= 1
            return
        limit = self._gate.limit
        if waiting and busy < self.BUSY and rate >= self._best_rate * self.GAIN and limit < self._ceiling:
            self._best_rate = rate
            self._gate.set(min(limit * 2, self._ceiling))
        elif rate < self._best_rate * 0.7:
            self._hold, self._best_rate = 10, rate

    def slow_down(self) -> None:
        """Halve, and stay there for a while."""
        limit = max(1, self._gate.limit // 2)
        self._ceiling = max(START_WORKERS, limit)
        self._hold, self._best_rate = 20, 0.0
        self._gate.set(limit)
