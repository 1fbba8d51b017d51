"""Jobs that end when they are told to, and the engine that begins them. Nothing here moves a byte."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nbsync.api.progress import SyncProgress
from nbsync.core.call import Call
from nbsync.core.model import Row
from nbsync.errors import Interrupted, NbsyncError
from nbsync.results.sync_result import SyncPlan, SyncResult
from tests.unit import samples


class Plan(SyncPlan):
    """A plan that was never made on a bucket."""

    def call_for(self, only: frozenset[str]) -> Call:
        return Call(command="apply", only=only)


def plan(*rows: Row, **more: Any) -> SyncResult:
    """A plan with these rows."""
    made = samples.result(*rows, command="plan")
    made.__class__ = Plan
    for name, value in more.items():
        setattr(made, name, value)
    return made


def planned(path: str, action: str = "download", **more: Any) -> Row:
    """A row of a plan."""
    return samples.row(path, "planned", **{"action": action, "reason": "missing locally", "bytes": 1000, **more})


class Job:
    """Runs until `end`."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.progress = SyncProgress()
        self.progress.apply(samples.snapshot(command=call.command))
        self.came: list[Row] = []
        self.ends: SyncResult | Exception | None = None
        self.cancelled = False
        self.on_cancel: Callable[[], None] = lambda: None

    def poll(self) -> bool:
        return self.ends is not None

    def rows(self, start: int) -> Sequence[Row]:
        return self.came[start:]

    def cancel(self) -> None:
        self.cancelled = True
        self.on_cancel()

    @property
    def result(self) -> SyncResult:
        assert self.ends is not None
        if isinstance(self.ends, Exception):
            raise self.ends
        return self.ends

    def stop_when_cancelled(self, *done: Row) -> None:
        """End as a run does that is stopped, with what it has done."""

        def stop() -> None:
            self.ends = samples.result(*done, error=Interrupted("stopped by the user"))

        self.on_cancel = stop


class Engine:
    """Begins jobs, and remembers them."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.refuses: NbsyncError | None = None

    def prepare(self, call: Call) -> Job:
        if self.refuses is not None:
            raise self.refuses
        self.jobs.append(Job(call))
        return self.jobs[-1]

    @property
    def last(self) -> Job:
        return self.jobs[-1]
