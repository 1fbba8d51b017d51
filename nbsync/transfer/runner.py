"""Actions -> Outcomes: worker threads, a bounded queue, as many at once as the controller says. Emits, never prints.

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
from nbsync.transfer.control import Controller
from nbsync.transfer.worker import Worker

T = TypeVar("T")

QUEUE_LENGTH = 2_000
_LOOK_SECONDS = 0.003
_LAST_WORDS_SECONDS = 1.0


class Runner(Generic[T]):
    """Runs `do(worker, action)` for each submitted Action, in any order.

    Args:
        make_worker: makes the hands of one thread, in that thread.
        do: what to do; what it raises ends the run, see `failure`.
        controller: how many at once; the run's.
        cancel: set to stop.
        abort: called when a worker's failure ends the run: lets nobody wait for an answer any more.
    """

    def __init__(
        self,
        make_worker: Callable[[], Worker],
        do: Callable[[Worker, Action], T],
        *,
        controller: Controller,
        cancel: threading.Event,
        abort: Callable[[], None],
    ) -> None:
        self._make_worker, self._do, self._cancel, self._abort = make_worker, do, cancel, abort
        self._todo: queue.SimpleQueue[Action | None] = queue.SimpleQueue()
        self._done: deque[T] = deque()
        self._workers: list[Worker] = []
        self._threads: list[threading.Thread] = []
        self._unfinished = 0  # submitted and not drained; the owner's thread only
        self._controller, self._gate = controller, controller.gate
        controller.begin()
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
        self._controller.tick(self._todo.qsize(), self._wire_bytes)
        while len(self._threads) < min(self._gate.limit, self._unfinished):
            self._start_thread()

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
        """Bytes that have arrived so far, with those that an earlier run had brought. Any thread may ask."""
        return sum(worker.slot.moved + worker.slot.kept for worker in tuple(self._workers))

    def _wire_bytes(self) -> int:
        return sum(worker.slot.moved for worker in tuple(self._workers))

    def _work(self) -> None:
        worker = self._make_worker()
        self._workers.append(worker)
        try:
            while (action := self._todo.get()) is not None and self.failure is None:
                with self._gate:
                    self._done.append(self._do(worker, action))
                self._controller.done += 1
        except BaseException as error:
            self.failure = error
            self._cancel.set()
        finally:
            worker.close()
