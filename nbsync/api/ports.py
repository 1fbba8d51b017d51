"""What the faces need of the Python API, as a protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from nbsync.core.call import Call
from nbsync.results.answer import Answer

if TYPE_CHECKING:
    from nbsync.api.background import SyncJobs
    from nbsync.api.job import SyncJob


class Engine(Protocol):
    """`nbsync.api`, or a fake of it."""

    def prepare(self, call: Call, /) -> SyncJob: ...

    def begin(self, call: Call, after: SyncJob | None = None) -> SyncJob: ...

    def jobs(self) -> SyncJobs: ...

    def find_job(self, number: str, /) -> SyncJob: ...

    def answer(self, call: Call, /) -> Answer: ...


def default_engine() -> Engine:
    """The real engine; imported when the first command runs, because it brings the S3 library."""
    from nbsync.api import functions

    return functions
