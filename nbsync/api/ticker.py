"""Moves what is under way, a few times a second: on an event loop in the loop's thread, or where somebody waits.

The only place that polls.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Protocol

INTERVAL = 0.2  # seconds: five moves a second


class Moved(Protocol):
    """What a ticker moves: a job (`nbsync.api.job.SyncJob`), a panel."""

    id: int

    @property
    def done(self) -> bool: ...
    @property
    def is_watched(self) -> bool: ...

    def poll(self) -> bool: ...


class Ticker:
    """Moves things on one event loop until they are done and nobody watches them. For the loop's thread, but `wake`.

    Args:
        loop: a running loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._thread = threading.get_ident()
        self._moved: list[Moved] = []
        self._is_due = False  # a tick is to come
        self._complained: set[int] = set()  # of jobs, by number

    def runs_elsewhere(self) -> bool:
        """Is another thread than this one at work here? A loop that was stopped or closed moves nothing."""
        return threading.get_ident() != self._thread and self.loop.is_running()

    def add(self, moved: Moved) -> None:
        """Move it from now on."""
        if moved not in self._moved:
            self._moved.append(moved)
        if not self._is_due:
            self._is_due = True
            self.loop.call_later(INTERVAL, self._tick)

    def wake(self, moved: Moved) -> None:
        """From any thread: move it as soon as the loop is free, and from then on."""

        def move_now() -> None:
            self.add(moved)
            self._move(moved)

        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(move_now)

    def pump(self) -> None:
        """Move each once, now."""
        for moved in tuple(self._moved):
            self._move(moved)

    def _move(self, moved: Moved) -> None:
        try:
            done = moved.poll()
        except Exception as error:  # a user's observer; the others shall not stand still for it
            done = moved.done
            self._complain(moved, error)
        if done and not moved.is_watched and moved in self._moved:
            self._moved.remove(moved)

    def _tick(self) -> None:
        self._is_due = False
        self.pump()
        if self._moved and not self._is_due:
            self._is_due = True
            self.loop.call_later(INTERVAL, self._tick)

    def _complain(self, moved: Moved, error: Exception) -> None:
        """Tell of an error once a job, not five times a second."""
        if moved.id not in self._complained:
            self._complained.add(moved.id)
            message = f"an observer of background sync {moved.id} failed"
            self.loop.call_exception_handler({"message": message, "exception": error})


class _Here(threading.local):
    ticker: Ticker | None = None


_here = _Here()


def ticker_here() -> Ticker | None:
    """The ticker of the event loop that runs in this thread; None if none does."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    if _here.ticker is None or _here.ticker.loop is not loop:
        _here.ticker = Ticker(loop)
    return _here.ticker


def move(
    poll: Callable[[], bool], rest: Callable[[float], object], *, timeout: float | None, now: Callable[[], float],
    interval: float, late: str,
) -> None:  # fmt: skip
    """Call `poll` in this thread until it gives True.

    Args:
        poll: moves something; True when it is done.
        rest: waits so many seconds, or less if there is something new.
        timeout: seconds; None waits for ever.
        now: monotonic seconds.
        interval: seconds between two calls.
        late: said when the time is over.

    Raises:
        TimeoutError: it is not done in time.
    """
    deadline = None if timeout is None else now() + timeout
    while not poll():
        remaining = interval if deadline is None else deadline - now()
        if deadline is not None and remaining <= 0:
            raise TimeoutError(late)
        rest(min(interval, remaining))


async def move_async(poll: Callable[[], bool]) -> None:
    """Call `poll` on this event loop until it gives True."""
    while not poll():
        await asyncio.sleep(INTERVAL)
