"""Executors and backends that hold what they are sent until a test says what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from nbsync.cluster.backends.base import Backend, Task


class Held(Executor):
    """Holds each call."""

    def __init__(self) -> None:
        self.calls: list[Future[Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.calls.append(Future())
        return self.calls[-1]


class HeldBackend(Backend):
    """Workers of these names; each task waits for `give`, `fail` or nothing."""

    name, can_pin = "fake", True

    def __init__(self, *names: str) -> None:
        self.names = list(names)
        self.sent: list[tuple[Task, Callable[..., Any], tuple[Any, ...]]] = []
        self.error: Exception | None = None

    def workers(self) -> list[str]:
        if self.error is not None:
            raise self.error
        return list(self.names)

    def _send(
        self, task: Task, function: Callable[..., Any], args: tuple[Any, ...], give: Callable[[Any], object]
    ) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append((task, function, args))
