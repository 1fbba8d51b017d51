"""What a forked process knows of a run of its parent's: that it is the parent's."""

from __future__ import annotations

import os
import threading

from nbsync.core.call import Call
from nbsync.engine.run import Run
from nbsync.errors import NbsyncError
from nbsync.results.sync_result import SyncResult


def elsewhere(call: Call, local: str, remote: str) -> Run:
    """Takes a run's place in a process that was forked from the run's own, which has its thread and its sockets."""
    result = SyncResult(command=call.command, remote=remote, local=local, dry_run=call.options.dry_run, call=call)
    whose = f"this sync runs in process {os.getppid()}, from which this process was forked"
    result.error = NbsyncError(whose, "Wait for it there, or begin another one here")
    run = Run(call, local, result, threading.Event(), lambda _run: None, explain=lambda _error: NbsyncError(whose))
    run.board.state = "failed"
    return run
