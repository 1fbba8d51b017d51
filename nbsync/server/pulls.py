"""The pulls of one server: each once, a few at a time, never two in one folder. For the event loop's thread alone.

A run has threads of its own; a ticker on this loop moves its progress (see nbsync.background), and every move is
news for who follows the pull.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from nbsync.core.decide import EDITED_HERE
from nbsync.core.model import Row, Status
from nbsync.errors import Interrupted, NbsyncError, one_line
from nbsync.server.places import Errand

if TYPE_CHECKING:
    from nbsync.job import SyncJob
    from nbsync.result import SyncResult

ENDED = ("done", "cancelled", "failed")
ROWS = 200  # the newest, and at the end those that matter most
_KEPT = 50  # pulls that have ended
_LOOKS_AT_ONCE = 2  # dry runs; they wait for no pull
_TROUBLE = (Status.FAILED.value, Status.CONFLICT.value, Status.SKIPPED.value, Status.CANCELLED.value)


class Pull:
    """One errand: waiting for its turn, under way, or ended.

    Attributes:
        id: names it in the API; cannot be guessed.
        job: the run, once it has begun.
        error: what kept it from beginning.
        endpoint: `https://host:port` of the service, once known.
        version: grows with every change that is worth telling.
    """

    def __init__(self, errand: Errand) -> None:
        self.id = uuid.uuid4().hex
        self.errand = errand
        self.job: SyncJob | None = None
        self.error: NbsyncError | None = None
        self.endpoint = ""
        self.version = 0
        self.taken = 0  # rows, hits included
        self._news = asyncio.Event()
        self._changes = 0
        self._rows: deque[tuple[int, Row]] = deque(maxlen=ROWS)  # that are no hits, numbered from 1

    @property
    def state(self) -> str:
        """`queued`, or the state of its run."""
        if self.error is not None:
            return "cancelled" if isinstance(self.error, Interrupted) else "failed"
        if self.job is None:
            return "queued"
        return self.job.state if self.job.done or self.job.state not in ENDED else "syncing"

    @property
    def ended(self) -> bool:
        """Will nothing more happen?"""
        return self.error is not None or (self.job is not None and self.job.done)

    @property
    def result(self) -> SyncResult | None:
        """What it came to, once it has ended."""
        return self.job.result if self.job is not None and self.job.done else None

    def moved(self) -> None:
        """Something has happened: take in what is new, and wake who follows."""
        if self.job is not None:
            rows = self.job.rows(self.taken)
            self.taken += len(rows)
            for row in rows:
                if row.status != Status.HIT.value:
                    self._changes += 1
                    self._rows.append((self._changes, row))
        self.version += 1
        self._news.set()
        self._news = asyncio.Event()

    async def news(self, seen: int, patience: float) -> bool:
        """Wait until the version is another than `seen`; False if it was not within so many seconds."""
        if self.version != seen:
            return True
        try:
            await asyncio.wait_for(self._news.wait(), patience)
        except asyncio.TimeoutError:
            return False
        return True

    def rows_after(self, number: int) -> tuple[list[Row], int, int]:
        """The newest rows after row `number`, how many more there were, and the number of the last one.

        At the end these are the rows that matter most, whatever was told before.
        """
        result = self.result
        if result is not None:
            changed = [row for row in result.files if row.status != Status.HIT.value]
            return sorted(changed, key=_rank)[:ROWS], max(0, len(changed) - ROWS), self._changes
        rows = [row for at, row in self._rows if at > number]
        return rows, self._changes - number - len(rows), self._changes


def _rank(row: Row) -> int:
    if row.status in _TROUBLE:
        return 0
    return 1 if row.reason == EDITED_HERE else 2


class Pulls:
    """The pulls of a server.

    Args:
        concurrent: how many run at once.
        note_activity: told the time while one runs: such a server is not idle.
        check: asked once more just before a run begins; what it raises ends the pull.
    """

    def __init__(self, *, concurrent: int, check: Callable[[Errand], None],
                 note_activity: Callable[[datetime], object]) -> None:  # fmt: skip
        self._concurrent, self._check, self._note_activity = concurrent, check, note_activity
        self._pulls: dict[str, Pull] = {}
        self._under_way: list[Pull] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def all(self) -> list[Pull]:
        """The oldest first; of those that have ended, the last ones."""
        return list(self._pulls.values())

    def find(self, number: str) -> Pull | None:
        """The pull of this id, if there is one."""
        return self._pulls.get(number)

    def ask(self, errand: Errand) -> Pull:
        """The pull that does `errand`: one that is to do the same already, else a new one."""
        for pull in self._pulls.values():
            if pull.errand.key == errand.key and not pull.ended:
                return pull
        pull = Pull(errand)
        self._pulls[pull.id] = pull
        ended = [known.id for known in self._pulls.values() if known.ended]
        for number in ended[:-_KEPT]:
            del self._pulls[number]
        self._advance()
        return pull

    def cancel(self, pull: Pull) -> None:
        """Stop it within a second; what has come is kept. One that has ended is left alone."""
        if pull.ended:
            return
        if pull.job is not None:
            pull.job.cancel()
        else:
            pull.error = Interrupted("stopped before it began")
            self._end(pull)

    def close(self) -> None:
        """Stop them all: the server ends."""
        for pull in self.all():
            self.cancel(pull)

    def _advance(self) -> None:
        """Begin what may begin now, in the order in which it was asked for."""
        for pull in self.all():
            if pull.job is None and not pull.ended and pull not in self._under_way and self._may_begin(pull):
                self._under_way.append(pull)
                task = asyncio.get_running_loop().create_task(self._begin(pull))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _may_begin(self, pull: Pull) -> bool:
        like = [other for other in self._under_way if other.errand.dry_run == pull.errand.dry_run]
        if pull.errand.dry_run:
            return len(like) < _LOOKS_AT_ONCE
        mine = pull.errand.call.local
        return len(like) < self._concurrent and not any(_overlap(mine, other.errand.call.local) for other in like)

    async def _begin(self, pull: Pull) -> None:
        try:
            pull.endpoint = await asyncio.to_thread(_make_ready, pull.errand)
            if pull.ended:  # it was cancelled meanwhile
                return
            self._check(pull.errand)
            from nbsync import api

            pull.job = api.begin(pull.errand.call)
            pull.job.watch(lambda: self._moved(pull))
            pull.moved()
        except NbsyncError as error:
            pull.error = error
            self._end(pull)
        except Exception as error:  # a bug, which must not leave the others waiting
            pull.error = NbsyncError(one_line(f"internal error: {type(error).__name__}: {error}"))
            self._end(pull)

    def _moved(self, pull: Pull) -> None:
        self._note_activity(datetime.now(timezone.utc))
        if pull.ended:
            self._end(pull)
        else:
            pull.moved()

    def _end(self, pull: Pull) -> None:
        if pull in self._under_way:
            self._under_way.remove(pull)
        pull.moved()
        self._advance()


def _overlap(one: str, other: str) -> bool:
    """Is one folder the other, or below it?"""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _make_ready(errand: Errand) -> str:
    """Load the engine, which takes its time; then the address that the run will ask.

    Raises:
        NbsyncError: there is none.
    """
    from nbsync import api

    return api.endpoint_of(errand.call)
