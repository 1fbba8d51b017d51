"""`--log-file`: one line a file, appended when a run has ended. Runs in the thread that waited."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone

from nbsync.errors import LocalError, one_line
from nbsync.report.view import detail
from nbsync.results.sync_result import SyncResult

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(timezone.utc)


def check(path: str) -> None:
    """Make sure that `path` can be appended to, before anything is done.

    Raises:
        LocalError: it cannot.
    """
    _append(path, ())


def write(path: str, result: SyncResult, clock: Clock = utc_now) -> None:
    """Append the rows of `result`: time, command, status, action, bytes, path, reason; tabs between.

    Of a run on the workers of an engine, the worker comes last.

    Raises:
        LocalError: the file can no longer be written.
    """
    stamp = clock().strftime("%Y-%m-%dT%H:%M:%SZ")
    lines = []
    for row in result.files:
        fields = [stamp, result.command, row.status, row.action, str(row.bytes), row.path, detail(row)]
        fields += [row.worker] if result.on_workers else []
        lines.append("\t".join(one_line(field) for field in fields) + "\n")
    _append(path, lines)


def _append(path: str, lines: list[str] | tuple[str, ...]) -> None:
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.writelines(lines)
    except OSError as error:
        raise LocalError(f"--log-file {path}: {error.strerror}") from None
