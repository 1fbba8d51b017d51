"""`undo`: put back what the newest run that has something in the trash replaced or deleted locally.

Runs in a thread of its own, like any run; sends no request. What it replaces goes to the trash as a run of
its own, so that undoing the undo is the same again.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

from nbsync.core import names
from nbsync.core.call import Call
from nbsync.core.model import Evidence, Outcome, Status, Verb
from nbsync.engine import notes
from nbsync.engine.local_session import note_trash, run_name
from nbsync.engine.notes import Notes
from nbsync.engine.run import Run
from nbsync.engine.status_board import OutcomeCounter
from nbsync.errors import LocalError, NbsyncError, UsageError
from nbsync.local import trash
from nbsync.local.place import find_place
from nbsync.local.restore import Restorer, cannot_be_read, stays, unread
from nbsync.local.scan import absolute_root
from nbsync.local.state_dir import StateDir, homes_of, undo_left_of
from nbsync.local.trash_contents import Homes, Item, items
from nbsync.local.undo_note import Undoing, put_back_already
from nbsync.results.sync_result import SyncResult


def undo(call: Call, cancel: threading.Event, *, now_ns: Callable[[], int] = time.time_ns) -> Run:
    """The run of an `undo`. Call it in the caller's thread: it checks the words.

    Args:
        call: with LOCAL, or without it for the current directory; its `only` restricts it to these paths.
        cancel: set to stop it between two files.
        now_ns: the wall clock, ns since the epoch.

    Raises:
        UsageError: LOCAL makes no sense.
    """
    if "://" in call.local:
        raise UsageError(f"{call.local} is no directory: LOCAL is on this machine", "It is: undo [LOCAL]")
    local = call.local or "."
    root = absolute_root(local)
    result = SyncResult(command="undo", remote="", local=local, dry_run=call.options.dry_run, call=call)

    def explain(error: Exception) -> NbsyncError:
        if isinstance(error, NbsyncError):
            return error
        why = error.strerror if isinstance(error, OSError) else error
        return LocalError(f"{local}: {why}", "Check the folder and the disk, then undo again")

    return Run(
        call, local, result, cancel, lambda run: _Undo(run, root, now_ns).do(), explain=explain,
        kept="every file that was put back is kept",
    )  # fmt: skip


class _Undo:
    """One undo in the run's thread."""

    def __init__(self, run: Run, root: str, now_ns: Callable[[], int]) -> None:
        self._run, self._root, self._now_ns = run, root, now_ns
        self._notes = Notes()
        self._tally = OutcomeCounter(run.result, run.board)

    def do(self) -> None:
        """All of it, to the last remark."""
        result = self._run.result
        try:
            self._do()
        finally:
            result.bytes["moved"] = 0  # nothing travelled
            self._notes.files = self._tally.met
            result.notes = self._notes.told()

    def _do(self) -> None:
        local, root, result = self._run.local, self._root, self._run.result
        if not os.path.lexists(root):
            raise LocalError(f"{local}: no such directory", "LOCAL is the directory that was synced")
        if not os.path.isdir(root):
            raise LocalError(f"{local} is not a directory", "LOCAL is a directory; give another")
        place = find_place(root, elsewhere=False)
        if result.dry_run:
            with homes_of(root) as homes:
                self._show(homes, *self._choose(homes, undo_left_of(root, homes)))
        elif not os.path.lexists(place):
            self._show(Homes(), "", [])
        else:
            state_dir = StateDir(root, place, run_name(self._now_ns()), wait=self._run.wait, on_wait=self._note_waiting)
            with closing(state_dir), state_dir.homes() as homes:
                left = state_dir.undo_left(homes)
                self._put_back(state_dir, homes, *self._choose(homes, left), self._done_of(homes, left))

    def _note_waiting(self, owner: str) -> None:
        self._run.board.state, self._notes.waited = "waiting", notes.waited(owner)

    def _choose(self, homes: Homes, left: Undoing | None) -> tuple[str, list[Item]]:
        """The newest run that has something in the trash (something of what is asked for), and what it has.

        An undo that is not done is gone on with: its own trash is no run to undo before it is.
        """
        only = self._run.call.only
        for run in trash.newest_first(homes):
            if left is not None and run == left.by:
                continue
            found = [item for item in items(homes, run) if only is None or item.path in only or item.kind == "unread"]
            if found:
                found.sort(key=lambda item: item.kind != "absent")
                return run, found
        return "", []

    def _done_of(self, homes: Homes, left: Undoing | None) -> set[str]:
        if left is None:
            return set()
        self._notes.words = [notes.RESUMED]
        return put_back_already(self._root, homes, left)

    def _show(self, homes: Homes, run: str, found: list[Item]) -> None:
        counter = self._tally
        self._tell_unread(homes)
        seen = set()
        for item in found:
            if item.kind == "unread":
                counter.take(unread(item, self._root))
            if item.kind in ("folder", "unread") or item.path in seen:
                continue
            seen.add(item.path)
            there = os.path.lexists(os.path.join(self._root, item.path))
            if item.kind == "absent":
                verb, reason = Verb.DELETE_LOCAL, f"to the trash (nothing was here before {_words(run)})"
            else:
                how = "replaced" if there else "deleted"
                verb, reason = Verb.NONE, f"put back from the trash ({how} by {_words(run)})"
            if there or item.kind != "absent":
                counter.take(Outcome(item.path, verb, Status.PLANNED, reason, Evidence.NONE, item.size))
        self._notes.trash = self._left(run, 0)

    def _put_back(self, state_dir: StateDir, homes: Homes, run: str, found: list[Item], done: set[str]) -> None:
        counter = self._tally
        self._tell_unread(homes)
        board = self._run.board
        board.state = "syncing"
        board.files_total, board.listing_done = len(found), True
        restorer = Restorer(state_dir, _words(run), done)
        if found:
            state_dir.begin_undo(run)
        try:
            for outcome in self._outcomes(restorer, found):
                counter.take(outcome)
        finally:
            restorer.close()
        if self._run.result.ok and not self._run.cancel.is_set():
            state_dir.end_undo()
        moved = note_trash(
            self._run.result, state_dir, "replaced or removed by this undo", self._run.call.options.trash_days
        )
        self._notes.trash = [*self._left(run, restorer.earlier), *moved]

    def _tell_unread(self, homes: Homes) -> None:
        """What lies in trash that cannot be opened is not back: whose it is, nobody knows."""
        for place, why in homes.unread.items():
            path = place.partition(names.OWN)[0].rstrip("/") or "."
            self._tally.take(stays(path, cannot_be_read(why), os.path.join(self._root, place)))

    def _outcomes(self, restorer: Restorer, found: list[Item]) -> Iterator[Outcome]:
        for item in found:
            if self._run.cancel.is_set():
                yield Outcome(item.path, Verb.NONE, Status.CANCELLED, "stopped", Evidence.NONE, error="stopped")
                continue
            outcome = restorer.do(item)
            if outcome is not None:
                yield outcome

    def _left(self, run: str, stays: int) -> list[str]:
        return notes.undone(self._run.local, stays, nothing=not run and not self._run.result.files)


def _words(run: str) -> str:
    """`the run of 2026-11-24 20:04:05 UTC`, from a run's name."""
    day, _, clock = run.partition("T")
    return f"the run of {day} {clock[:2]}:{clock[2:4]}:{clock[4:6]} UTC"
