"""Follow a run and draw it. Everything here runs in the thread that waits (in a notebook, the kernel's main one).

The job's `wait` calls `tick` a few times a second; a face draws it. In a notebook the cell has one output
that is updated in place and ends as the finished table, so a saved notebook shows that.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

from nbsync.api.ports import Job
from nbsync.core.model import Snapshot
from nbsync.errors import Interrupted
from nbsync.report import formats, report
from nbsync.report.terminal import TerminalFace
from nbsync.report.view import too_early
from nbsync.results.sync_result import SyncResult, SyncResults

INTERVAL = 0.2  # seconds: five updates a second; front ends drop messages at some ten times that


class Face(Protocol):
    """Something that shows a run: called with snapshots, then once with the result (None: it blew up)."""

    def tick(self, snapshot: Snapshot) -> None: ...

    def close(self, result: SyncResult | None) -> None: ...


class SilentFace:
    """Shows nothing."""

    def tick(self, snapshot: Snapshot) -> None:
        pass

    def close(self, result: SyncResult | None) -> None:
        pass


class NotebookFace:
    """One display in the cell, updated in place.

    Args:
        show: which rows the finished table shows.
        display: IPython's `display`, or a fake of it.
        clock: seconds; `interval` is the least number of them between two updates.
    """

    def __init__(self, show: str = "changed", *, display: Callable[..., Any] | None = None,
                 clock: Callable[[], float] = time.monotonic, interval: float = INTERVAL) -> None:  # fmt: skip
        self._show = show
        self._display = display or ipython_display
        self._clock = clock
        self._interval = interval
        self._handle: Any = None
        self._drawn_at = 0.0

    def tick(self, snapshot: Snapshot) -> None:
        if self._handle is None and too_early(snapshot):
            return
        now = self._clock()
        if self._handle is not None and now - self._drawn_at < self._interval:
            return
        self._drawn_at = now
        self._draw(report.snapshot_html(snapshot), report.snapshot_text(snapshot))

    def close(self, result: SyncResult | None) -> None:
        if result is not None and (self._handle is not None or _worth_a_table(result)):
            self._draw(report.result_html(result, self._show), report.result_text(result, self._show))

    def _draw(self, html: str, text: str) -> None:
        bundle = {"text/html": html, "text/plain": text}
        if self._handle is None:
            self._handle = self._display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)


class ShellFace:
    """For IPython in a terminal: progress on standard error, the table as text on standard output."""

    def __init__(self, show: str = "changed") -> None:
        self._show = show
        self._progress = TerminalFace(sys.stderr)

    def tick(self, snapshot: Snapshot) -> None:
        self._progress.tick(snapshot)

    def close(self, result: SyncResult | None) -> None:
        self._progress.close(result)
        if result is not None and _worth_a_table(result):
            # What ended the run is raised, and the shell prints it.
            print(report.result_text(result, self._show, error=False))


class Headline:
    """What the commands of a cell come to together, above their tables; in a terminal below them, at the end.

    Args:
        expected: how many commands there are.
        shown: show it.
        in_kernel: there is a display to update.
    """

    def __init__(self, expected: int, *, shown: bool, in_kernel: bool) -> None:
        self._expected, self._shown = expected, shown
        self._handle: Any = None
        if shown and in_kernel:
            text = f"{formats.number(expected, 'command')}, one after the other"
            self._handle = ipython_display({"text/html": f"<div>{text}</div>", "text/plain": text}, raw=True,
                                           display_id=True)  # fmt: skip

    def update(self, results: SyncResults) -> None:
        """One more command has ended, or goes on in the background."""
        if self._handle is not None and len(results) < self._expected:
            self._draw(results)

    def close(self, results: SyncResults) -> None:
        """No more will come."""
        if self._handle is not None:
            self._draw(results)
        elif self._shown:
            print(report.together_text(results))

    def _draw(self, results: SyncResults) -> None:
        html = report.together_html(results, self._expected)
        self._handle.update({"text/html": html, "text/plain": report.together_text(results, self._expected)}, raw=True)


def follow(job: Job, face: Face, *, interval: float = INTERVAL) -> SyncResult:
    """Wait for `job`, drawing it on `face`; an interrupt cancels it and still gives what was done.

    The result of an interrupted run carries Interrupted as its `error`.

    Raises:
        KeyboardInterrupt: a second interrupt, while the first is being obeyed.
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


def _worth_a_table(result: SyncResult) -> bool:
    return result.error is None or bool(result.files)


def ipython_display(*args: Any, **kwargs: Any) -> Any:
    """IPython's `display`, imported when something is shown."""
    import IPython.display

    display: Any = IPython.display.display
    return display(*args, **kwargs)
