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
from typing import Generic, Protocol, TypeVar

from nbsync.core.model import Action, Active
from nbsync.transfer.concurrency import Controller
from nbsync.transfer.context import Activity
from nbsync.transfer.worker import Worker

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class SmallFilePath(Protocol):
    """What takes small files past the workers; `nbsync.transfer.small_files.SmallFiles` is one."""

    activity: Activity
    failure: BaseException | None

    def takes(self, action: Action) -> bool: ...

    def put(self, action: Action) -> None: ...

    def end(self) -> None: ...


class AnyRunner(Protocol[T_co]):
    """Runs the Actions of one phase of a run, here or elsewhere; see Runner for what each does."""

    failure: BaseException | None

    @property
    def full(self) -> bool: ...

    def submit(self, action: Action) -> None: ...

    def drain(self) -> Iterator[T_co]: ...

    def finish(self) -> Iterator[T_co]: ...

    def active(self) -> tuple[Active, ...]: ...

    def bytes_moved(self) -> int: ...


QUEUE_LENGTH = 2_000
_LOOK_SECONDS = 0.003
_LAST_WORDS_SECONDS = 1.0


class Runner(Generic[T]):
    """Runs `do(worker, action)` for each submitted Action, in any order; or lets the `small_files` do it.

    Attributes:
        lane: set before the first Action, if there is one; gives to `ended` and `hand_over`.
        failure: what ended the run.

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
        self._todo: queue.SimpleQueue[Callable[[Worker], T] | None] = queue.SimpleQueue()
        self._done: deque[T] = deque()
        self._workers: list[Worker] = []
        self._threads: list[threading.Thread] = []
        self._unfinished = 0  # submitted and not drained; the owner's thread only
        self._controller, self._gate = controller, controller.concurrency
        controller.begin()
        self.small_files: SmallFilePath | None = None
        self.failure: BaseException | None = None

    @property
    def full(self) -> bool:
        """So much is under way that the owner had better take what ended before it submits more."""
        return self._unfinished >= QUEUE_LENGTH

    def submit(self, action: Action) -> None:
        """Queue an Action; does not wait."""
        self._unfinished += 1
        if self.small_files is not None and self.small_files.takes(action):
            self.small_files.put(action)
        else:
            self.hand_over(lambda worker: self._do(worker, action))
            self._start_threads()

    def ended(self, outcome: T) -> None:
        """The lane's: a submitted Action has ended."""
        self._done.append(outcome)

    def hand_over(self, task: Callable[[Worker], T]) -> None:
        """The lane's: a submitted Action that a worker must do."""
        self._todo.put(task)

    def _start_threads(self) -> None:
        """As many as the gate lets through, while there is something to do."""
        while len(self._threads) < self._gate.limit and self._todo.qsize():
            before = len(self._threads)
            if not self._start_thread() or before >= self._todo.qsize():
                break

    def _start_thread(self) -> bool:
        """One more; False if the system starts no more, and there are some."""
        thread = threading.Thread(target=self._work, name=f"nbsync-{len(self._threads)}", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            if not self._threads:
                raise
            return False
        self._threads.append(thread)
        return True

    def drain(self) -> Iterator[T]:
        """What has ended since the last call; waits only while the runner is full."""
        self._tune()
        yield from self._ended()
        while self.full and self.failure is None:
            self._pause()
            yield from self._ended()

    def settle(self) -> Iterator[T]:
        """What is still to end, as it ends; threads and connections wait for more."""
        yield from self._ended()
        while self._unfinished and self.failure is None:
            self._pause()
            yield from self._ended()

    def finish(self) -> Iterator[T]:
        """What is still to end, as it ends; then the threads have ended too."""
        yield from self.settle()
        if self.failure is not None:
            self._drop_queue()
        if self.small_files is not None:
            self.small_files.end()
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
        if self.small_files is not None and self.small_files.failure is not None:
            self._fail(self.small_files.failure)
        self._controller.tick(self._todo.qsize(), self._wire_bytes)
        self._start_threads()

    def active(self) -> tuple[Active, ...]:
        """What is on its way now, oldest worker first. Any thread may ask."""
        found = []
        for activity in self._slots():
            path = activity.path
            if path:
                found.append(Active(path, activity.verb, activity.done, activity.size))
        return tuple(found)

    def bytes_moved(self) -> int:
        """Bytes that have arrived so far, with those that an earlier run had brought. Any thread may ask."""
        return sum(activity.moved + activity.kept for activity in self._slots())

    def _wire_bytes(self) -> int:
        return sum(activity.moved for activity in self._slots())

    def _work(self) -> None:
        worker = self._make_worker()
        self._workers.append(worker)
        try:
            while (task := self._todo.get()) is not None and self.failure is None:
                with self._gate:
                    self._done.append(task(worker))
                self._controller.done += 1
        except BaseException as error:
            self._fail(error)
        finally:
            worker.close()

    def _fail(self, error: BaseException) -> None:
        self.failure = self.failure or error
        self._cancel.set()

    def _slots(self) -> list[Activity]:
        slots = [worker.activity for worker in tuple(self._workers)]
        return [self.small_files.activity, *slots] if self.small_files is not None else slots
