"""The number of a backend's workers, asked for every other second by a thread of its own: an answer may be slow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from nbsync.cluster.backends.base import Backend

_ASK_SECONDS = 2.0
_PATIENCE_SECONDS = 30.0  # without any worker, or any answer: they may be started anew


class WorkerCount:
    """Attributes:
        count: the workers at the last look; at least 1.

    Args:
        backend: where the workers are.
        count: how many there are now.
        now: monotonic seconds.
    """

    def __init__(self, backend: Backend, count: int, now: Callable[[], float] = time.monotonic) -> None:
        self._backend, self._now = backend, now
        self.count = max(1, count)
        self._seen_at = now()
        self._ended = threading.Event()
        threading.Thread(target=self._work, name="nbsync-worker_count", daemon=True).start()

    def _work(self) -> None:
        while not self._ended.wait(_ASK_SECONDS):
            self.look()

    def look(self) -> None:
        """Ask now."""
        try:
            names = self._backend.workers()
        except Exception:  # the next `submit` raises it
            return
        if names:
            self.count, self._seen_at = len(names), self._now()

    def nobody_left(self) -> bool:
        """Has there been no worker for 30 s?"""
        return self._now() - self._seen_at > _PATIENCE_SECONDS

    def close(self) -> None:
        """Ask no more."""
        self._ended.set()
