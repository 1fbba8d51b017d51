"""The rows behind the panel's table: sorted, filtered and ticked here, shown by the window. Pure; one thread.

A plan may have a million rows, so the browser never holds more than a window of them, and what is kept of each row
beside the row itself is a few bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from nbsync.core.model import Row, Status, Verb
from nbsync.report import formats, view

# What a row is for the panel: what is to be done, or how it ended. What matters first stands first.
KINDS = ("failed", "conflict", "skipped", "cancelled", "delete-local", "delete-remote", "upload", "download",
         "deleted", "miss", "hit")  # fmt: skip
FOLDED = frozenset({Status.HIT.value})  # not shown unless asked for
COLUMNS = ("status", "path", "size", "reason")
_AGAIN = (Status.FAILED.value, Status.CANCELLED.value)
_RANK = {kind: rank for rank, kind in enumerate(KINDS)}
_PATH, _TEXT = 300, 600


class Query(NamedTuple):
    """Which rows are shown, and in which order.

    `kinds`: those that are shown; empty means all but the folded ones.
    """

    text: str = ""
    kinds: frozenset[str] = frozenset()
    column: str = "status"
    descending: bool = False


def kind(row: Row) -> str:
    """What is to be done (`download`, `delete-local`, ...), or how it ended (`miss`, `conflict`, ...)."""
    return row.action if row.status == Status.PLANNED.value and row.action != Verb.NONE.value else row.status


class Table:
    """Rows by position (in the order shown) and by number (as they came).

    Attributes:
        counts: rows by kind.
        order: changes whenever positions mean other rows than before.
        changes: how often anything was changed.
        selected: ticked rows; `selected_bytes`: what they would move; `selected_actions`: of each action, how many.
        shown_selected, shown_tickable: of those that the query shows.
    """

    def __init__(self) -> None:
        self.order = self.changes = 0
        self.query = Query()
        self.load(())

    def load(self, rows: Iterable[Row], choice: bool = True) -> None:
        """Begin anew with these; what is planned is ticked, unless there is no `choice`: then nothing can be."""
        self._rows = list(rows)
        self._kinds = [kind(row) for row in self._rows]
        self._tickable = bytearray(choice and row.status == Status.PLANNED.value for row in self._rows)
        self._ticked = bytearray(self._tickable)
        self._numbers: dict[str, int] | None = None
        self._count()
        self.select(self.query)

    def select(self, query: Query) -> None:
        """Show what `query` says."""
        self.query = query
        needle = query.text.casefold()
        wanted = query.kinds or frozenset(KINDS) - FOLDED
        rows, kinds = self._rows, self._kinds
        shown: Iterable[int] = (number for number, its in enumerate(kinds) if its in wanted)
        if needle:
            shown = (number for number in shown if needle in rows[number].path.casefold())
        self._shown = self._sorted(shown, query)
        self.order += 1
        self.changes += 1
        self._count_shown()

    def _sorted(self, numbers: Iterable[int], query: Query) -> list[int]:
        rows, kinds = self._rows, self._kinds
        keys: dict[str, Callable[[int], Any]] = {
            "size": lambda number: rows[number].bytes,
            "reason": lambda number: rows[number].reason,
            "path": lambda number: rows[number].path,
            "status": lambda number: _RANK.get(kinds[number], 0),
        }
        return sorted(numbers, key=keys[query.column], reverse=query.descending)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def shown(self) -> int:
        """How many rows the query shows."""
        return len(self._shown)

    def window(self, start: int, count: int) -> list[list[Any]]:
        """What the front end shows of `count` rows from position `start`.

        Each: kind, symbol, word, path, size, reason, tick (1, 0, or -1 where there is none). All are clean text.
        """
        return [self._cells(number) for number in self._shown[max(start, 0) : max(start, 0) + count]]

    def _cells(self, number: int) -> list[Any]:
        row = self._rows[number]
        bad = bool(row.error) or row.status in formats.PROBLEM
        tick = self._ticked[number] if self._tickable[number] else -1
        return [
            self._kinds[number], formats.symbol(row, problem=bad), self._kinds[number].replace("-", " "),
            formats.clean(row.path, _PATH), view.amount(row), formats.clean(view.why(row), _TEXT), tick,
        ]  # fmt: skip

    # ---- ticks --------------------------------------------------------------------------------------

    def tick(self, start: int, stop: int, on: bool) -> None:
        """Tick (or not) the rows from position `start` to before `stop`."""
        self._tick(self._shown[max(start, 0) : max(stop, 0)], on)

    def tick_shown(self, on: bool) -> None:
        """Tick all that the query shows, or none of it."""
        self._tick(self._shown, on)

    def tick_paths(self, paths: Iterable[str], on: bool) -> None:
        """Tick rows by path.

        Raises:
            KeyError: there is no such row.
        """
        numbers = self._by_path()
        self._tick([numbers[path] for path in paths], on)
        self._count_shown()

    def _tick(self, numbers: Sequence[int], on: bool) -> None:
        self.changes += 1
        for number in numbers:
            if self._tickable[number] and bool(self._ticked[number]) is not on:
                self._ticked[number] = on
                step = 1 if on else -1
                self.shown_selected += step
                self._select(self._rows[number], step)

    @property
    def deletes(self) -> int:
        """How many of the ticked rows delete something."""
        actions = self.selected_actions
        return actions[Verb.DELETE_LOCAL.value] + actions[Verb.DELETE_REMOTE.value]

    def _select(self, row: Row, step: int) -> None:
        self.selected += step
        self.selected_bytes += step * row.bytes
        self.selected_actions[row.action] += step

    def ticked(self) -> frozenset[str]:
        """The paths of what is ticked."""
        return frozenset(row.path for row, on in zip(self._rows, self._ticked, strict=True) if on)

    # ---- outcomes -----------------------------------------------------------------------------------

    def take(self, outcomes: Iterable[Row]) -> None:
        """Rows as they ended replace those that were planned, in their place; others are added.

        What failed or was cancelled can be done again and stays ticked. Positions stay as they are: call `select`
        when the run has ended.
        """
        numbers = self._by_path()
        self.changes += 1
        for row in outcomes:
            number = numbers.get(row.path)
            if number is None:
                self._add(row, numbers)
            elif self._rows[number] != row:
                self._replace(number, row)

    def _add(self, row: Row, numbers: dict[str, int]) -> None:
        numbers[row.path] = len(self._rows)
        self._rows.append(row)
        self._kinds.append(kind(row))
        self.counts[kind(row)] = self.counts.get(kind(row), 0) + 1
        self._tickable.append(0)
        self._ticked.append(0)

    def _replace(self, number: int, row: Row) -> None:
        before, now = self._kinds[number], kind(row)
        self.counts[before] -= 1
        self.counts[now] = self.counts.get(now, 0) + 1
        if self._tickable[number] and row.status not in _AGAIN:
            if self._ticked[number]:
                self._select(self._rows[number], -1)
            self._tickable[number] = self._ticked[number] = 0
        elif self._ticked[number]:
            # It will move as much when it is done again as it would have.
            row = row._replace(bytes=row.bytes or self._rows[number].bytes)
            self._select(self._rows[number], -1)
            self._select(row, 1)
        self._rows[number], self._kinds[number] = row, now

    def _by_path(self) -> dict[str, int]:
        if self._numbers is None:
            self._numbers = {row.path: number for number, row in enumerate(self._rows)}
        return self._numbers

    def _count(self) -> None:
        self.counts: dict[str, int] = dict(Counter(self._kinds))
        chosen = [row for row, on in zip(self._rows, self._ticked, strict=True) if on]
        self.selected, self.selected_bytes = len(chosen), sum(row.bytes for row in chosen)
        self.selected_actions = Counter(row.action for row in chosen)

    def _count_shown(self) -> None:
        ticked, tickable = self._ticked, self._tickable
        self.shown_selected = sum(ticked[number] for number in self._shown)
        self.shown_tickable = sum(tickable[number] for number in self._shown)
