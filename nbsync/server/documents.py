"""Pulls as the JSON API tells them. Plain values; no address with a password, no path of the server's own disk."""

from __future__ import annotations

from typing import Any

from nbsync.core.model import Row, Status
from nbsync.core.pulllink import urlpath_below
from nbsync.errors import NbsyncError
from nbsync.server.pulls import Pull

FILES = 1_000  # rows of a result
_ROW = ("path", "action", "status", "reason", "bytes", "error")
_NONE = dict.fromkeys((status.value for status in Status), 0)


def document(pull: Pull, base_url: str, *, seen: int = 0, urlpath: str | None = None) -> dict[str, Any]:
    """How a pull goes, or went.

    Args:
        pull: which.
        base_url: of the server.
        seen: the number of the last row that was told.
        urlpath: where to go on to, instead of where the pull's own link leads.
    """
    rows, omitted, last = pull.rows_after(seen)
    link = pull.errand.link
    return {
        "id": pull.id, "state": pull.state, "ok": pull.result is not None and pull.result.ok,
        "dry_run": pull.errand.dry_run, "source": pull.errand.source, "endpoint": link.endpoint,
        "endpoint_host": pull.endpoint.partition("://")[2].partition("/")[0], "target": pull.errand.target,
        "filters": [list(pair) for pair in link.filters], "as_of": link.as_of,
        "url": urlpath_below(base_url, link.urlpath if urlpath is None else urlpath),
        **_progress(pull), "rows": [_row(row) for row in rows], "rows_omitted": omitted, "last_row": last,
        **_end(pull),
    }  # fmt: skip


def with_result(pull: Pull, base_url: str) -> dict[str, Any]:
    """As `document`, with the contract's result once there is one; of its rows, those that matter most."""
    told = document(pull, base_url)
    result = pull.result
    if result is not None:
        found = {**result.to_dict(), "local": pull.errand.target}
        files = sorted(found["files"], key=lambda row: row["status"] == Status.HIT.value)
        told["result"] = {**found, "files": files[:FILES], "files_omitted": max(0, len(files) - FILES),
                          "notes": told["notes"], "error": told["error"]}  # fmt: skip
    return told


def _progress(pull: Pull) -> dict[str, Any]:
    if pull.job is None:
        return {"counts": dict(_NONE), "files_done": 0, "files_total": 0, "bytes_done": 0, "bytes_total": 0,
                "rate": 0.0, "eta_seconds": None, "seconds": 0.0, "listing_done": False, "active": []}  # fmt: skip
    now = pull.job.progress
    names = ("counts", "files_done", "files_total", "bytes_done", "bytes_total", "rate", "eta_seconds", "seconds",
             "listing_done")  # fmt: skip
    active = [{"path": one.path, "done": one.done, "size": one.size} for one in now.active]
    return {**{name: getattr(now, name) for name in names}, "active": active}


def _end(pull: Pull) -> dict[str, Any]:
    result = pull.result
    error: NbsyncError | None = pull.error or (result.error if result is not None else None)
    trashing = getattr(result, "trashing", 0) if pull.errand.dry_run else result.trashed if result is not None else 0
    root = pull.errand.call.local
    return {
        "local_changes": trashing,
        "notes": [note.replace(root, pull.errand.target) for note in result.notes] if result is not None else [],
        "error": str(error).replace(root, pull.errand.target) if error is not None else None,
    }


def _row(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _ROW}
