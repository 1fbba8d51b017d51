"""What a forked process knows of a run of its parent's: that it is the parent's. Any thread."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nbsync.engine.status_board import Board
from nbsync.errors import NbsyncError
from nbsync.results.sync_result import SyncResult

if TYPE_CHECKING:
    from nbsync.core.options import Call


class Elsewhere:
    """Takes a run's place in a process that was forked from the run's own: its thread and its sockets are there."""

    execution = None
    endpoint = ""
    runner = None

    def __init__(self, call: Call, local: str, remote: str) -> None:
        self.call, self.local = call, local
        self.board = Board()
        self.board.state = "failed"
        self.result = SyncResult(
            command=call.command, remote=remote, local=local, dry_run=call.options.dry_run, call=call
        )  # fmt: skip
        whose = f"this sync runs in process {os.getppid()}, from which this process was forked"
        self.result.error = NbsyncError(whose, "Wait for it there, or begin another one here")

    def execute(self) -> SyncResult:
        """Nothing is done here."""
        return self.result

    def stop(self) -> None:
        """It is not ours to stop."""

    def abandon(self) -> None:
        """Nor to leave."""

    def requests(self) -> dict[str, int]:
        """None of any kind."""
        return dict(self.result.requests)
