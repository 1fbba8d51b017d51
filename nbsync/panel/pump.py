"""What keeps a panel moving: a turn on the kernel's own loop, a few times a second while there is something to do.

Handlers of clicks may run in any thread; all they may do is to queue a command and `wake`. Every turn is taken in the
loop's thread, or in the one that waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

INTERVAL = 0.25  # seconds; a turn sends at most two messages to the browser


class Pump:
    """Takes turns on the event loop that runs where it is made; without one, somebody has to call `turn`.

    Args:
        turn: does what is to do; True when it wants to be called again soon.
        interval: seconds between two turns.
    """

    def __init__(self, turn: Callable[[], bool], interval: float = INTERVAL) -> None:
        self._turn, self.interval = turn, interval
        self._next: asyncio.TimerHandle | None = None
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None

    def wake(self) -> None:
        """From any thread: take a turn as soon as the loop is free."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._run)

    def _run(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._turn() and self._loop is not None:
            self._next = self._loop.call_later(self.interval, self._run)
