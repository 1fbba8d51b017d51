"""Writes what a run has found out or done to the record, in batches, as soon as each row can be judged.

One thread: the run's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from nbsync.core.model import RecordedEntry
from nbsync.errors import LocalError
from nbsync.local.clocks import Clocks, Fresh
from nbsync.local.record import State

_FLUSH_ROWS = 2_000
_FLUSH_SECONDS = 1.0


class Recorder:
    """Rows on their way to the record of one REMOTE; it takes them from `open` on, and paths to forget at any time.

    Args:
        now: monotonic seconds.

    Attributes:
        failure: why the record could not be written any more; files matter more, so the run goes on.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._to: tuple[State, Clocks] | None = None
        self._fresh: list[Fresh] = []
        self._early: list[Fresh] = []  # to be judged a tick later
        self._forget: set[str] = set()
        self._flushed_at = now()
        self.failure: LocalError | None = None

    def open(self, state: State | None, clocks: Clocks | None) -> None:
        """Write to `state` from now on, if there is one, what `clocks` have judged."""
        self._to = None if state is None or clocks is None else (state, clocks)

    @property
    def state(self) -> State | None:
        """What is written to; None where nothing is, or not any more."""
        return self._to[0] if self._to is not None else None

    def remember(self, record: RecordedEntry, *, installed: bool) -> None:
        """A path was found or made the same on both sides; `installed`: its file was put there by this run."""
        if self._to is None:
            return
        self._forget.discard(record.path)
        self._fresh.append((record, installed))
        if len(self._fresh) >= _FLUSH_ROWS or self._now() - self._flushed_at > _FLUSH_SECONDS:
            state, clocks = self._to
            rows, self._early = clocks.judge(self._due())
            self._write(state, rows)

    def forget(self, path: str) -> None:
        """What was recorded of `path` no longer holds."""
        self._forget.add(path)

    def finish(self) -> None:
        """Write what is left."""
        if self._to is not None and (self._fresh or self._early or self._forget):
            state, clocks = self._to
            due, self._early = self._due(), []
            self._write(state, clocks.judge_all(due))

    def _due(self) -> list[Fresh]:
        """What waits to be judged; what was forgotten since is no row any more."""
        return [one for one in (*self._early, *self._fresh) if one[0].path not in self._forget]

    def _write(self, state: State, rows: list[RecordedEntry]) -> None:
        try:
            state.record(rows, sorted(self._forget))
        except LocalError as error:  # a full disk
            self.failure, self._to = error, None
        self._fresh, self._forget = [], set()
        self._flushed_at = self._now()
