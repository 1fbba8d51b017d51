"""A backend: workers of somebody else's, to which functions are sent. One small protocol for all backends.

The thread that owns the run submits; a Task may end in any thread.
"""

from __future__ import annotations

import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future, InvalidStateError
from typing import Any

from nbsync.cluster.backends import remote_call


class WorkerLost(Exception):
    """The worker of this task died or is gone: what it did is not known. Another one may do it again."""


class BackendLost(Exception):
    """The backend itself is gone, with all that was under way: scheduler, controller, pool."""


class Task(Future[Any]):
    """What `submit` gives: a Future that ends with the function's value or error, WorkerLost or BackendLost.

    `cancel` always ends it, at once; what runs already may go on unconfirmed.

    Attributes:
        worker: the name of the worker that does it, or did it, as a table shows it; empty while that is open.
    """

    def __init__(self, worker: str = "") -> None:
        super().__init__()
        self.worker = worker
        self.withdraw: Callable[[], object] | None = None  # asks the backend to drop it

    def result(self, timeout: float | None = None) -> Any:
        """The function's value.

        Raises: what it raised; TimeoutError: it has not ended in so many seconds.
        """
        try:
            return super().result(timeout)
        except futures.TimeoutError:  # before Python 3.11, another one than the builtin
            if self.done():
                raise
            raise TimeoutError from None

    def cancel(self) -> bool:
        """End it as cancelled; False if it has ended already."""
        if not super().cancel():
            return False
        if self.withdraw is not None:
            with contextlib.suppress(Exception):  # the backend may be gone
                self.withdraw()
        return True

    def end(self, packed: bytes) -> None:
        """The worker has answered."""
        try:
            ok, value, place = remote_call.reply(packed)
        except Exception as error:
            self.fail(RuntimeError(f"its answer cannot be read: {type(error).__name__}: {error}"))
            return
        self.worker = self.worker or place
        if ok:
            self.give(value)
        else:
            self.fail(value)

    def give(self, value: object) -> None:
        """It has ended with `value`."""
        with contextlib.suppress(InvalidStateError):  # it was cancelled meanwhile
            self.set_result(value)

    def fail(self, error: BaseException) -> None:
        """It has ended with `error`; an interrupt or exit there is no reason for one here."""
        if not isinstance(error, Exception):
            error = WorkerLost(f"its worker was ended: {type(error).__name__}")
        with contextlib.suppress(InvalidStateError):
            self.set_exception(error)


class Backend(ABC):
    """Workers that functions are sent to.

    Attributes:
        name: `dask://HOST:PORT`, `ipyparallel:PROFILE`, or the executor's class.
        can_pin: may a task be sent to one worker by its name?
    """

    name: str
    can_pin: bool

    @abstractmethod
    def workers(self) -> list[str]:
        """The names of the workers that there are now, as tables show them; of a pool, made up for their number.

        Raises:
            BackendLost.
        """

    def submit(self, function: Callable[..., Any], *args: Any, worker: str = "") -> Task:
        """Call a module-level `function` of nbsync's on a worker: any that has time, or the one that is named.

        Function, arguments, value and errors travel by pickle.

        Raises:
            BackendLost. WorkerLost: there is no such worker any more.
        """
        task = Task(worker)
        self._send(task, remote_call.Run(), (remote_call.pack(function, args),), task.end)
        return task

    def ask(self, function: Callable[..., Any], *args: Any, worker: str = "") -> Task:
        """As `submit`, for a function of the standard library: it asks for no nbsync on the worker."""
        task = Task(worker)
        self._send(task, function, args, task.give)
        return task

    def interrupt(self, function: Callable[..., Any], *args: Any, worker: str) -> None:
        """Call a short `function` on this worker as soon as it can be, past what waits there; nothing comes back.

        Raises:
            BackendLost. WorkerLost: there is no such worker any more.
        """
        self.submit(function, *args, worker=worker)  # no backend need have such a way

    @abstractmethod
    def _send(
        self, task: Task, function: Callable[..., Any], args: tuple[Any, ...], give: Callable[[Any], object]
    ) -> None:
        """Send it; its value goes to `give`, all else to `task.fail`. `task.worker` is wanted, or is set here."""

    def close(self) -> None:  # noqa: B027 (who was given an executor has nothing to close)
        """Close what was opened here; what was given stays open."""


class Watch:
    """Looks every second for tasks whose worker is gone, where the backend itself does not tell.

    Args:
        there: the names of the workers that there are; may raise.
    """

    SECONDS = 1.0

    def __init__(self, there: Callable[[], list[str]]) -> None:
        self._there = there
        self._tasks: set[Task] = set()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, task: Task) -> None:
        """Watch over `task` until it ends."""
        with self._lock:
            self._tasks.add(task)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="nbsync-watch", daemon=True)
                self._thread.start()
        task.add_done_callback(self._drop)

    def _drop(self, task: Future[Any]) -> None:
        with self._lock:
            self._tasks.discard(task)

    def _work(self) -> None:
        while not self._ended.wait(self.SECONDS):
            self.look()

    def look(self) -> None:
        """Fail the tasks of workers that are gone."""
        try:
            there = set(self._there())
        except Exception:  # the backend tells of that itself
            return
        with self._lock:
            gone = [task for task in self._tasks if task.worker not in there]
        for task in gone:
            task.fail(WorkerLost(f"worker {task.worker} is gone"))

    def close(self) -> None:
        """End."""
        self._ended.set()
