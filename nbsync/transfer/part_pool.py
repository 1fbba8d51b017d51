"""A large file's parts side by side: the worker whose file it is, and helpers that come and go. Worker threads.

The worker works in the slot that it has; a helper takes a slot of the run's gate for each part, so that
the file moves on even where no slot is free.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from nbsync.transfer.concurrency import Controller

T = TypeVar("T")

PART_WORKERS = 15  # for one file
ALL_PART_WORKERS = 64  # in this process: a thread that waits for a slot costs memory, and many large files need none
_helpers = threading.BoundedSemaphore(ALL_PART_WORKERS)


class Stopped(Exception):
    """Another part of the same file failed: this one is not needed any more."""


class PartPool(Generic[T]):
    """Does `work` for each of `items`, about in their order; the first error ends it.

    `work` may look at `over` on its way, and raise `Stopped`.
    """

    def __init__(self, controller: Controller, work: Callable[[T], None], items: Iterable[T]) -> None:
        self._controller, self._gate, self._work = controller, controller.concurrency, work
        self._todo = list(items)
        self._todo.reverse()
        self._lock = threading.Lock()
        self._helpers: list[threading.Thread] = []
        self._error: BaseException | None = None
        self.over = False

    def run(self) -> None:
        """Return when all is done and nobody is at work any more. Call once, in the thread that has the file's slot.

        Raises: what `work` raised first.
        """
        try:
            while not self.over and self._todo:
                self._call_helpers()
                self._next()
        finally:
            self._end_waiting()
        if self._error is not None:
            raise self._error

    def _call_helpers(self) -> None:
        """As many as may help. Asked again before each part: other large files may have ended meanwhile."""
        most = min(PART_WORKERS, self._controller.most - 1, len(self._helpers) + len(self._todo) - 1)
        while len(self._helpers) < most and _helpers.acquire(blocking=False):
            helper = threading.Thread(target=self._help, name="nbsync-part", daemon=True)
            try:
                helper.start()
            except RuntimeError:  # the system starts no more: those that there are do it
                _helpers.release()
                return
            self._helpers.append(helper)

    def _help(self) -> None:
        try:
            while self._gate.enter(unless=self._nothing_left):
                try:
                    self._next()
                finally:
                    self._gate.leave()
        finally:
            _helpers.release()

    def _nothing_left(self) -> bool:
        return self.over or not self._todo

    def _next(self) -> None:
        with self._lock:
            if not self._todo:
                return
            item = self._todo.pop()
        try:
            self._work(item)
        except BaseException as error:
            with self._lock:
                if self._error is None and not isinstance(error, Stopped):
                    self._error = error
            self.over = True

    def _end_waiting(self) -> None:
        self._gate.wake()
        for helper in self._helpers:
            helper.join()
