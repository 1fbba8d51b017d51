"""Wait for a run and draw it, in the thread that waits (in a notebook, the kernel's main one)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from nbsync.core.call import Call
from nbsync.core.model import Snapshot
from nbsync.errors import Interrupted
from nbsync.report import row_log
from nbsync.results.sync_result import SyncResult

if TYPE_CHECKING:
    from nbsync.api.job import SyncJob

INTERVAL = 0.2  # seconds: five updates a second; front ends drop messages at some ten times that


class Face(Protocol):
    """Shows a run: `tick` is called with snapshots, then `close` once with the result (None if the run crashed)."""

    def tick(self, snapshot: Snapshot) -> None: ...

    def close(self, result: SyncResult | None) -> None: ...


class SilentFace:
    """Shows nothing."""

    def tick(self, snapshot: Snapshot) -> None:
        pass

    def close(self, result: SyncResult | None) -> None:
        pass


def follow(job: SyncJob, face: Face, *, interval: float = INTERVAL) -> SyncResult:
    """The result of `job`, which is drawn on `face` until it has ended.

    An interrupt cancels the job; the result then holds what was done, and Interrupted as its `error`.

    Raises:
        KeyboardInterrupt: a second interrupt came before the job had ended.
    """
    result: SyncResult | None = None
    try:
        try:
            result = job.wait(tick=face.tick, interval=interval)
        except KeyboardInterrupt:
            job.cancel()
            result = job.wait(tick=face.tick, interval=interval)
            if result.error is None:
                result.error = Interrupted("interrupted", "What was done is kept; the next run does the rest.")
    finally:
        face.close(result)
    return result


def carry_out(
    call: Call, prepare: Callable[[Call], SyncJob], face: Face, *, show: Callable[[SyncResult], None] | None = None,
    clock: row_log.Clock = row_log.utc_now,
) -> SyncResult:  # fmt: skip
    """The result of a command that works file by file, drawn on `face`, and written to its `--log-file`.

    Args:
        call: the command.
        prepare: makes its job.
        face: shows the run.
        show: called with the result, before the log is written.
        clock: for the times in the log.

    Raises:
        LocalError: the log cannot be written; told before anything is done, if it is known then.
        UsageError: the call makes no sense. KeyboardInterrupt: as `follow`.
    """
    log_file = call.options.log_file
    if log_file:
        row_log.check(log_file)
    result = follow(prepare(call), face)
    if show is not None:
        show(result)
    if log_file:
        row_log.write(log_file, result, clock)
    return result
