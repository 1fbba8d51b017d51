"""A run as a cell draws it. Everything here runs in the thread that waits (in a notebook, the kernel's main one).

The job's `wait` calls `tick` a few times a second; a face draws it. In a notebook the cell has one output
that is updated in place and ends as the finished table, so a saved notebook shows that.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from nbsync.api.follow import INTERVAL
from nbsync.core.model import Snapshot
from nbsync.report import formats, report
from nbsync.report.ipython import ipython_display
from nbsync.report.terminal import TerminalFace
from nbsync.report.view import too_early
from nbsync.results.batch import SyncResults
from nbsync.results.sync_result import SyncResult


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


def _worth_a_table(result: SyncResult) -> bool:
    return result.error is None or bool(result.files)
