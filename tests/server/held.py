"""Pulls that go on and end as a test says, in place of processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nbsync.server.pull_process import Order

Hear = Callable[[dict[str, Any] | None], None]


class Held:
    """What `Pulls` starts.

    Attributes:
        orders: what was begun, in order.
        stopped: numbers of those that were told to stop.
    """

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.stopped: list[int] = []
        self._ears: list[Hear] = []

    def __call__(self, order: Order, hear: Hear) -> _One:
        self.orders.append(order)
        self._ears.append(hear)
        return _One(self, len(self.orders) - 1)

    def hear(self, number: int, news: dict[str, Any] | None) -> None:
        """The pull of this number says something."""
        self._ears[number](news)

    def end(self, number: int) -> None:
        """It ends well."""
        self.hear(number, {"ended": True, "state": "done", "ok": True, "result": {}})
        self.hear(number, None)


class _One:
    def __init__(self, held: Held, number: int) -> None:
        self._held, self._number = held, number

    def stop(self) -> None:
        self._held.stopped.append(self._number)

    def kill(self) -> None: ...
