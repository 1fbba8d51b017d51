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
from nbsync.report import formats
from nbsync.report.answers import together_html, together_text
from nbsync.report.html_page import result_html, snapshot_html
from nbsync.report.ipython import Output, bundle_of
from nbsync.report.terminal import TerminalFace
from nbsync.report.text_page import result_text, snapshot_text
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
        self._output = Output(display)
        self._clock = clock
        self._interval = interval
        self._drawn_at = 0.0

    def tick(self, snapshot: Snapshot) -> None:
        if not self._output.is_open and too_early(snapshot):
            return
        now = self._clock()
        if self._output.is_open and now - self._drawn_at < self._interval:
            return
        self._drawn_at = now
        self._output.draw(bundle_of(snapshot_html(snapshot), snapshot_text(snapshot)))

    def close(self, result: SyncResult | None) -> None:
        if result is not None and (self._output.is_open or _worth_a_table(result)):
            self._output.draw(bundle_of(result_html(result, self._show), result_text(result, self._show)))


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
            print(result_text(result, self._show, error=False))


class Headline:
    """What the commands of a cell come to together, above their tables; in a terminal below them, at the end.

    Args:
        expected: how many commands there are.
        shown: show it.
        in_kernel: there is a display to update.
    """

    def __init__(self, expected: int, *, shown: bool, in_kernel: bool) -> None:
        self._expected, self._shown = expected, shown
        self._output = Output()
        if shown and in_kernel:
            text = f"{formats.number(expected, 'command')}, one after the other"
            self._output.draw(bundle_of(f"<div>{text}</div>", text))

    def update(self, results: SyncResults) -> None:
        """One more command has ended, or goes on in the background."""
        if self._output.is_open and len(results) < self._expected:
            self._draw(results)

    def close(self, results: SyncResults) -> None:
        """No more will come."""
        if self._output.is_open:
            self._draw(results)
        elif self._shown:
            print(together_text(results))

    def _draw(self, results: SyncResults) -> None:
        self._output.draw(bundle_of(together_html(results, self._expected), together_text(results, self._expected)))


def _worth_a_table(result: SyncResult) -> bool:
    return result.error is None or bool(result.files)
