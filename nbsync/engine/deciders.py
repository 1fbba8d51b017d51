"""What decides in a sync: anew, or as a plan says. A sync is given one, and knows no more of it than `Decider`."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from typing import Protocol

from nbsync.core import decide, guard, recheck
from nbsync.core.model import Action, Direction, Joined, RecordedEntry, Verb
from nbsync.engine.source import Seen, Sides
from nbsync.errors import NbsyncError
from nbsync.local.scan import kept_below


class Record(Protocol):
    """What was recorded of earlier syncs; `local.record.State` is one."""

    def believed(self, row: RecordedEntry) -> RecordedEntry:
        """As much of a row as is proved to be this user's."""


class Decider(Protocol):
    """What one sync does about each path. Used by the run's own thread alone.

    The verbs of its Actions say which side changes; one run may change both.

    Attributes:
        direction: which sides the Actions may change.
        as_planned: it does what was planned, and nothing else: what changes while the run goes on is a conflict and
            not decided again.
        may_delete: everything is decided, and `refusal` asked, before anything is changed.
    """

    @property
    def direction(self) -> Direction: ...
    @property
    def as_planned(self) -> bool: ...
    @property
    def may_delete(self) -> bool: ...

    def admits(self, path: str, /) -> bool:
        """Does the path take part? Asked of all that REMOTE lists."""

    def begin(self, only: str, record: Record, /) -> None:
        """REMOTE has answered; nothing is decided yet, or not any more: it is listed once more.

        Args:
            only: the path of the one object that REMOTE names; empty if it is a folder.
            record: what is known of earlier syncs with this REMOTE.
        """

    def decide(self, one: Joined) -> Action | None:
        """What to do about a path, with the reason; None if there is nothing to say."""

    def forgets(self, path: str, /) -> bool:
        """May what is recorded of a path go, if neither side has it any more and there is nothing to say of it?"""

    def rest(self) -> Iterator[Action]:
        """What is to be done besides, once every path was decided: at paths that neither side has."""

    def refusal(self, seen: Seen, deletes: int) -> NbsyncError | None:
        """Why nothing may be changed, if so. Asked when all is decided.

        Args:
            seen: what both sides hold.
            deletes: files and objects that would be deleted.
        """


class Fresh:
    """Decides by what both sides and the record hold now, and by the options of a call.

    Args:
        sides: the call's.
        admits: does a path take part?
    """

    as_planned = False

    def __init__(self, sides: Sides, admits: Callable[[str], bool]) -> None:
        options, self._sides = sides.call.options, sides
        self._policy = decide.Policy(
            Direction(sides.call.direction), options.delete, options.compare, options.overwrite_remote,
            options.existing, options.ignore_existing, admits, sides.scope.reaches, len(sides.location.prefix.encode()),
        )  # fmt: skip
        self._local_was_there = True
        self.direction, self.may_delete, self.admits = self._policy.direction, options.delete, admits

    def begin(self, only: str, record: Record) -> None:
        """See Decider: what else LOCAL holds, or held, than a single object is not this run's business."""
        admits = (lambda path: path == only) if only else self.admits
        self._policy = self._policy._replace(admits=admits, believed=record.believed)
        self._local_was_there = os.path.isdir(self._sides.root)

    def decide(self, one: Joined) -> Action | None:
        """See Decider."""
        action = decide.decide(one, self._policy)
        if action is not None and action.verb is Verb.DOWNLOAD and one.local is None and self._local_was_there:
            return self._look_there(one, action)
        return action

    def _look_there(self, one: Joined, action: Action) -> Action | None:
        """The Action, decided anew if something stands at its path that the scan did not show, or must be kept."""
        folder = os.path.join(self._sides.root, one.path)
        try:
            at = os.lstat(folder)
        except (OSError, ValueError):
            return action
        if not stat.S_ISDIR(at.st_mode):
            return decide.clashing(action)
        again = decide.decide(one._replace(local_below=True), self._policy)
        if again is None or again.in_the_way != one.path:
            return again
        kept = kept_below(folder, one.path, self._policy.admits)
        return decide.spare(again, kept) if kept else again

    def forgets(self, path: str) -> bool:
        """See Decider."""
        return self._policy.admits(path)

    def rest(self) -> Iterator[Action]:
        """Nothing: every path was decided."""
        return iter(())

    def refusal(self, seen: Seen, deletes: int) -> NbsyncError | None:
        """See Decider."""
        sides, options = self._sides, self._sides.call.options
        source = sides.location.uri if self.direction.changes_local else sides.local
        return guard.empty_source(
            self.direction.value, source, seen.in_source(self.direction), delete=options.delete,
            allowed=options.allow_empty_source,
        ) or guard.too_many_deletes(deletes, options.max_delete)  # fmt: skip


class Items(Protocol):
    """The items of a plan by path, each taken once."""

    def begin(self) -> None: ...

    def take(self, path: str) -> Action | None: ...

    def left(self) -> Iterator[Action]: ...


class AsPlanned:
    """Does the items of a plan, each held against what would be decided now, so that all rules and guards hold.

    Args:
        items: the plan's.
        fresh: decides anew; it admits no more paths than the plan was made for.
    """

    as_planned = True

    def __init__(self, items: Items, fresh: Fresh) -> None:
        self._items, self._fresh = items, fresh
        self.direction, self.may_delete, self.refusal = fresh.direction, fresh.may_delete, fresh.refusal
        self.admits = fresh.admits

    def begin(self, only: str, record: Record) -> None:
        """See Decider: no item is taken."""
        self._items.begin()
        self._fresh.begin(only, record)

    def forgets(self, path: str) -> bool:
        """Nothing: paths that the plan says nothing of are nobody's business."""
        return False

    def decide(self, one: Joined) -> Action | None:
        """See Decider."""
        item = self._items.take(one.path)
        return None if item is None else recheck.hold(item, one, self._fresh.decide(one))

    def rest(self) -> Iterator[Action]:
        """The items whose path is on neither side any more."""
        for item in self._items.left():
            yield recheck.hold(item, Joined(item.path, None, None, None), None)
