"""From Actions to Outcomes: stream them, or spool and guard them first; deletes last and only if sure.

Part of the engine; runs in the run's thread.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from nbsync.core import guard
from nbsync.core.decide import clashing
from nbsync.core.model import Action, Outcome, Status, Verb
from nbsync.engine.deciders import Decider
from nbsync.engine.ports import Moving, Workforce
from nbsync.engine.source import Seen
from nbsync.engine.status_board import Board, Tally
from nbsync.errors import GuardRefusal
from nbsync.local.action_spool import Spool
from nbsync.transfer.context import Context
from nbsync.transfer.runner import AnyRunner, Runner
from nbsync.transfer.small_files import Lane
from nbsync.transfer.worker import Worker, settled

_HELD = 256  # Actions looked at before it is known whether the run can stream
_PLENTY = 100  # times the room that those need: then there is no need to know the rest first
_RECORD_BYTES = 300  # about what the state takes for a file
_DELETES = (Verb.DELETE_LOCAL, Verb.DELETE_REMOTE)


class Execution:
    """Runs the Actions of one run.

    Args:
        ctx: for comparing: nothing is changed with it.
        prepare: gives the context for changing; called before the first change, and before anything is tallied.
        decider: says whether all is to be decided before that, and then whether anything may be changed.
        limits: if they are measured, all is compared with them before that.
        show: told of each runner that begins.
        workforce: does what it can of the changing, if there is one.
    """

    def __init__(
        self, ctx: Context, board: Board, tally: Tally, prepare: Callable[[], Context], decider: Decider, *,
        limits: guard.Limits = guard.NO_LIMITS, show: Callable[[Moving], None] = lambda _runner: None,
        workforce: Workforce | None = None,
    ) -> None:  # fmt: skip
        self._ctx, self._prepare, self._prepared = ctx, prepare, False
        self._board, self._tally, self._decider, self._limits = board, tally, decider, limits
        self._show, self._workforce = show, workforce
        self._doubtful: list[str] = []  # paths of files that were kept although they are not as their ETags

    @property
    def changing(self) -> Context | None:
        """The context for changing, once the guards have answered; None before."""
        return self._ctx if self._prepared else None

    def run(self, actions: Iterator[Action], seen: Seen) -> None:
        """Do them all.

        Args:
            actions: in any order, settled or to do.
            seen: is complete after the last Action.

        Raises:
            GuardRefusal: before anything was changed. ListingError and others from `actions`.
        """
        held = []
        for action in actions:
            held.append(action)
            if len(held) >= _HELD:
                break
        if self._decider.may_delete or self._limits.measured or not self._has_plenty(held):
            self._complete(chain(held, actions), seen)
        else:
            self._stream(chain(held, actions), seen)

    # ---- streaming ----------------------------------------------------------------------------------

    def _stream(self, actions: Iterable[Action], seen: Seen) -> None:
        """All but the deletes, which come last, and what is begun only when the rest is in its place."""
        if self._ctx.dry_run:
            actions = map(_as_foreseen, actions)
        with contextlib.closing(Spool()) as later:
            self._transfer(_now(actions, later))
            if any(action.verb not in _DELETES for action in later):
                self._transfer(action for action in later if action.verb not in _DELETES)
            if any(action.verb in _DELETES for action in later):  # a second stream counts from the beginning
                self._delete((action for action in later if action.verb in _DELETES), seen)

    def _transfer(self, actions: Iterable[Action]) -> None:
        if not self._prepared:
            self._ctx, self._prepared = self._prepare(), True
        runner = self._start(lambda worker, action: worker.perform(action))
        try:
            self._feed(runner, actions)
        finally:
            for outcome in runner.finish():
                self._take(outcome)
            self._settle_doubts()
        if runner.failure is not None:
            raise runner.failure

    def _take(self, outcome: Outcome) -> None:
        """One has ended, or is held back."""
        if outcome.doubtful:
            if outcome.status is Status.PLANNED:
                return
            self._doubtful.append(outcome.path)
        self._tally.take(outcome)

    def _settle_doubts(self) -> None:
        """No more will end that could show what ETags are here: decide on what is in doubt."""
        if self._ctx.doubts:
            worker = Worker(self._ctx)
            try:
                for doubt in self._ctx.doubts:
                    self._take(worker.settle(doubt))
            finally:
                worker.close()
            self._ctx.doubts.clear()
        if self._ctx.bucket.can.etag_is_md5:
            for path in self._doubtful:
                self._tally.disown(path, "does not have its object's MD5, which others turned out to have: run again")
            self._doubtful.clear()

    def _runs(self) -> dict[str, Any]:
        ctx = self._ctx
        return {"controller": ctx.controller, "cancel": ctx.cancel, "abort": ctx.bucket.client.abort}

    def _start(self, do: Callable[[Worker, Action], Outcome]) -> AnyRunner[Outcome]:
        self._board.files_done = self._board.files_total = self._board.bytes_total = 0
        ctx = self._ctx
        runner = Runner(lambda: Worker(ctx), do, **self._runs())
        if self._workforce is not None and ctx.room is not None:
            theirs = self._workforce.runner(ctx, runner)
            self._show(theirs)
            return theirs
        if not ctx.dry_run:
            runner.lane = Lane(ctx, done=runner.ended, hand_over=runner.hand_over)
        self._show(runner)
        return runner

    def _feed(self, runner: AnyRunner[Outcome], actions: Iterable[Action]) -> None:
        board = self._board
        for action in actions:
            if self._ctx.cancelled():
                return
            board.files_total += 1
            if action.status is not Status.PLANNED:
                self._tally.take(settled(action))
                continue
            board.bytes_total += action.bytes
            if self._ctx.dry_run and not action.check:  # no question is left: the plan has the order of the paths
                self._tally.take(settled(action))
                continue
            runner.submit(action)
            for outcome in runner.drain():
                self._take(outcome)

    # ---- comparing first, changing afterwards -------------------------------------------------------

    def _complete(self, actions: Iterable[Action], seen: Seen) -> None:
        spool = Spool()
        try:
            need = self._compare_all(actions, spool)
            refusal = (
                need.too_much(self._limits) or need.no_room() or self._decider.refusal(seen, need.deletes_in_all())
            )
            if refusal is not None:
                if self._ctx.dry_run:  # what was refused can still be looked at
                    self._stream(spool, seen)
                raise refusal
            if self._ctx.cancelled():
                return
            self._stream(spool, seen)
        finally:
            spool.close()

    def _compare_all(self, actions: Iterable[Action], spool: Spool) -> _Need:
        """Settle every question that needs reading; nothing is changed. All Actions end in the spool.

        The source of a run that goes beyond its limits is not listed to its end.
        """
        ctx, need = self._ctx, _Need(self._ctx)
        runner: Runner[Action] = Runner(lambda: Worker(ctx), _resolve, **self._runs())
        self._show(runner)

        def keep(done: Iterable[Action]) -> None:
            for action in done:
                need.add(action)
                spool.add(action)

        try:
            for action in actions:
                if self._ctx.cancelled() or need.too_much(self._limits) is not None:
                    break
                self._board.files_total += 1
                if action.check:
                    runner.submit(action)
                    keep(runner.drain())
                else:
                    keep([action])
        finally:
            keep(runner.finish())
        if runner.failure is not None:
            raise runner.failure
        return need

    def _delete(self, deletes: Iterable[Action], seen: Seen) -> None:
        """Last, and only if nothing went wrong on the way, and the source was read completely."""
        unread = f"{seen.unread} could not be read" if seen.unread else ""
        why = unread or ("a transfer failed" if self._tally.failed else "")
        if why:
            for action in deletes:
                reason = f"not deleted: {why}"
                outcome = settled(action)._replace(status=Status.CANCELLED, reason=reason, error=reason, bytes=0)
                self._tally.take(outcome)
            return
        if not self._ctx.cancelled():
            self._board.state = "deleting"
            self._transfer(deletes)

    def _has_plenty(self, held: list[Action]) -> bool:
        if not any(action.verb is Verb.DOWNLOAD for action in held):
            return True
        need = _Need(self._ctx)
        for action in held:
            need.add(action)
        return need.fits(1 if len(held) < _HELD else _PLENTY)


def _now(actions: Iterable[Action], later: Spool) -> Iterator[Action]:
    """Those that can be done now; the others are set aside."""
    for action in actions:
        if action.status is Status.PLANNED and (action.verb in _DELETES or action.namesake):
            later.add(action)
        else:
            yield action


def _as_foreseen(action: Action) -> Action:
    """The Action, as a run that changes nothing can tell: two keys of one name are one file."""
    foreseen = action.status is Status.PLANNED and action.verb is Verb.DOWNLOAD and action.namesake
    return clashing(action) if foreseen else action


def _resolve(worker: Worker, action: Action) -> Action:
    return worker.resolve_safely(action)


class _Need:
    """What the run would take: room on the disk, and deletions."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._sum = self._largest = 0
        self._deletes = 0
        self._moves = self._moved_bytes = 0
        self._ways: set[str] = set()
        place = ctx.root
        while not os.path.isdir(place):
            place = os.path.dirname(place)
        disk = os.statvfs(place)
        # Some file systems count neither blocks nor files.
        self.free = disk.f_bavail * disk.f_frsize if disk.f_blocks else sys.maxsize
        self.free += ctx.journal.held_bytes()
        self._block = disk.f_frsize or 1
        self._free_files = disk.f_favail if disk.f_files else None
        self._files = 0
        self._place = place

    @property
    def bytes(self) -> int:
        """Room for what will be there more than now, and for the largest file in staging."""
        return max(0, self._sum) + self._largest

    def fits(self, times: int) -> bool:
        """Is there room for so many times what was added?"""
        files_fit = self._free_files is None or self._files * times <= self._free_files
        return files_fit and self.bytes * times <= self.free

    def add(self, action: Action) -> None:
        """Take one Action into account."""
        if action.status is not Status.PLANNED:
            return
        if action.verb in (Verb.DOWNLOAD, Verb.UPLOAD):
            self._moves += 1
            self._moved_bytes += action.bytes
        if action.verb is Verb.DOWNLOAD:
            goes = self._room_of(action.local.size) if action.local is not None and not action.trash else 0
            self._sum += self._room_of(action.bytes) - goes + _RECORD_BYTES
            self._largest = max(self._largest, goes)
            self._files += action.local is None or action.trash
            if action.in_the_way:
                self._ways.add(action.in_the_way)
        elif action.verb in _DELETES:
            self._deletes += 1

    def _room_of(self, size: int) -> int:
        """Bytes that a file takes on the disk: whole blocks."""
        return -(-size // self._block) * self._block

    def too_much(self, limits: guard.Limits) -> GuardRefusal | None:
        """The limit that what was added so far goes beyond, if it does."""
        return guard.too_much(self._moves, self._moved_bytes, limits)

    def no_room(self) -> GuardRefusal | None:
        """The disk is too small, if it is."""
        return guard.no_room(self.bytes, self.free, self._place) or guard.no_room_for_files(
            self._files, self._free_files, self._place
        )

    def deletes_in_all(self) -> int:
        """Files and objects that would be deleted, those in the way of downloads counted one by one."""
        return self._deletes + sum(_files_at(self._ctx.local_path(way)) for way in self._ways)


def _files_at(path: str) -> int:
    if not os.path.isdir(path) or os.path.islink(path):
        return 1
    return sum(len(names) for _, _, names in os.walk(path))
