"""How many requests went over the wire. Any thread."""

from __future__ import annotations

import threading


class RequestCounts:
    """Requests that went over the wire, by kind; any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = {"list": 0, "head": 0, "get": 0, "put": 0, "delete": 0, "other": 0}

    def add(self, kind: str, count: int = 1) -> None:
        """`count` more requests of a kind; an unknown kind is `other`."""
        with self._lock:
            self._counts[kind if kind in self._counts else "other"] += count

    def snapshot(self) -> dict[str, int]:
        """The counts by now."""
        with self._lock:
            return dict(self._counts)
