"""Any concurrent.futures.Executor: threads, processes, and what others have built to that interface."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from nbsync.cluster.backends.base import Backend, BackendLost, Task


class PoolBackend(Backend):
    """An executor of the user's: it chooses the worker, and is not closed here."""

    can_pin = False

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.name = type(executor).__name__

    def workers(self) -> list[str]:
        if isinstance(self._executor, ThreadPoolExecutor):
            return ["worker 1"]  # one process does one batch at a time, with threads of its own
        most = getattr(self._executor, "_max_workers", None)
        count = most if isinstance(most, int) and most > 0 else os.cpu_count() or 1
        return [f"worker {number}" for number in range(1, count + 1)]

    def _send(
        self, task: Task, function: Callable[..., Any], args: tuple[Any, ...], give: Callable[[Any], object]
    ) -> None:
        try:
            future: Future[Any] = self._executor.submit(function, *args)
        except Exception as error:  # broken, shut down
            raise BackendLost(f"{self.name}: {error}") from None
        task.withdraw = future.cancel
        future.add_done_callback(partial(self._ended, task, give))

    def _ended(self, task: Task, give: Callable[[Any], object], future: Future[Any]) -> None:
        try:
            give(future.result())
        except BrokenExecutor as error:
            task.fail(BackendLost(f"{self.name}: {error}"))
        except CancelledError:
            task.fail(BackendLost(f"{self.name} was shut down"))
        except BaseException as error:
            task.fail(error)
