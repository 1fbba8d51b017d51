"""How many workers an engine has, asked every other second by a thread of its own: an engine may be slow to answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from nbsync.cluster.backends.base import Engine

_ASK_SECONDS = 2.0
_PATIENCE_SECONDS = 30.0  # without any worker, or any answer: they may be started anew


class Census:
    """Attributes:
        count: the workers at the last look; at least 1.

    Args:
        engine: asked.
        count: how many there are now.
        now: monotonic seconds.
    """

    def __init__(self, engine: Engine, count: int, now: Callable[[], float] = time.monotonic) -> None:
        self._engine, self._now = engine, now
        self.count = max(1, count)
        self._seen_at = now()
        self._ended = threading.Event()
        threading.Thread(target=self._work, name="nbsync-census", daemon=True).start()

    def _work(self) -> None:
        while not self._ended.wait(_ASK_SECONDS):
            self.look()

    def look(self) -> None:
        """Ask now."""
        try:
            names = self._engine.workers()
        except Exception:  # those who send something are told
            return
        if names:
            self.count, self._seen_at = len(names), self._now()

    def nobody_left(self) -> bool:
        """Has there been no worker for so long that none is to be hoped for?"""
        return self._now() - self._seen_at > _PATIENCE_SECONDS

    def close(self) -> None:
        """Ask no more."""
        self._ended.set()
