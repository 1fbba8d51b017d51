"""Pulls that go on and end as a test says, in place of processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nbsync.server.pull_process import JobSpec

OnUpdate = Callable[[dict[str, Any] | None], None]


class Held:
    """What `Pulls` starts.

    Attributes:
        specs: what was begun, in order.
        stopped: numbers of those that were told to stop.
    """

    def __init__(self) -> None:
        self.specs: list[JobSpec] = []
        self.stopped: list[int] = []
        self._followers: list[OnUpdate] = []

    def __call__(self, spec: JobSpec, on_update: OnUpdate) -> _One:
        self.specs.append(spec)
        self._followers.append(on_update)
        return _One(self, len(self.specs) - 1)

    def update(self, number: int, update: dict[str, Any] | None) -> None:
        """The pull of this number says something."""
        self._followers[number](update)

    def end(self, number: int) -> None:
        """It ends well."""
        self.update(number, {"ended": True, "state": "done", "ok": True, "result": {}})
        self.update(number, None)


class _One:
    def __init__(self, held: Held, number: int) -> None:
        self._held, self._number = held, number

    def stop(self) -> None:
        self._held.stopped.append(self._number)

    def kill(self) -> None: ...
