"""What a panel says of a job: how it goes, as plain values, and what it came to, in one line. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from nbsync.core.model import Snapshot, Status, Verb
from nbsync.errors import GuardRefusal, Interrupted, NbsyncError, one_line
from nbsync.report import formats, text_page
from nbsync.results.sync_result import SyncPlan, SyncResult

_NOUNS = {Verb.DOWNLOAD.value: "download", Verb.UPLOAD.value: "upload", Verb.DELETE_LOCAL.value: "delete",
          Verb.DELETE_REMOTE.value: "delete"}  # fmt: skip
_EMPTY_SOURCE = "--allow-empty-source"
_ACTIVE_SHOWN = 6


def progress(snapshot: Snapshot | None, *, busy: bool) -> dict[str, Any]:
    """How a job goes (bytes, seconds); empty before there is one. Only of a busy one the files on their way."""
    if snapshot is None:
        return {}
    names = ("files_done", "files_total", "bytes_done", "bytes_total", "rate", "eta_seconds", "seconds",
             "listing_done")  # fmt: skip
    active = [
        {"path": formats.clean(one.path, 300), "up": one.verb.value == "upload",
         "share": min(one.done / one.size, 1.0) if one.size > 0 else 0.0,
         "amount": f"{formats.size(one.done)} of {formats.size(one.size)}"}
        for one in snapshot.active[:_ACTIVE_SHOWN]
    ] if busy else []  # fmt: skip
    return {
        **{name: getattr(snapshot, name) for name in names}, "share": text_page.share(snapshot),
        "facts": text_page.progress_facts(snapshot), "active": active,
        "more": max(0, len(snapshot.active) - len(active)) if active else 0,
    }  # fmt: skip


def told(result: SyncResult) -> tuple[str, str]:
    """How a job ended, in one line, and in which tone: info, good, warn or bad."""
    if result.error is not None:
        return _told_error(result, result.error), "warn" if isinstance(result.error, Interrupted) else "bad"
    if isinstance(result, SyncPlan):
        return _told_plan(result)
    counts = result.counts
    deleted = f", {counts['deleted']:,} deleted" if counts["deleted"] else ""
    moved = formats.size(result.bytes["moved"])
    text = f"Done: {formats.number(counts['miss'], 'file')}{deleted}, {moved} in {formats.duration(result.seconds)}"
    bad = {status: counts[status] for status in formats.PROBLEM if counts[status]}
    if not bad and result.ok:
        return text, "good"
    told = ", ".join(f"{count:,} {status}" for status, count in bad.items()) or formats.number(
        len(result.problems), "problem")  # fmt: skip
    return f"{text}; {told}", "bad"


def todo(actions: Mapping[str, int]) -> str:
    """`{"download": 3}` -> `3 files`; with deletes among them every kind is named: `2 downloads, 2 deletes`."""
    nouns: Counter[str] = Counter()
    for action, count in actions.items():
        nouns[_NOUNS.get(action, "file")] += count
    if not nouns["delete"]:
        return formats.number(nouns.total(), "file")
    return ", ".join(formats.number(nouns[noun], noun) for noun in sorted(nouns, key=_deletes_last) if nouns[noun])


def _deletes_last(noun: str) -> tuple[bool, str]:
    return noun == "delete", noun


def _told_plan(plan: SyncPlan) -> tuple[str, str]:
    actions = Counter(row.action for row in plan.files if row.status == Status.PLANNED.value)
    hits = plan.counts["hit"]
    rest = f"; {formats.number(hits, 'file')} up to date" if hits else ""
    problems = {problem.path for problem in plan.problems}
    rest += f"; {formats.number(len(problems), 'problem')}" if problems else ""
    if actions:
        return f"Planned, nothing changed yet: {todo(actions)} to do{rest}", "info"
    note = f": {plan.notes[0]}" if plan.notes and not hits else ""
    return f"Nothing to do{rest}{note}", "warn" if problems or note else "good"


def _told_error(result: SyncResult, error: NbsyncError) -> str:
    """The error, with a hint that names the panel's own buttons and options instead of a command's."""
    if isinstance(error, Interrupted):
        if result.command == "plan":
            return "Stopped by the user; nothing was changed. Plan again"
        return one_line(f"{error.message}. Apply again to do the rest")
    if isinstance(error, GuardRefusal) and _EMPTY_SOURCE in error.hint:
        return one_line(
            f"{error.message}. If that is meant, open the panel with {_EMPTY_SOURCE} "
            "(SyncPanel: allow_empty_source=True); else untick the deleting in its options"
        )
    if isinstance(error, GuardRefusal) and "--dry-run" in error.hint:  # what the table shows is one
        return one_line(f"{error.message}. Look at the rows below, then open the panel with a higher limit")
    return str(error)
