"""--bandwidth: a token bucket that all workers take from."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Limiter:
    """At most `rate` bytes a second over all callers, with bursts of a quarter of a second; 0 is no limit.

    Attributes:
        rate: bytes a second; may be changed at any time, for what is taken from then on.

    Args:
        rate: as it is at first.
        wait: sleeps so many seconds, returns True when the run was cancelled.
        now: monotonic seconds.
    """

    def __init__(self, rate: int, wait: Callable[[float], bool], now: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self._wait = wait
        self._now = now
        self._lock = threading.Lock()
        self._free_at = now()

    def take(self, count: int) -> None:
        """Return when `count` bytes may have travelled."""
        rate = self.rate
        if not rate or count <= 0:
            return
        with self._lock:
            now = self._now()
            self._free_at = max(self._free_at, now - 0.25) + count / rate
            delay = self._free_at - now
        if delay > 0:
            self._wait(delay)
