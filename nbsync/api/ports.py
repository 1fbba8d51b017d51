"""What the faces need of the engine, as protocols: a job to follow, a listing to print. Pure types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Union

from nbsync.core.model import Snapshot
from nbsync.core.options import Call
from nbsync.engine.link import Link
from nbsync.results.diagnosis import Diagnosis
from nbsync.results.folder_status import Status
from nbsync.results.sync_result import SyncResult

if TYPE_CHECKING:
    from nbsync.api.background import SyncJobs
    from nbsync.api.job import SyncJob

# Commands that are answered at once; all others are jobs to follow.
ANSWERS = frozenset({"ls", "status", "doctor", "link"})

Tick = Callable[[Snapshot], None]


class Job(Protocol):
    """A run under way; `nbsync.api.job.SyncJob` is one."""

    def wait(self, timeout: float | None = None, *, tick: Tick | None = None, interval: float = 0.2) -> SyncResult: ...

    def cancel(self) -> None: ...


class Listed(Protocol):
    """One object of a listing. Size in bytes, time in ns since the epoch."""

    @property
    def key(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def last_modified_ns(self) -> int: ...
    @property
    def storage_class(self) -> str: ...


class Listing(Protocol):
    """What `ls` found."""

    @property
    def remote(self) -> str: ...
    @property
    def entries(self) -> Sequence[Listed]: ...
    @property
    def notes(self) -> Sequence[str]: ...
    @property
    def counts(self) -> dict[str, int]: ...
    @property
    def ok(self) -> bool: ...
    @property
    def exit_code(self) -> int: ...

    def to_dict(self) -> dict[str, Any]: ...


Answer = Listing | Status | Diagnosis | Link
Item = Union[SyncResult, Answer, "SyncJob"]  # what one command comes to


class Engine(Protocol):
    """`nbsync.api`, or a fake of it."""

    def prepare(self, call: Call, /) -> Job: ...

    def begin(self, call: Call, after: SyncJob | None = None) -> SyncJob: ...

    def jobs(self) -> SyncJobs: ...

    def find_job(self, number: str, /) -> SyncJob: ...

    def answer(self, call: Call, /) -> Answer: ...


def default_engine() -> Engine:
    """The real engine; imported when the first command runs, because it brings the S3 library."""
    from nbsync.api import functions

    return functions
