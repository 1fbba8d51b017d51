"""Progress in a terminal, by rich, on standard error. Runs in the thread that waits; rich starts none.

rich is imported when the first picture is drawn: a short run never pays for it. Names from the bucket go
in as Text, never as markup, with control characters made visible.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TextIO

from nbsync.core.model import Snapshot
from nbsync.report import formats, text_page
from nbsync.report.view import WAITING, title, too_early
from nbsync.results.sync_result import SyncResult

if TYPE_CHECKING:
    from rich.console import RenderableType

ACTIVE_SHOWN = 6
_STYLES = {"failed": "red", "conflict": "red", "skipped": "yellow", "cancelled": "yellow",
           "deleted": "yellow", "miss": "green", "planned": "blue", "hit": "dim"}  # fmt: skip


class TerminalFace:
    """Draws a run on `stream` while it lasts and takes the picture away at the end.

    Where `stream` is no terminal nothing is drawn; one line says it when the run waits for another one.

    Args:
        stream: standard error.
        says: print that line.
    """

    def __init__(self, stream: TextIO, *, says: bool = True) -> None:
        self._stream = stream
        self._says = says
        self._draws = stream.isatty()
        self._live: Any = None

    def tick(self, snapshot: Snapshot) -> None:
        """Draw `snapshot`, as long as there is a terminal."""
        try:
            self._show(snapshot)
        except OSError:
            self._leave()

    def _show(self, snapshot: Snapshot) -> None:
        if not self._draws:
            self._say(snapshot)
            return
        if self._live is None and too_early(snapshot):
            return
        if self._live is None:
            self._live = self._started()
        self._live.update(picture(snapshot), refresh=True)

    def close(self, result: SyncResult | None) -> None:
        """Take the picture away; the cursor is where it was."""
        if self._live is not None:
            try:
                self._live.stop()
            except OSError:
                self._leave()
            self._live = None

    def _leave(self) -> None:
        """The terminal was closed."""
        self._draws = self._says = False
        self._live = None

    def _say(self, snapshot: Snapshot) -> None:
        if self._says and snapshot.state == "waiting":
            self._says = False
            print(f"nbsync: {WAITING}", file=self._stream, flush=True)

    def _started(self) -> Any:
        from rich.console import Console
        from rich.live import Live

        live = Live(console=Console(file=self._stream), transient=True, auto_refresh=False,
                    redirect_stdout=False, redirect_stderr=False)  # fmt: skip
        live.start()
        return live


def picture(snapshot: Snapshot) -> RenderableType:
    """The run at one moment: bar, totals, counts, the files on their way, the latest problem."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    name = title(snapshot.command, snapshot.remote, snapshot.local, snapshot.direction)
    counts = Text("  ")
    for status in formats.IMPORTANCE:
        if snapshot.counts.get(status):
            counts.append(f"{snapshot.counts[status]:,} {status}  ", style=_STYLES[status])
    done = text_page.share(snapshot)
    bar = Table.grid(padding=(0, 1, 0, 2))
    bar.add_row(ProgressBar(total=1.0, completed=done, width=40), Text(f"{done:.0%}"))
    facts = Text("  " + " · ".join(text_page.progress_facts(snapshot)), overflow="ellipsis", no_wrap=True)
    files = Table.grid(padding=(0, 1, 0, 2))
    for item in snapshot.active[:ACTIVE_SHOWN]:
        files.add_row(ProgressBar(total=max(item.size, 1), completed=item.done, width=12),
                      Text(f"{formats.size(item.done)} of {formats.size(item.size)}", justify="right"),
                      Text(formats.clean(item.path, 60), overflow="ellipsis", no_wrap=True))  # fmt: skip
    problems = [Text(f"  ! {formats.clean(p.path, 60)}: {formats.clean(p.message, 80)}", style="red")
                for p in snapshot.problems[-1:]]  # fmt: skip
    waiting = [Text(f"  {WAITING}", style="yellow")] if snapshot.state == "waiting" else []
    return Group(Text(formats.clean(name, 200), style="bold"), *waiting, bar, facts, counts, files, *problems)
