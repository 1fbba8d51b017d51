"""What the magic does with background syncs: begin one, list them, stop one. Runs in the kernel's main thread."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from nbsync.api.ports import Engine
from nbsync.core.call import Call
from nbsync.errors import Interrupted, NbsyncError
from nbsync.notebook.tables import Shown, Tables
from nbsync.report.ipython import bundle_of, ipython_display
from nbsync.report.json import json_document
from nbsync.results import display

if TYPE_CHECKING:
    from nbsync.api.background import SyncJobs
    from nbsync.api.job import SyncJob

_PATIENCE = 5.0  # seconds; one is promised


def begin(call: Call, show: str, engine: Engine, shown: Shown | None, after: SyncJob | None) -> SyncJob:
    """The job of a command that goes on in the background, told of in `shown`."""
    job = engine.begin(call, after)
    if shown is not None:
        shown.open(job, show)
    return job


def jobs(call: Call, engine: Engine, shown: Shown, silent: bool) -> SyncJobs:
    """The background syncs as one table; below it, the live tables of those under way."""
    found = engine.jobs()
    for job in found:
        with contextlib.suppress(Exception):  # of a user's observer; whoever waits for the job sees it
            job.poll()
    if call.options.json:
        print(json_document(found))
    elif not silent:
        _show(found, shown)
    return found


def _show(found: SyncJobs, shown: Shown) -> None:
    if not isinstance(shown, Tables):
        print(display.text(found))
        return
    ipython_display(bundle_of(display.html(found), display.text(found)), raw=True)
    for job in found:
        if not job.done:
            shown.again(job)


def cancel(number: str, call: Call, engine: Engine, silent: bool) -> SyncJob:
    """Stop the sync with this number, and say what it came to.

    Raises:
        UsageError: there is none. NbsyncError: it has not stopped yet.
    """
    job = engine.find_job(number)
    name, told = f"background sync {job.id}", "had ended already"
    if not job.done:
        job.cancel()
        with contextlib.suppress(TimeoutError, NbsyncError):  # with --strict, a run that was stopped is an error
            job.wait(_PATIENCE)
        if not job.done:
            raise NbsyncError(f"{name} was told to stop, and has not yet", "jobs tells when it has")
        if isinstance(job.result.error, Interrupted):
            told = "was stopped"
    if call.options.json:
        print(json_document(job.result))
    elif not silent:
        print(f"{name} {told}: {display.line(job.result)}")
    return job
