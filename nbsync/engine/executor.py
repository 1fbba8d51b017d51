"""From Actions to Outcomes: stream them, or collect them in the action spool and guard first; deletes last.

Part of the engine; runs in the run's thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from nbsync.core import guard
from nbsync.core.decide import clashing
from nbsync.core.decide_two_way import with_copies
from nbsync.core.model import DELETES, Action, Outcome, Status, Verb
from nbsync.engine.deciders import Decider
from nbsync.engine.disk_need import Need
from nbsync.engine.ports import Workers
from nbsync.engine.source import Seen
from nbsync.engine.status_board import OutcomeCounter, StatusBoard
from nbsync.local.action_spool import ActionSpool
from nbsync.transfer.runner import AnyRunner
from nbsync.transfer.worker import settled

_HELD = 256  # Actions looked at before it is known whether the run can stream
_PLENTY = 100  # times the room that those need: then there is no need to know the rest first


class Execution:
    """Runs the Actions of one run.

    Args:
        workers: compare, and change something once they are asked for that.
        board, tally: are kept up to date.
        decider: says whether all is to be decided before anything is changed, and then whether that may be.
        need: gives what nothing was added to.
        limits: if they are measured, all is compared with them before anything is changed.
    """

    def __init__(
        self, workers: Workers, board: StatusBoard, counter: OutcomeCounter, decider: Decider, need: Callable[[], Need],
        limits: guard.Limits = guard.NO_LIMITS,
    ) -> None:  # fmt: skip
        self._workers, self._board, self._tally = workers, board, counter
        self._decider, self._need, self._limits = decider, need, limits
        self._doubtful: list[str] = []  # paths of files that were kept although they are not as their ETags

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
        if self._workers.dry_run:
            actions = map(_as_foreseen, actions)
        with contextlib.closing(ActionSpool()) as later:
            self._transfer(_now(actions, later))
            if any(action.verb not in DELETES for action in later):
                self._transfer(action for action in later if action.verb not in DELETES)
            if any(action.verb in DELETES for action in later):  # a second stream counts from the beginning
                self._delete((action for action in later if action.verb in DELETES), seen)

    def _transfer(self, actions: Iterable[Action]) -> None:
        runner = self._workers.change()
        self._board.files_done = self._board.files_total = self._board.bytes_total = 0
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
        for outcome in self._workers.settle_doubts():
            self._take(outcome)
        if self._workers.etags_are_md5:
            for path in self._doubtful:
                self._tally.disown(path, "does not have its object's MD5, which others turned out to have: run again")
            self._doubtful.clear()

    def _feed(self, runner: AnyRunner[Outcome], actions: Iterable[Action]) -> None:
        board = self._board
        for action in actions:
            if self._workers.cancelled():
                return
            board.files_total += 1
            if action.status is not Status.PLANNED:
                self._tally.take(settled(action))
                continue
            board.bytes_total += action.bytes
            if self._workers.dry_run and not action.check:  # no question is left: the plan has the order of the paths
                self._tally.take(settled(action))
                continue
            runner.submit(action)
            for outcome in runner.drain():
                self._take(outcome)

    # ---- comparing first, changing afterwards -------------------------------------------------------

    def _complete(self, actions: Iterable[Action], seen: Seen) -> None:
        action_spool = ActionSpool()
        try:
            need = self._compare_all(actions, action_spool)
            refusal = (
                need.too_much(self._limits) or need.no_room() or self._decider.refusal(seen, need.deletes_in_all())
            )
            if refusal is not None:
                if self._workers.dry_run:  # what was refused can still be looked at
                    self._stream(action_spool, seen)
                raise refusal
            if self._workers.cancelled():
                return
            self._stream(action_spool, seen)
        finally:
            action_spool.close()

    def _compare_all(self, actions: Iterable[Action], action_spool: ActionSpool) -> Need:
        """Settle every question that needs reading; nothing is changed. All Actions end in the action spool.

        The source of a run that goes beyond its limits is not listed to its end.
        """
        need, runner = self._need(), self._workers.compare()

        def keep(done: Iterable[Action]) -> None:
            for action in chain.from_iterable(map(with_copies, done)):
                need.add(action)
                action_spool.add(action)

        try:
            for action in actions:
                if self._workers.cancelled() or need.too_much(self._limits) is not None:
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
        if not self._workers.cancelled():
            self._board.state = "deleting"
            self._transfer(deletes)

    def _has_plenty(self, held: list[Action]) -> bool:
        if not any(action.verb is Verb.DOWNLOAD for action in held):
            return True
        need = self._need()
        for action in held:
            need.add(action)
        return need.fits(1 if len(held) < _HELD else _PLENTY)


def _now(actions: Iterable[Action], later: ActionSpool) -> Iterator[Action]:
    """Those that can be done now; the others are set aside."""
    for action in actions:
        if action.status is Status.PLANNED and (action.verb in DELETES or action.namesake):
            later.add(action)
        else:
            yield action


def _as_foreseen(action: Action) -> Action:
    """The Action, as a run that changes nothing can tell: two keys of one name are one file."""
    foreseen = action.status is Status.PLANNED and action.verb is Verb.DOWNLOAD and action.namesake
    return clashing(action) if foreseen else action
