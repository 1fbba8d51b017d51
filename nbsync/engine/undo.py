"""`undo`: put back what the newest run that has something in the trash replaced or deleted locally.

Runs in a thread of its own, like any run; sends no request. What it replaces goes to the trash as a run of
its own, so that undoing the undo is the same again.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator

from nbsync.core import names
from nbsync.core.model import Direction, Evidence, Outcome, Status, Verb
from nbsync.core.options import Call
from nbsync.engine.local_session import note_trash, run_name
from nbsync.engine.status_board import Board, Tally
from nbsync.errors import Interrupted, LocalError, NbsyncError, UsageError
from nbsync.local import trash
from nbsync.local.place import find_place
from nbsync.local.restore import Restorer, cannot_be_read, stays, unread
from nbsync.local.scan import absolute_root
from nbsync.local.state_dir import Room, homes_of, undo_left_of
from nbsync.local.trash_contents import Homes, Item, items
from nbsync.local.undo_note import Undoing, put_back_already
from nbsync.results.sync_result import SyncResult


class Undo:
    """One undo of a call, with what SyncJob needs of a run. Make it in the caller's thread, `execute` it in its own.

    Args:
        call: with LOCAL, or without it for the current directory; its `only` restricts it to these paths.
        cancel: set to stop it between two files.
        now_ns: the wall clock, ns since the epoch.

    Raises:
        UsageError: LOCAL makes no sense.
    """

    direction = Direction.PULL  # it changes LOCAL
    execution = None
    endpoint = ""
    runner = None

    def __init__(self, call: Call, cancel: threading.Event, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        if "://" in call.local:
            raise UsageError(f"{call.local} is no directory: LOCAL is on this machine", "It is: undo [LOCAL]")
        self.call = call
        self.local = call.local or "."
        self.root = absolute_root(self.local)
        self.board = Board()
        self._cancel, self._now_ns = cancel, now_ns
        self._waited_for = ""
        self.result = SyncResult(
            command="undo", remote="", local=self.local, dry_run=call.options.dry_run, call=call
        )  # fmt: skip

    def execute(self) -> SyncResult:
        """Do it; what was refused is in the result's `error`."""
        started = time.monotonic()
        result = self.result
        try:
            self._run()
        except NbsyncError as error:
            result.error = error
        except OSError as error:
            result.error = LocalError(
                f"{self.local}: {error.strerror}", "Check the folder and the disk, then undo again"
            )
        if self._cancel.is_set():
            result.error = _interrupted()
        result.bytes["moved"] = 0  # nothing travelled
        result.files.sort(key=lambda row: row.path)
        result.seconds = time.monotonic() - started
        self.board.state = "cancelled" if self._cancel.is_set() else "failed" if result.error else "done"
        return result

    def stop(self) -> None:
        """From any thread: stop after the file under way."""
        self._cancel.set()

    def abandon(self) -> None:
        """Not waited for any more."""
        self.result.error = _interrupted()

    def requests(self) -> dict[str, int]:
        """None of any kind."""
        return dict(self.result.requests)

    # ---- what follows runs in the undo's own thread -------------------------------------------------

    def _run(self) -> None:
        if not os.path.lexists(self.root):
            raise LocalError(f"{self.local}: no such directory", "LOCAL is the directory that was synced")
        if not os.path.isdir(self.root):
            raise LocalError(f"{self.local} is not a directory", "LOCAL is a directory; give another")
        place = find_place(self.root, elsewhere=False)
        if self.result.dry_run:
            with homes_of(self.root) as homes:
                self._show(homes, *self._choose(homes, undo_left_of(self.root, homes)))
        elif not os.path.lexists(place):
            self._show(Homes(), "", [])
        else:
            room = Room(self.root, place, run_name(self._now_ns()), wait=self._cancel.wait, on_wait=self._note_waiting)
            try:
                with room.homes() as homes:
                    left = room.undo_left(homes)
                    self._put_back(room, homes, *self._choose(homes, left), self._done_of(homes, left))
            finally:
                room.close()
        if self._waited_for:
            waited = f"another nbsync run ({self._waited_for}) was at work here: this one waited for it"
            self.result.notes.append(waited)

    def _note_waiting(self, owner: str) -> None:
        self.board.state = "waiting"
        self._waited_for = owner

    def _choose(self, homes: Homes, left: Undoing | None) -> tuple[str, list[Item]]:
        """The newest run that has something in the trash (something of what is asked for), and what it has.

        An undo that is not done is gone on with: its own trash is no run to undo before it is.
        """
        only = self.call.only
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
        self.result.notes.append("an undo that was not finished is gone on with")
        return put_back_already(self.root, homes, left)

    def _show(self, homes: Homes, run: str, found: list[Item]) -> None:
        tally = Tally(self.result, self.board)
        self._tell_unread(homes, tally)
        seen = set()
        for item in found:
            if item.kind == "unread":
                tally.take(unread(item, self.root))
            if item.kind in ("folder", "unread") or item.path in seen:
                continue
            seen.add(item.path)
            there = os.path.lexists(os.path.join(self.root, item.path))
            if item.kind == "absent":
                verb, reason = Verb.DELETE_LOCAL, f"to the trash (nothing was here before {_words(run)})"
            else:
                how = "replaced" if there else "deleted"
                verb, reason = Verb.NONE, f"put back from the trash ({how} by {_words(run)})"
            if there or item.kind != "absent":
                tally.take(Outcome(item.path, verb, Status.PLANNED, reason, Evidence.NONE, item.size))
        self._note_nothing(run)

    def _put_back(self, room: Room, homes: Homes, run: str, found: list[Item], done: set[str]) -> None:
        tally = Tally(self.result, self.board)
        self._tell_unread(homes, tally)
        self.board.state = "syncing"
        self.board.files_total, self.board.listing_done = len(found), True
        restorer = Restorer(room, _words(run), done)
        if found:
            room.begin_undo(run)
        try:
            for outcome in self._outcomes(restorer, found):
                tally.take(outcome)
        finally:
            restorer.close()
        if self.result.ok and not self._cancel.is_set():
            room.end_undo()
        self._note_nothing(run)
        if restorer.earlier:
            what = "1 file stays" if restorer.earlier == 1 else f"{restorer.earlier:,} files stay"
            self.result.notes.append(f"{what} in the trash: what stood in the place later is back there")
        note_trash(self.result, room, "replaced or removed by this undo", self.call.options.trash_days)

    def _tell_unread(self, homes: Homes, tally: Tally) -> None:
        """What lies in trash that cannot be opened is not back: whose it is, nobody knows."""
        for place, why in homes.unread.items():
            path = place.partition(names.OWN)[0].rstrip("/") or "."
            tally.take(stays(path, cannot_be_read(why), os.path.join(self.root, place)))

    def _outcomes(self, restorer: Restorer, found: list[Item]) -> Iterator[Outcome]:
        for item in found:
            if self._cancel.is_set():
                yield Outcome(item.path, Verb.NONE, Status.CANCELLED, "stopped", Evidence.NONE, error="stopped")
                continue
            outcome = restorer.do(item)
            if outcome is not None:
                yield outcome

    def _note_nothing(self, run: str) -> None:
        if not run and not self.result.files:
            self.result.notes.append(f"nothing to undo: there is nothing in the trash of {self.local}")


def _words(run: str) -> str:
    """`the run of 2026-11-24 20:04:05 UTC`, from a run's name."""
    day, _, clock = run.partition("T")
    return f"the run of {day} {clock[:2]}:{clock[2:4]}:{clock[4:6]} UTC"


def _interrupted() -> Interrupted:
    return Interrupted("stopped by the user; every file that was put back is kept", "Run it again to do the rest")
