"""The JSON documents of a pull, from plain values. Pure; in the server, and in the process that pulls.

Keys and messages of a service are untrusted text, and stay text. What is known to be a secret is taken out of every
message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from nbsync.core.decide import EDITED_HERE
from nbsync.core.model import Row, Snapshot, Status
from nbsync.errors import Interrupted, NbsyncError, one_line

if TYPE_CHECKING:
    from nbsync.results.sync_result import SyncResult
    from nbsync.server.targets import PullRequest

MAX_ROWS = 200  # of a message
MAX_RESULT_ROWS = 1_000
MAX_PROBLEMS = 200

Document = dict[str, Any]
Scrub = Callable[[str], str]
_TROUBLE = {Status.FAILED.value, Status.CONFLICT.value, Status.CANCELLED.value, Status.SKIPPED.value}


def first(pull_id: str, request: PullRequest) -> Document:
    """A pull of which nothing is known but what was asked."""
    link = request.link
    return {
        "id": pull_id, "state": "queued", "ok": False, "dry_run": request.dry_run, "source": request.source,
        "endpoint": link.endpoint, "endpoint_host": "", "target": request.target,
        "filters": [list(pair) for pair in link.filters], "as_of": link.as_of,
        "counts": {status.value: 0 for status in Status}, "files_done": 0, "files_total": 0, "bytes_done": 0,
        "bytes_total": 0, "rate": 0.0, "eta_seconds": None, "seconds": 0.0, "listing_done": False, "active": [],
        "rows": [], "rows_omitted": 0, "local_changes": 0, "notes": [], "error": None, "hint": "",
    }  # fmt: skip


class Rows:
    """The rows of a run that goes on, from the first to the last that was looked at."""

    def __init__(self, scrub: Scrub) -> None:
        self._scrub = scrub
        self._fresh: list[Row] = []
        self.taken = 0
        self.edited = 0  # files that replace one that was edited here

    def take(self, rows: Sequence[Row]) -> None:
        """What has come since the last time."""
        self.taken += len(rows)
        self._fresh += [row for row in rows if row.status != Status.HIT.value]
        self.edited += _edited(rows)

    def fresh(self) -> Document:
        """The newest rows, once; and how many there were besides."""
        rows, self._fresh = self._fresh, []
        return {"rows": [row_document(row, self._scrub) for row in rows[-MAX_ROWS:]],
                "rows_omitted": max(0, len(rows) - MAX_ROWS)}  # fmt: skip


def _edited(rows: Iterable[Row]) -> int:
    return sum(row.reason == EDITED_HERE for row in rows)


_OPTION = re.compile(r",? (?:or|and) (?:use )?--[a-z-]+| \(--[a-z/-]+\)")


def for_links(text: str) -> str:
    """An advice without the options of a command line: a browser that follows a link has none."""
    return _OPTION.sub("", text)


def row_document(row: Row, scrub: Scrub) -> Document:
    """One file's row."""
    return {"path": row.path, "action": row.action, "status": row.status, "reason": for_links(scrub(row.reason)),
            "bytes": row.bytes, "error": for_links(scrub(one_line(row.error))) if row.error else None}  # fmt: skip


def host_of(endpoint: str) -> str:
    """`host:port` of an address: no user, no password, no path."""
    return endpoint.partition("://")[2].partition("/")[0].rpartition("@")[2]


def moment(snapshot: Snapshot, endpoint: str, rows: Document, edited: int) -> Document:
    """A pull that goes on."""
    names = ("counts", "files_done", "files_total", "bytes_done", "bytes_total", "rate", "eta_seconds", "seconds",
             "listing_done")  # fmt: skip
    values = {name: getattr(snapshot, name) for name in names}
    active = [{"path": one.path, "done": one.done, "size": one.size} for one in snapshot.active]
    # Not ended before its result is known, which comes with the last document.
    state = snapshot.state if snapshot.state in ("starting", "waiting") else "syncing"
    return {**values, "state": state, "active": active, "local_changes": edited, "endpoint_host": host_of(endpoint),
            **rows}  # fmt: skip


def refused(error: Exception, scrub: Scrub) -> Document:
    """A pull that could not begin."""
    message = error.message if isinstance(error, NbsyncError) else str(error)
    hint = error.hint if isinstance(error, NbsyncError) else ""
    return {"ended": True, "state": "failed", "ok": False, "error": scrub(one_line(message)),
            "hint": for_links(scrub(one_line(hint))), "active": []}  # fmt: skip


def ended(result: SyncResult, endpoint: str, target: str, scrub: Scrub) -> Document:
    """What a pull came to; `rows` are those that need a look first, and `result` is the contract's document."""
    rows = sorted((row for row in result.files if row.status != Status.HIT.value),
                  key=lambda row: row.status not in _TROUBLE)  # fmt: skip
    failure = refused(result.error, scrub) if result.error is not None else {"error": None, "hint": ""}
    cancelled = isinstance(result.error, Interrupted)  # not if all was done when it was told to stop
    edited = getattr(result, "trashing", 0) if result.dry_run else result.trashed
    return {
        **failure, "ended": True, "ok": result.ok, "active": [], "eta_seconds": None, "listing_done": True,
        "state": "cancelled" if cancelled else "failed" if result.error is not None else "done",
        "counts": dict(result.counts), "files_done": _files_done(result), "seconds": round(result.seconds, 3),
        "rows": [row_document(row, scrub) for row in rows[:MAX_ROWS]], "rows_omitted": max(0, len(rows) - MAX_ROWS),
        "local_changes": edited, "endpoint_host": host_of(endpoint),
        "notes": [scrub(one_line(note)) for note in result.notes],
        "result": _result(result, target, scrub),
    }  # fmt: skip


def _files_done(result: SyncResult) -> int:
    """As in the documents before: what was cancelled is not done."""
    return sum(result.counts.values()) - result.counts[Status.CANCELLED.value]


def _result(result: SyncResult, target: str, scrub: Scrub) -> Document:
    """The contract's document; of very many files the rows that need a look, and how many are left out."""
    rows = sorted(result.files, key=lambda row: (row.status not in _TROUBLE, row.status == Status.HIT.value))
    kept, result.files = result.files, rows[:MAX_RESULT_ROWS]
    document = result.to_dict()
    result.files = kept
    document["local"] = target
    for row in document["files"]:
        row["reason"], row["error"] = scrub(row["reason"]), scrub(row["error"]) if row["error"] else None
    problems = document["problems"][:MAX_PROBLEMS]
    document["problems"] = [{**problem, "message": scrub(problem["message"])} for problem in problems]
    document["notes"] = [scrub(note) for note in document["notes"]]
    document["files_omitted"] = len(rows) - len(document["files"])
    document["problems_omitted"] = len(result.problems) - len(problems)
    return {**document, "error": scrub(document["error"])} if "error" in document else document
