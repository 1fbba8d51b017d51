"""One pull, in a process of its own: `python -m nbsync.server.pull_worker`. A job spec comes in, updates go out.

A pull keeps the interpreter busy; in a process of its own it cannot keep the server from answering. The job spec
comes on standard input, and the pull goes on as long as that is open: it ends with the server, whatever ends that.
Each line of standard output is a JSON object.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from nbsync.api.job import SyncJob
from nbsync.engine.redact import Scrubber
from nbsync.errors import EndpointUnreachable, NbsyncError
from nbsync.server import documents
from nbsync.server.pull_process import JobSpec
from nbsync.server.targets import check_again

_NICE = 5  # the server, and what runs in notebooks, go first where there are too few cores for all
INTERVAL = 0.25  # seconds between two reports
Report = Callable[[dict[str, Any]], None]


def perform(spec: JobSpec, report: Report, stopped: threading.Event,
            now: Callable[[], float] = time.monotonic) -> None:  # fmt: skip
    """Do the pull, and report how it goes, and at last what it came to.

    Args:
        spec: what to do.
        report: takes documents of plain values; the last one has `ended`.
        stopped: set to stop it.
        now: monotonic seconds.
    """
    scrub, target = Scrubber(), spec.request.target
    scrub.hide(spec.request.call.local, instead=target)  # no path of the server's disk in a document
    scrub.hide(spec.root, instead="the server's root")
    try:
        check_again(spec.request, spec.root)
        job = SyncJob(spec.request.call)
    except NbsyncError as error:
        report(documents.refused(error, scrub))
        return
    call = spec.request.call
    watch = _Watch(job, call.options.timeout, now)
    rows = documents.Rows(scrub)
    while not job.done:
        with contextlib.suppress(Exception):  # not ended yet; or a crash, which is the result's error
            job.wait(INTERVAL)
        if stopped.is_set() or watch.is_over():
            job.cancel()
        rows.take(job.rows(rows.taken))
        report(documents.moment(job.progress.snapshot(), job.endpoint, rows.fresh(), rows.edited))
    result = job.result
    if watch.over and isinstance(result.error, NbsyncError):
        result.error = watch.error(spec.request.source)
    report(documents.ended(result, job.endpoint, target, scrub))


class _Watch:
    """Is an endpoint dead? One that has not answered in time is not waited for, however often it is asked again."""

    def __init__(self, job: SyncJob, seconds: float, now: Callable[[], float]) -> None:
        self._job, self._seconds, self._now = job, seconds, now
        self._since = now()
        self.over = False

    def is_over(self) -> bool:
        """Has it not answered in time? While the pull waits for another run, no time passes."""
        if self._job.state == "waiting":
            self._since = self._now()
        late = self._now() - self._since > self._seconds
        self.over = self.over or (late and not self._job.answered and not self._job.done)
        return self.over

    def error(self, source: str) -> EndpointUnreachable:
        """What to say of it."""
        hint = "Try again later, or ask who runs the server to check its endpoint and credentials"
        return EndpointUnreachable(f"{source}: no answer from the endpoint in {self._seconds:g} seconds", hint)


def main() -> None:
    """Read the job spec, do the pull, and write updates."""
    spec: JobSpec = pickle.load(sys.stdin.buffer)  # from the server that has started this process
    with contextlib.suppress(OSError, AttributeError):  # Windows has no such thing
        os.nice(_NICE)
    with contextlib.suppress(OSError):  # it is gone: only relative paths of the configuration would need it
        os.chdir(spec.cwd)  # not before: what lies there is not to be imported
    stopped = threading.Event()

    def listen() -> None:
        sys.stdin.buffer.read()
        stopped.set()

    threading.Thread(target=listen, name="nbsync-server-gone", daemon=True).start()
    perform(spec, _write, stopped)
    sys.stdout.flush()
    # A thread that waits for credentials, or for standard input, is not waited for; nor is what runs to get them.
    if sys.platform != "win32" and os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def _write(document: dict[str, Any]) -> None:
    try:
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        pass  # the server is gone; `listen` sees that too


if __name__ == "__main__":
    main()
