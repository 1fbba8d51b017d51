"""Background syncs as text and HTML: one under way, and all of them. Reads jobs; moves none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from nbsync.core.model import Snapshot
from nbsync.report import formats
from nbsync.report.html_page import page_html, snapshot_html
from nbsync.report.pages import Line, Page
from nbsync.report.text_page import page_text, progress_facts, snapshot_text
from nbsync.report.view import state, title, view
from nbsync.results.display import Summary
from nbsync.results.sync_result import SyncResult

_PATH, _TEXT = 400, 240


class _Progress(Protocol):
    command: str
    direction: str
    remote: str
    local: str

    def snapshot(self) -> Snapshot: ...


class Job(Protocol):
    """What is shown of a sync: `nbsync.api.job.SyncJob` is one."""

    id: int

    @property
    def progress(self) -> _Progress: ...
    @property
    def done(self) -> bool: ...
    @property
    def ok(self) -> bool: ...
    @property
    def result(self) -> SyncResult: ...


def job_summary(job: Job) -> Summary:
    """`background sync 3: pull s3://b/p/ → data · syncing · 3 of 24 files`."""
    good = job.ok if job.done else None
    return Summary(f"background sync {job.id}", good, " · ".join((job_title(job), *job_state(job))))


def job_text(snapshot: Snapshot, number: int) -> str:
    """A job that is under way, in one line."""
    return f"background sync {number}: {snapshot_text(snapshot)}" if number else snapshot_text(snapshot)


def job_html(snapshot: Snapshot, number: int) -> str:
    """As `snapshot_html`, with the number of a background sync and what can be done with it."""
    if not number:
        return snapshot_html(snapshot)
    hint = f"background sync {number} · to stop it: %s3sync cancel {number} · after a reload: %s3sync jobs"
    return snapshot_html(snapshot, hint)


def job_title(job: Job) -> str:
    """`pull s3://bucket/p/ → data`, cleaned."""
    now = job.progress
    return formats.clean(title(now.command, now.remote, now.local, now.direction), _PATH)


def job_state(job: Job) -> tuple[str, str]:
    """What a job does, or how it ended; and its progress, or what it came to."""
    if not job.done:
        snapshot = job.progress.snapshot()
        return state(snapshot), " · ".join(progress_facts(snapshot))
    seen = view(job.result, "summary")
    told = [f"{count:,} {status}" for status, count in seen.counts] + seen.facts
    error = [formats.clean(seen.error, _TEXT)] if seen.error else []
    return seen.verdict, " · ".join([*told, *error])


def jobs_text(jobs: Sequence[Job]) -> str:
    """One line a background sync: number, command, state, progress."""
    return page_text(_page(jobs))


def jobs_html(jobs: Sequence[Job]) -> str:
    """As `jobs_text`."""
    return page_html(_page(jobs))


def _page(jobs: Sequence[Job]) -> Page:
    lines = []
    for job in jobs:
        sign, tint = ("✓", formats.GREEN) if job.ok else ("✗", formats.RED) if job.done else ("…", formats.BLUE)
        lines.append(Line(sign, tint, str(job.id), " · ".join((job_title(job), *job_state(job)))))
    left = sum(not job.done for job in jobs)
    verdict = f"{left:,} under way" if jobs else "none: begin one with --background"
    return Page("background syncs", True, verdict, [], lines, [])
