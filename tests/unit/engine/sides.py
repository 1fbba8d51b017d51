"""What the tests of the engine have in common: a call's sides, the state of one path, and a plan's items in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nbsync.core.call import Call
from nbsync.core.model import Action, Evidence, Joined, LocalEntry, RecordedEntry, RemoteEntry, Status, Verb
from nbsync.core.options import Options
from nbsync.engine.source import Sides, sides_of
from tests.unit.core.entries import here, row, there

NOWHERE = "/nonexistent/nbsync-tests"  # a LOCAL that is not there: nothing is looked at on the disk


def sides(direction: str, local: str = NOWHERE, only: frozenset[str] | None = None, **options: Any) -> Sides:
    """The sides of `direction`, with these options."""
    return sides_of(
        Call(
            command=direction, remote="s3://b/p/", local=local, direction=direction, options=Options(**options),
            only=only,
        )
    )  # fmt: skip


def joined(
    local: LocalEntry | None = None, remote: RemoteEntry | None = None, recorded: RecordedEntry | None = None,
    path: str = "f", **more: Any,
) -> Joined:  # fmt: skip
    """What the three streams hold of one path."""
    return Joined(path, local, remote, recorded, **more)


def do(verb: Verb, path: str, **more: Any) -> Action:
    """Something to do, of a file and an object of one byte."""
    return Action(
        path, verb, Status.PLANNED, "because", Evidence.NONE, here(path), there(path), row(path)
    )._replace(**more)  # fmt: skip


def shown(action: Action | None) -> tuple[str, ...] | None:
    """What an Action does, for a table: (verb, status, reason)."""
    return None if action is None else (action.verb.value, action.status.value, action.reason)


class Items:
    """The items of a plan, in memory."""

    def __init__(self, *items: Action) -> None:
        self._items = {item.path: item for item in items}
        self._left = dict(self._items)

    def __contains__(self, path: str) -> bool:
        return path in self._items

    def begin(self) -> None:
        self._left = dict(self._items)

    def take(self, path: str) -> Action | None:
        self._left.pop(path, None)
        return self._items.get(path)

    def left(self) -> Iterator[Action]:
        yield from self._left.values()
