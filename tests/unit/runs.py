"""Jobs whose run does what the test says, and an event loop that moves when the test says. No service, no clock."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from nbsync.api.job import SyncJob
from nbsync.core.call import Call
from nbsync.core.options import Options
from nbsync.engine.status_board import StatusBoard
from nbsync.errors import Interrupted
from nbsync.results.sync_result import SyncResult


class Run:
    """Ends when `let_end` or `stop` is called; with `crash`, raises it then."""

    runner = None

    def __init__(self, call: Call, cancel: threading.Event) -> None:
        self.call, self.local = call, call.local
        self.board = StatusBoard()
        self.result = SyncResult(command=call.command, remote=call.remote, local=call.local, call=call)
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.crash: Exception | None = None
        self._cancel = cancel

    def execute(self) -> SyncResult:
        self.board.state = "syncing"
        self.begun.set()
        assert self.may_end.wait(20)
        if self.crash is not None:
            raise self.crash
        self.board.state = "done"
        if self._cancel.is_set():
            self.result.error, self.board.state = Interrupted("stopped"), "cancelled"
        return self.result

    def stop(self) -> None:
        self._cancel.set()
        self.may_end.set()

    def abandon(self) -> None:
        self.may_end.set()

    def requests(self) -> dict[str, int]:
        return dict(self.result.requests)


def call(local: str = "data", **options: Any) -> Call:
    return Call(command="pull", remote="s3://b/p/", local=local, direction="pull", options=Options(**options))


def run_of(job: SyncJob) -> Run:
    found: Any = job._run
    return found  # type: ignore[no-any-return]


def end(job: SyncJob, *, hits: int = 0) -> None:
    """Let the run of `job` end, with so many hits, and wait until it has."""
    run = run_of(job)
    run.result.counts["hit"] = run.board.counts["hit"] = hits
    run.may_end.set()
    assert job._thread.ended.wait(20)


class Loop:
    """Stands for an event loop of this thread: `turn` calls what is due."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []
        self.complaints: list[dict[str, object]] = []
        self.running = True

    def call_later(self, delay: float, callback: Callable[[], None], /) -> None:
        self.due.append(callback)

    def call_soon_threadsafe(self, callback: Callable[[], None], /) -> None:
        self.due.append(callback)

    def call_exception_handler(self, context: dict[str, object], /) -> None:
        self.complaints.append(context)

    def is_running(self) -> bool:
        return self.running

    def is_closed(self) -> bool:
        return not self.running

    def turn(self) -> None:
        due, self.due = self.due, []
        for callback in due:
            callback()
